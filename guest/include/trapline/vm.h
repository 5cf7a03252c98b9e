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

enum {
    TRAP_MAX_DEPTH = 8,    /* faults that may be in their handlers at once */
    TRAP_EXIT_FAULT = 120, /* exit code: a forbidden access with no handler registered */
    TRAP_EXIT_DEPTH =
        121, /* exit code: a forbidden access in handlers nested TRAP_MAX_DEPTH deep */
};

enum trap_flags {
    /*
     * The handler, with everything that it calls, uses no x87, SSE or AVX register: they need not
     * be saved around it. To have the compiler see to it, put before the first #include of the file
     *     #pragma GCC target("general-regs-only")
     * or mark single functions TRAP_GENERAL (what they call inline is then called out of line).
     */
    TRAP_GENERAL_REGS = 1u << 0,
    /*
     * The handler leaves every register as it finds it, and wants none of the access's: rax to r15
     * of struct trapline_fault hold nothing of use, and storing there does nothing. This is the
     * shortest way; the other flag is implied. The handler itself is declared TRAP_LEAN_HANDLER,
     * which has the compiler save what it uses; without it the interrupted code is corrupted.
     */
    TRAP_LEAN = 1u << 1,
};

#define TRAP_GENERAL      __attribute__((target("general-regs-only")))
#define TRAP_LEAN_HANDLER __attribute__((target("general-regs-only"), no_caller_saved_registers))

/*
 * A forbidden access, as its handler sees it. The registers are those of the access (rax to r15 not
 * with TRAP_LEAN) and take effect when the handler returns: by default the instruction is tried
 * again, unless rip was changed.
 */
struct trapline_fault {
    uint64_t depth; /* 0 = the access was not made by a handler, 1 = by a handler, ... */
    uint64_t kind;  /* TRAPLINE_READ, TRAPLINE_WRITE, TRAPLINE_EXEC; several for one that does both;
                     * and TRAPLINE_Q_GONE where a channel was: see channel.h */
    uint64_t physical; /* guest-physical address: for an access through an alias, the alias */
    uint64_t address;  /* guest-linear address, the same as physical */
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t rip, cs, rflags, rsp, ss;
};

typedef void trap_handler(struct trapline_fault *fault);

/* The first byte of the page that was accessed. */
static inline void *trap_page(const struct trapline_fault *fault)
{
    return (void *)(fault->address & ~(uint64_t)(TRAPLINE_PAGE_SIZE - 1));
}

/*
 * TRAP: call handler for every forbidden access from now on. handler NULL brings back the runtime's
 * own, which reports the access and ends the guest with TRAP_EXIT_FAULT. flags: enum trap_flags.
 *
 * The handler runs on the stack of the access, with interrupts off, and returns to try the access
 * again. A forbidden access in the handler calls it again, TRAP_MAX_DEPTH levels deep in all. It is
 * the handler of all vCPUs and may run on several of them at once; an access made on another vCPU
 * while trap() runs calls this handler or the one before it.
 * Returns 0, or -EINVAL for an unknown flag.
 */
int trap(trap_handler *handler, unsigned flags);

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

/* The name of a negative errno value that one of these calls returned, "EINVAL" for example. */
const char *trapline_error_name(long error);

#endif
