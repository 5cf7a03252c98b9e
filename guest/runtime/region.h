/* What the parts of the regions' implementation have to do with one another. */
#ifndef GUEST_RUNTIME_REGION_H
#define GUEST_RUNTIME_REGION_H

#include <trapline/region.h>

#include "guest/runtime/page_tables.h"
#include "guest/runtime/region_set.h"
#include "guest/runtime/region_shootdown.h"

/* What only the calls that are not inlined use. */
struct region_state {
    size_t tracked;        /* pages whose writes DIRTY reports */
    size_t aliases;        /* of all pages */
    uint32_t *first_alias; /* of each page: its number in the window, plus 1; 0 = none */
    size_t table_pages;    /* that first_alias takes */
    uint8_t *home;         /* with keys: of each page, the key of its set; 0 = in none */
    struct region_set *sets;
    struct region *next; /* of those over page tables */
};

/* The window of aliases of page-table regions. */
void region_window(uint64_t *base, size_t *pages);

/* Pages whose translations are to be dropped: each at once, or all of them at the end. */
struct region_flush {
    bool all;
    bool owed;
};

static inline struct region_flush region_flush_begin(size_t pages)
{
    return (struct region_flush){.all = pages >= page_tables_flush_all_from};
}

static inline void region_flush_page(struct region_flush *flush, uint64_t address)
{
    flush->owed = true;
    if (!flush->all)
        flush_page(address);
}

static inline void region_flush_end(const struct region_flush *flush)
{
    if (!flush->owed)
        return;
    if (flush->all)
        flush_all();
    region_flush_others();
}

/* region_pt.c: the calls over page tables, arguments not checked yet. */
TRAP_LEAN_HANDLER int region_pt_prot(struct region *region, uint64_t address, size_t pages,
                                     unsigned access);
TRAP_LEAN_HANDLER int region_pt_unprot(struct region *region, uint64_t address, size_t pages);
int region_pt_protn_list(struct region *region, void *const *pages, size_t count, unsigned access,
                         size_t *bad);
int region_pt_protn_ranges(struct region *region, const struct trapline_range *ranges, size_t count,
                           unsigned access, size_t *bad);
int region_pt_create(struct region *region);
void region_pt_destroy(struct region *region);

/* region_dirty.c and region_alias.c */
int region_pt_track(struct region *region, uint64_t address, size_t pages, bool on);
long region_pt_dirty(struct region *region, uint64_t address, size_t pages, void **buffer,
                     size_t capacity, size_t *left);
int region_pt_map2(struct region *region, uint64_t address, size_t pages, uint64_t alias,
                   unsigned access);
int region_pt_unmap2(struct region *region, uint64_t alias, size_t pages);
int region_pt_remap2(struct region *region, uint64_t page, uint64_t alias, unsigned access);

/* The next alias of the same page, as first_alias has it. */
uint32_t *region_alias_next(uint64_t alias);

/* The address of an alias, by its number plus 1. */
uint64_t region_alias_address(uint32_t number);

/* Make what all regions' aliases are listed in. Returns 0 or -ENOMEM. */
int region_alias_init(void);

/*
 * Whether pages pages from address on are the region's, or aliases of its pages. Returns 0, -EINVAL
 * or -ENOENT.
 */
TRAP_LEAN_HANDLER int region_check(const struct region *region, uint64_t address, size_t pages);

/* Whether a page is one of the region's own, not an alias. */
static inline bool region_owns(const struct region *region, uint64_t address)
{
    return address - region->base < region->pages * TRAPLINE_PAGE_SIZE;
}

/* Whether pages pages from address on are the region's own: the usual case, in short. */
static inline bool region_owns_pages(const struct region *region, uint64_t address, size_t pages)
{
    const uint64_t index = region_index(region, (void *)address);

    return index < region->pages && pages - 1 < region->pages - index;
}

/* Change an entry of live page tables; returns what it was. Bits that the CPU sets meanwhile stay.
 */
static inline uint64_t update_entry(uint64_t *entry, uint64_t clear, uint64_t set)
{
    uint64_t old = __atomic_load_n(entry, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(entry, &old, (old & ~clear) | set, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED))
        ;
    return old;
}

static inline uint64_t region_update(uint64_t address, uint64_t clear, uint64_t set)
{
    const uint64_t old = update_entry(page_tables_entry(address), clear, set);

    space_follow_pages(address, 1);
    return old;
}

/* Whether a translation of the old entry may allow what the new one does not. */
static inline bool region_lowers(uint64_t old, uint64_t new)
{
    if (!(old & PTE_PRESENT))
        return false;
    return (old & ~new &(PTE_PRESENT | PTE_WRITE)) || (new & ~old &PTE_NX);
}

/* Whether an access is one that page tables can express. Returns 0, -EINVAL or -EOPNOTSUPP. */
static inline int region_check_access(unsigned access)
{
    if ((access & ~(unsigned)(TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC)) ||
        ((access & TRAPLINE_WRITE) && !(access & TRAPLINE_READ)))
        return -TRAPLINE_EINVAL;
    return access == TRAPLINE_EXEC ? -TRAPLINE_EOPNOTSUPP : 0;
}

/* Set up what regions over page tables, and spaces, need. Returns 0, -EOPNOTSUPP or -ENOMEM. */
int region_pt_prepare(void);

/* Whether the inline calls may change the entries of page-table regions: while there is no space.
 */
void region_pt_inline(bool may);

/* region_key.c: switch protection keys on; false where the CPU has none. */
bool region_key_init(void);

/* A page is about to be protected singly: note that it leaves its set's key, if it has one. */
TRAP_LEAN_HANDLER void region_key_stray(struct region *region, size_t index);

/* What a page fault on a page of a region is that user mode may use; as in page_fault.asm. */
enum page_fault_kind {
    PAGE_FAULT_RETRY,     /* it is allowed by now */
    PAGE_FAULT_FORBIDDEN, /* for the handler */
    PAGE_FAULT_EXCEPTION, /* SMEP, SMAP and what else no protection of a page explains */
};
TRAP_LEAN_HANDLER enum page_fault_kind page_fault_of_user_page(uint64_t address, uint64_t error,
                                                               uint64_t rflags);

#endif
