/*
 * Regions: the primitives of <trapline/vm.h> over pages whose protection is kept by a mechanism
 * that the program chooses when it creates the region. Everything after that is the same code.
 *
 *   REGION_EPT  the hypervisor's tables, by hypercalls: what <trapline/vm.h> itself does
 *   REGION_PT   the guest's own page tables: page faults and INVLPG, no VM exit at all
 *   REGION_KEY  as REGION_PT, in memory that user mode may use; besides, whole sets of pages are
 *               protected by one write to PKRU: see region_set_create()
 *
 * and, where the program is a process of Linux,
 *
 *   REGION_MPROTECT  mprotect(), and SIGSEGV
 *   REGION_UFFD      userfaultfd, and SIGBUS; its pages cannot be executed
 *
 * In a guest of several vCPUs a call that takes rights away from a region of page tables makes one
 * exit, to have the others forget them.
 *
 * The calls have the contract and the errors of <trapline/vm.h>, with two more: -ENOENT for a page
 * that is neither the region's nor one of its aliases, and -EOPNOTSUPP for TRAPLINE_EXEC alone,
 * which page tables cannot express. docs/MECHANISMS.md says when each mechanism wins.
 */
#ifndef TRAPLINE_REGION_H
#define TRAPLINE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/trap.h>

enum region_mechanism {
    REGION_EPT,
    REGION_PT,
    REGION_KEY,
    REGION_MPROTECT,
    REGION_UFFD,
    REGION_MECHANISMS
};

/* Only what the inline calls need; look with region_base() and its kin. */
struct region {
    uint64_t base;
    size_t pages;
    size_t pt_pages;  /* pages whose PTEs the inline calls may change: all or, 0, none */
    size_t ept_pages; /* pages that are the hypervisor's to protect: all or none */
    enum region_mechanism mechanism;
    struct region_state *state;
};

/*
 * Create a region of pages pages (at least 1) of zeroed memory, the first aligned to align pages (a
 * power of two). Returns 0 and the region; -EINVAL for the arguments; -ENOMEM when the guest has no
 * memory for it; -EOPNOTSUPP where the CPU lacks the mechanism (protection keys; page tables
 * without execute-disable), or the kernel (userfaultfd), for a mechanism that is not of this home,
 * and with REGION_KEY in a guest of several vCPUs: each has a PKRU of its own.
 */
int region_create(struct region **region, size_t pages, size_t align,
                  enum region_mechanism mechanism);

/* Take its aliases away and give its pages back. No address of it may be in use any more. */
void region_destroy(struct region *region);

/* "ept", "pt", "key", "mprotect" or "uffd": for results. */
const char *region_mechanism_name(enum region_mechanism mechanism);

static inline void *region_base(const struct region *region)
{
    return (void *)region->base;
}

static inline size_t region_pages(const struct region *region)
{
    return region->pages;
}

/*
 * TRAP: as trap(), of which it is another name: there is one handler, for the forbidden accesses to
 * regions of all mechanisms and to pages that prot1() protected. With page tables and keys
 * fault->physical is the same as fault->address.
 */
static inline int region_trap(trap_handler *handler, unsigned flags)
{
    return trap(handler, flags);
}

/* The calls with nothing inlined; they leave all registers as they are, for TRAP_LEAN handlers. */
TRAP_LEAN_HANDLER int region_prot1_slow(struct region *region, void *page, unsigned access);
TRAP_LEAN_HANDLER int region_unprot_slow(struct region *region, void *page, size_t pages);

/*
 * Where address is in the region: a page number below region->pages, or a large number for one that
 * is outside or not a page's first byte.
 */
static inline uint64_t region_index(const struct region *region, const void *address)
{
    const uint64_t offset = (uint64_t)address - region->base;

    return offset >> TRAPLINE_PAGE_SHIFT | offset << (64 - TRAPLINE_PAGE_SHIFT);
}

/*
 * region_rights(region): what region_unprot() gives. READ and WRITE, and EXEC but with REGION_KEY
 * and REGION_UFFD.
 * region_prot1(region, page, access): PROT1.
 * region_unprot_range(region, page, pages), region_unprot(region, page): UNPROT.
 */
#include <trapline/region_inline.h>

/*
 * PROTN: of the pages of a list, of a list of ranges, of pages that follow one another. With
 * REGION_EPT the hypervisor alone looks at the list, and knows no regions: it takes all RAM.
 */
int region_protn_at(struct region *region, void *const *pages, size_t count, unsigned access,
                    size_t *bad);
int region_protn_ranges(struct region *region, const struct trapline_range *ranges, size_t count,
                        unsigned access, size_t *bad);

static inline int region_protn(struct region *region, void *const *pages, size_t count,
                               unsigned access)
{
    return region_protn_at(region, pages, count, access, NULL);
}

int region_protn_range(struct region *region, void *page, size_t pages, unsigned access);

/* TRACK and DIRTY. */
int region_track(struct region *region, void *page, size_t pages, int on);
long region_dirty(struct region *region, void *page, size_t pages, void **buffer, size_t capacity,
                  size_t *left);

/*
 * MAP2, in the window of addresses that belongs to the region's mechanism. It may take memory, so
 * it is not for handlers that can interrupt the allocator.
 */
int region_map2_range(struct region *region, void *page, size_t pages, void *alias,
                      unsigned access);
int region_unmap2_range(struct region *region, void *alias, size_t pages);
void *region_alias_window(const struct region *region);
size_t region_alias_window_pages(const struct region *region);

static inline int region_map2(struct region *region, void *page, void *alias, unsigned access)
{
    return region_map2_range(region, page, 1, alias, access);
}

static inline int region_unmap2(struct region *region, void *alias)
{
    return region_unmap2_range(region, alias, 1);
}

/*
 * Have an alias lead to another page of the region, or give it other full rights: UNMAP2 and MAP2
 * of one page in one, so that an access of another vCPU goes to the old page or to the new one, or
 * traps by the old access; it never finds no alias there. When the call has returned nobody uses
 * the old page by it. The alias has access as its full rights and its present access.
 * Returns 0; -EINVAL, -ENOENT (the alias is not mapped); or -ENOMEM when the hypervisor lacks a
 * table for the new page, after which, alone of all errors, the alias is not mapped any more.
 */
int region_remap2(struct region *region, void *page, void *alias, unsigned access);

/*
 * A set of pages of one region that are protected together, again and again. Setting a set's access
 * is PROTN of its pages, or UNPROT when the access is the region's full rights. With REGION_KEY it
 * is one write to PKRU, however many pages there are, plus one entry for each page that was
 * unprotected singly since; with the others it costs what the list costs. Its pages may be
 * protected singly as well; a page is in one set at most.
 */
struct region_set;

/*
 * Returns 0 and the set; -EINVAL for a page that is misaligned or in a set, or count 0; -ENOENT for
 * a page outside the region (an alias, too); -ENOMEM; -EAGAIN when all protection keys are taken.
 */
int region_set_create(struct region_set **set, struct region *region, void *const *pages,
                      size_t count);

/* Unprotect the pages and forget the set. */
void region_set_destroy(struct region_set *set);

/*
 * Returns 0 or the errors of region_protn(). With REGION_KEY the access is NONE, READ or READ and
 * WRITE, whatever the pages were given singly.
 */
TRAP_LEAN_HANDLER int region_set_prot(struct region_set *set, unsigned access);

#endif
