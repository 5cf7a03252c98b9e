/* Page tables of a test's own: one page, mapped a second time by the guest's tables. */
#ifndef TRAPLINE_TESTS_WALK_H
#define TRAPLINE_TESTS_WALK_H

#include "suite.h"

enum walk_bits {
    WALK_PRESENT = 1u << 0,
    WALK_WRITE = 1u << 1,
    WALK_USER = 1u << 2,
    WALK_ACCESSED = 1u << 5,
    WALK_DIRTY = 1u << 6,
    WALK_ALL = WALK_PRESENT | WALK_WRITE | WALK_USER | WALK_ACCESSED | WALK_DIRTY,
};

struct walk {
    uint64_t *pdpt, *pd, *pt; /* a page each */
    char *linear;             /* where the page appears */
};

enum {
    WALK_SLOT = 1, /* of the PML4; the runtime maps everything below 512 GiB */
};
#define WALK_LINEAR (1ul << 39)

/* Map page at WALK_LINEAR, for user mode too. Only one at a time. */
static inline struct walk walk_map(const void *page)
{
    struct walk walk = {(uint64_t *)need_pages(1, 1), (uint64_t *)need_pages(1, 1),
                        (uint64_t *)need_pages(1, 1), (char *)WALK_LINEAR};
    uint64_t cr3;

    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    walk.pt[0] = (uint64_t)page | WALK_ALL;
    walk.pd[0] = (uint64_t)walk.pt | WALK_ALL;
    walk.pdpt[0] = (uint64_t)walk.pd | WALK_ALL;
    ((uint64_t *)(cr3 & ~0xffful))[WALK_SLOT] = (uint64_t)walk.pdpt | WALK_ALL;
    __asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
    return walk;
}

static inline void walk_unmap(struct walk *walk)
{
    uint64_t cr3;

    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    ((uint64_t *)(cr3 & ~0xffful))[WALK_SLOT] = 0;
    __asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
    pages_free(walk->pdpt, 1);
    pages_free(walk->pd, 1);
    pages_free(walk->pt, 1);
}

/* Forget the cached translation of WALK_LINEAR and the upper levels' caches. */
static inline void walk_flush(void)
{
    __asm__ volatile("invlpg (%0)" : : "r"(WALK_LINEAR) : "memory");
}

#endif
