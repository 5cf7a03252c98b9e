/*
 * The calls of region.h that are made most often, without a call where page tables allow it. Only
 * region.h includes this.
 */
#ifndef TRAPLINE_REGION_INLINE_H
#define TRAPLINE_REGION_INLINE_H

/*
 * The entries of the guest's page tables for the first TiB, as an array by virtual page number.
 * Only for the inline calls below.
 */
#define REGION_PTES 0xffffffff80000000ull
enum region_pte {
    REGION_PTE_PRESENT = 1,
    REGION_PTE_WRITE = 2,
};

static inline unsigned region_rights(const struct region *region)
{
    return region->mechanism == REGION_KEY ? TRAPLINE_READ | TRAPLINE_WRITE
                                           : TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC;
}

static inline uint64_t *region_pte(const void *page)
{
    return (uint64_t *)(REGION_PTES + ((uint64_t)page >> 9));
}

/* A right to a page was taken away: no translation that still has it may be left. */
static inline void region_lowered(void *page)
{
    __asm__ volatile("invlpg (%0)" : : "r"(page) : "memory");
}

/* A call of region_calls.asm, which keeps all registers but RAX. */
#define REGION_CALL(name, region, page, index)                                                     \
    ({                                                                                             \
        int64_t region_result_ = (int64_t)(region);                                                \
                                                                                                   \
        __asm__ volatile("call " name                                                              \
                         : "+a"(region_result_)                                                    \
                         : "d"(page), "c"(index)                                                   \
                         : "memory", "cc");                                                        \
        (int)region_result_;                                                                       \
    })

/* PROT1. */
static inline int region_prot1(struct region *region, void *page, unsigned access)
{
    const uint64_t index = region_index(region, page);
    bool was_present;

    if (access != TRAPLINE_NONE)
        return region_prot1_slow(region, page, access);
    if (__builtin_expect(index >= region->pt_pages, 0))
        return REGION_CALL("region_none_other", region, page, index);
    __asm__ volatile("lock btrq $0, %0"
                     : "+m"(*region_pte(page)), "=@ccc"(was_present)
                     :
                     : "memory");
    if (was_present)
        region_lowered(page);
    return 0;
}

/* UNPROT. A raise owes no flush: a stale entry faults and is dropped by that (SDM 4.10.4.3). */
static inline int region_unprot_range(struct region *region, void *page, size_t pages)
{
    return region_unprot_slow(region, page, pages);
}

static inline int region_unprot(struct region *region, void *page)
{
    const uint64_t index = region_index(region, page);
    bool no_exec = true;

    if (__builtin_expect(index < region->pt_pages, 1))
        __asm__ volatile("lock orq %2, %0"
                         : "+m"(*region_pte(page)), "=@ccs"(no_exec)
                         : "i"(REGION_PTE_PRESENT | REGION_PTE_WRITE)
                         : "memory");
    return __builtin_expect(no_exec, 0) ? REGION_CALL("region_unprot_other", region, page, index)
                                        : 0;
}

#endif
