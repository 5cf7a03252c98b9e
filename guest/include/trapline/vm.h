/*
 * The virtual-memory primitives under the names of Appel and Li's paper "Virtual Memory Primitives
 * for User Programs" (ASPLOS 1991): TRAP, PROT1, PROTN, UNPROT, DIRTY, MAP2.
 *
 * Guest-virtual equals guest-physical, so a page is named by an ordinary pointer to its first byte.
 * Every call returns 0 (or a count) on success and a negative errno value of enum trapline_error on
 * failure; a call that fails has changed nothing. An access is an or of TRAPLINE_READ,
 * TRAPLINE_WRITE and TRAPLINE_EXEC, or TRAPLINE_NONE. The contract of each call is in docs/ABI.md.
 */
#ifndef TRAPLINE_VM_H
#define TRAPLINE_VM_H

#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/hypercall.h>
#include <trapline/trap.h>

/* The information area that the runtime registered for the calling vCPU. */
struct trapline_trap_area *trap_area(void);

/* PROT1: reduce the access to one page. Returns 0, -EINVAL, -ENOENT, -ENOMEM or -EOPNOTSUPP. */
static inline int prot1(void *page, unsigned access)
{
    return (int)hypercall2(TRAPLINE_HC_PROT1, (uint64_t)page, access);
}

/*
 * PROTN: reduce the access to the count pages of the list. All or nothing: on an error no page has
 * changed, and *bad, unless bad is NULL, is the index of the entry at fault.
 * Returns 0, -EINVAL, -ENOENT, -ENOMEM, -EFAULT or -EOPNOTSUPP.
 */
static inline int protn_at(void *const *pages, size_t count, unsigned access, size_t *bad)
{
    struct hypercall_result result =
        hypercall(TRAPLINE_HC_PROTN, (uint64_t)pages, count, access | TRAPLINE_LIST_PAGES, 0);

    if (result.rax < 0 && bad)
        *bad = result.rdx;
    return (int)result.rax;
}

static inline int protn(void *const *pages, size_t count, unsigned access)
{
    return protn_at(pages, count, access, NULL);
}

/* PROTN on a list of ranges; bad as in protn_at(), it may be NULL. */
static inline int protn_ranges(const struct trapline_range *ranges, size_t count, unsigned access,
                               size_t *bad)
{
    struct hypercall_result result =
        hypercall(TRAPLINE_HC_PROTN, (uint64_t)ranges, count, access | TRAPLINE_LIST_RANGES, 0);

    if (result.rax < 0 && bad)
        *bad = result.rdx;
    return (int)result.rax;
}

/* PROTN on pages pages that follow one another. */
static inline int protn_range(void *page, size_t pages, unsigned access)
{
    const struct trapline_range range = {(uint64_t)page, pages};

    return protn_ranges(&range, 1, access, NULL);
}

/* UNPROT: raise the access to pages pages to all that they allow. Returns 0, -EINVAL, -ENOENT. */
static inline int unprot_range(void *page, size_t pages)
{
    return (int)hypercall2(TRAPLINE_HC_UNPROT, (uint64_t)page, pages);
}

static inline int unprot(void *page)
{
    return unprot_range(page, 1);
}

/*
 * MULTI: make count calls of calls[], at most TRAPLINE_MULTI_MAX, in one exit and with one flush
 * for all: PROT1, PROTN (a short list or one range), UNPROT, DIRTY, MAP2, UNMAP2, TRACK, by their
 * numbers in abi.h. They are made in order, up to the first that fails; each has its results in it.
 * Returns 0, or the error of the one that failed, whose index is then in *bad, unless bad is NULL;
 * or -EINVAL or -EFAULT with *bad = count: then none was made.
 */
static inline int multi(struct trapline_call *calls, size_t count, size_t *bad)
{
    struct hypercall_result result = hypercall(TRAPLINE_HC_MULTI, (uint64_t)calls, count, 0, 0);

    if (result.rax < 0 && bad)
        *bad = result.rdx;
    return (int)result.rax;
}

/*
 * prot1(lowered, access) and then unprot(raised), both or neither, in one exit and with one flush.
 * Returns 0, -EINVAL, -ENOENT, -ENOMEM or -EOPNOTSUPP.
 */
static inline int prot1_unprot(void *lowered, unsigned access, void *raised)
{
    int64_t result;

    __asm__ volatile("vmcall"
                     : "=a"(result), "+d"(raised)
                     : "a"((uint64_t)TRAPLINE_HC_PROT1_UNPROT), "D"(lowered), "S"((uint64_t)access)
                     : "memory");
    return (int)result;
}

/* Start (on != 0) or end what dirty() reports for a range. Returns 0, -EINVAL, -ENOENT, -ENOMEM. */
static inline int track(void *page, size_t pages, int on)
{
    return (int)hypercall(TRAPLINE_HC_TRACK, (uint64_t)page, pages, on != 0, 0).rax;
}

/*
 * DIRTY: fetch and clear the tracked pages of a range that changed since the last call, through
 * whichever address they were written. At most capacity pages go to buffer; *left, unless left is
 * NULL, is how many more there are, which the next call reports.
 * Returns the number of pages in buffer, or -EINVAL, -ENOENT, -EFAULT.
 */
static inline long dirty(void *page, size_t pages, void **buffer, size_t capacity, size_t *left)
{
    struct hypercall_result result =
        hypercall(TRAPLINE_HC_DIRTY, (uint64_t)page, pages, (uint64_t)buffer, capacity);

    if (result.rax >= 0 && left)
        *left = result.rdx;
    return (long)result.rax;
}

/*
 * MAP2: give pages pages a second address in the alias window, with an access of its own.
 * Returns 0, -EINVAL, -ENOENT, -EEXIST, -ENOMEM or -EOPNOTSUPP.
 */
static inline int map2_range(void *page, size_t pages, void *alias, unsigned access)
{
    return (int)hypercall(TRAPLINE_HC_MAP2, (uint64_t)page, pages, (uint64_t)alias, access).rax;
}

static inline int map2(void *page, void *alias, unsigned access)
{
    return map2_range(page, 1, alias, access);
}

/* Take aliases away again. Returns 0, -EINVAL or -ENOENT. */
static inline int unmap2_range(void *alias, size_t pages)
{
    return (int)hypercall2(TRAPLINE_HC_UNMAP2, (uint64_t)alias, pages);
}

static inline int unmap2(void *alias)
{
    return unmap2_range(alias, 1);
}

/* Where aliases go: the first byte of the alias window, and its size in pages. */
void *alias_window(void);
size_t alias_window_pages(void);

#endif
