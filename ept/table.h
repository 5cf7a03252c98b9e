/*
 * Private to ept/: table memory, the fast walk, splitting and merging.
 */
#ifndef TRAPLINE_EPT_TABLE_H
#define TRAPLINE_EPT_TABLE_H

#include "ept/entry.h"

/* Page numbers: 9 bits a level below the one page-directory-pointer table. */
enum {
    PAGES_2M_SHIFT = 9,
    PAGES_1G_SHIFT = 18,
    PAGES_2M = 1 << PAGES_2M_SHIFT,
    PAGES_1G = 1 << PAGES_1G_SHIFT,
    LIMBO_MAX = EPT_PAGE_BYTES / 8,
};

enum ept_table_flags {
    TABLE_SPLIT =
        1, /* came from a large leaf: all mapped, contiguous, alike, so it can be merged */
    TABLE_QUEUED = 2, /* was uniform when last looked at, and waits in the queue */
    TABLE_KEEP = 4,   /* the guest executes from it, and huge pages are not executable */
};

/* Stands for the page tables that are not there: none of its entries is a leaf. */
extern volatile uint64_t *ept_void_index[EPT_ENTRIES];
extern const uint64_t ept_void_table[EPT_ENTRIES];

static inline void *ept_virt(const struct ept *ept, uint64_t phys)
{
    return (void *)(phys + ept->virt_offset);
}

static inline uint64_t ept_phys(const struct ept *ept, const volatile void *virt)
{
    return (uint64_t)virt - ept->virt_offset;
}

/*
 * The page number of a page-aligned address. A misaligned one gives a number beyond every limit, so
 * that one comparison checks both.
 */
static inline uint64_t ept_page_number(uint64_t gpa)
{
    return gpa >> EPT_PAGE_SHIFT | gpa << (64 - EPT_PAGE_SHIFT);
}

/* The page table over a page below the limit, or the void table. */
static inline volatile uint64_t *ept_page_table(const struct ept *ept, uint64_t page)
{
    return ept->index[page >> PAGES_1G_SHIFT][page >> PAGES_2M_SHIFT & (EPT_ENTRIES - 1)];
}

/* The entry of a page in its page table, which is not a leaf where there is no page table. */
static inline volatile uint64_t *ept_slot_4k(const struct ept *ept, uint64_t page)
{
    return &ept_page_table(ept, page)[page & (EPT_ENTRIES - 1)];
}

static inline bool ept_has_table(const struct ept *ept, uint64_t page)
{
    return ept_page_table(ept, page) != (volatile uint64_t *)ept_void_table;
}

/* The bookkeeping of the page table over a page; only where there is one. */
static inline struct ept_table *ept_table_of(const struct ept *ept, uint64_t page)
{
    return &ept->tables[page >> PAGES_1G_SHIFT][page >> PAGES_2M_SHIFT & (EPT_ENTRIES - 1)];
}

static inline bool ept_has_dir(const struct ept *ept, uint64_t page)
{
    return ept->index[page >> PAGES_1G_SHIFT] != ept_void_index;
}

/* The page-directory entry of a page; only where there is a page directory. */
static inline volatile uint64_t *ept_slot_2m(const struct ept *ept, uint64_t page)
{
    volatile uint64_t *dir = ept_virt(ept, ept->pdpt[page >> PAGES_1G_SHIFT] & ENTRY_ADDRESS);

    return &dir[page >> PAGES_2M_SHIFT & (EPT_ENTRIES - 1)];
}

/* The entry that ends the walk of a page below the limit, and its level: a leaf, or empty. */
static inline volatile uint64_t *ept_walk(const struct ept *ept, uint64_t page, unsigned *level)
{
    if (ept_has_table(ept, page)) {
        *level = 1;
        return ept_slot_4k(ept, page);
    }
    if (ept_has_dir(ept, page)) {
        *level = 2;
        return ept_slot_2m(ept, page);
    }
    *level = 3;
    return &ept->pdpt[page >> PAGES_1G_SHIFT];
}

/* Pages that a leaf of a level covers. */
static inline uint64_t ept_level_pages(unsigned level)
{
    return 1ull << (level - 1) * PAGES_2M_SHIFT;
}

/* How many pages from page on, up to end, lie under the same entry of a level. */
static inline uint64_t ept_run(uint64_t page, uint64_t end, unsigned level)
{
    uint64_t size = ept_level_pages(level);
    uint64_t next = (page | (size - 1)) + 1;

    return (next < end ? next : end) - page;
}

/* The OR and the AND of count entries of a table. CPUs only set flags in them meanwhile. */
struct ept_sum {
    uint64_t any;
    uint64_t all;
};

enum {
    EPT_SUM_STEP = 16
};

static inline struct ept_sum ept_sum(const volatile uint64_t *slots, uint64_t count)
{
    /* Plain loads, so that they can be operands: a flag that a CPU sets meanwhile may be missed. */
    const uint64_t *p = (const uint64_t *)slots;
    const uint64_t *end = p + count;
    const uint64_t *stop = p + count / EPT_SUM_STEP * EPT_SUM_STEP;
    uint64_t any = 0;
    uint64_t all = ~0ull;

    __asm__ volatile("" ::: "memory");
    for (; p != stop; p += EPT_SUM_STEP) {
        any |= p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7] | p[8] | p[9] | p[10] | p[11] |
               p[12] | p[13] | p[14] | p[15];
        /* Loaded again, as operands, rather than kept in registers. */
        __asm__ volatile("" ::: "memory");
        all &= p[0] & p[1] & p[2] & p[3] & p[4] & p[5] & p[6] & p[7] & p[8] & p[9] & p[10] & p[11] &
               p[12] & p[13] & p[14] & p[15];
    }
    for (; p != end; p++) {
        any |= *p;
        all &= *p;
    }
    return (struct ept_sum){any, all};
}

/* Only the OR of a whole table. */
static inline uint64_t ept_any(const volatile uint64_t *slots)
{
    const uint64_t *p = (const uint64_t *)slots;
    const uint64_t *end = p + EPT_ENTRIES;
    uint64_t any = 0;

    __asm__ volatile("" ::: "memory");
    for (; p != end; p += EPT_SUM_STEP) {
        any |= p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7] | p[8] | p[9] | p[10] | p[11] |
               p[12] | p[13] | p[14] | p[15];
    }
    return any;
}

/*
 * Check a range of pages: EPT_OK and *first = its first page number, EPT_EINVAL when misaligned,
 * empty or wrapping, EPT_ENOENT beyond the limit.
 */
int ept_check_range(const struct ept *ept, uint64_t gpa, uint64_t pages, uint64_t *first);

/* Whether every page of [first, end) is mapped. */
bool ept_all_mapped(const struct ept *ept, uint64_t first, uint64_t end);

/* Whether no page of [first, end) is mapped. */
bool ept_none_mapped(const struct ept *ept, uint64_t first, uint64_t end);

/* Make an interval, which is empty with an end of 0, cover [first, end), too. */
static inline void ept_interval_extend(struct ept_interval *interval, uint64_t first, uint64_t end)
{
    if (!interval->end || first < interval->first)
        interval->first = first;
    if (end > interval->end)
        interval->end = end;
}

/* Table memory (memory.c). */

/* See to it that pages table pages are at hand; EPT_OK or EPT_ENOMEM. May flush, never merges. */
int ept_reserve(struct ept *ept, uint64_t pages);

/* Take a page that was reserved. Its contents are anything. Returns its virtual address. */
void *ept_page_take(struct ept *ept);

/* The same, filled with zeroes. */
void *ept_page_take_zeroed(struct ept *ept);

/* Give back a page that no CPU ever walked. */
void ept_page_release(struct ept *ept, void *page);

/* Give back a table that was reachable until now; owes a flush. */
void ept_page_retire(struct ept *ept, const volatile uint64_t *table);

/* Give every page that is at hand back to the environment. */
void ept_cache_drop(struct ept *ept);

/* Tables (table.c). */

enum {
    PAGES_PER_DIR = EPT_TABLES_PER_GIB
};

/* Make an empty page directory or page table over page, where there is none. */
void ept_dir_create(struct ept *ept, uint64_t page);
void ept_table_create(struct ept *ept, uint64_t page);

/* Split the leaf over page by one level (1 GiB or 2 MiB); page memory is reserved. */
void ept_split(struct ept *ept, uint64_t page);

/* Split whatever leaf is over page down to 4 KiB; page memory is reserved. */
void ept_split_to_4k(struct ept *ept, uint64_t page);

/* Table pages that 4 KiB leaves for all of [first, end) take, whether it is mapped by now or not.
 */
uint64_t ept_need_4k(const struct ept *ept, uint64_t first, uint64_t end);

/*
 * What it takes to let [first, end) be changed alone: how many table pages for the splits at its
 * two edges, and those splits. access: enum ept_access, or EDGES_ALWAYS; a large leaf at an edge
 * that has this access already is left alone.
 */
enum {
    EDGES_ALWAYS = 8
};
unsigned ept_edges_need(const struct ept *ept, uint64_t first, uint64_t end, unsigned access);
void ept_edges_split(struct ept *ept, uint64_t first, uint64_t end, unsigned access);

/* An entry of the page directory over page became empty. */
void ept_dir_lost(struct ept *ept, uint64_t page);

/* Free the page table over page, and the page directory, if they are empty. */
void ept_free_empty(struct ept *ept, uint64_t page);

/* Aliases (alias.c). */

/* The page whose frame the alias at page maps; only of an alias. */
uint64_t ept_alias_primary(const struct ept *ept, uint64_t page);

/* Walk the aliases of a page that has some: the first, and the one after; EPT_ALIAS_END = no more.
 */
#define EPT_ALIAS_END UINT32_MAX
uint32_t ept_alias_first(const struct ept *ept, uint64_t page);
uint32_t ept_alias_next(const struct ept *ept, uint64_t alias);

/* Free the bookkeeping. */
void ept_alias_destroy(struct ept *ept);

/* Dirty tracking (dirty.c). */

/* A tracked page was written through the entry of page, which may be an alias. */
void ept_mark_slot(struct ept *ept, volatile uint64_t *slot, uint64_t page);

/* DIRTY at work. */
struct ept_harvest {
    uint64_t *next; /* where the next address goes */
    uint64_t *end;
    uint64_t keep; /* all bits but those that a clean page does not have */
    uint64_t old;  /* the entries that were cleaned, or-ed */
    uint64_t remaining;
};

/* Whether an alias of a page that has some is dirty. */
bool ept_aliases_dirty(const struct ept *ept, uint64_t page);

/* A page with aliases: report it and clean it if any of its addresses is dirty and there is room.
 */
void ept_harvest_aliased(struct ept *ept, struct ept_harvest *harvest, volatile uint64_t *slot,
                         uint64_t page);

/*
 * With views: where CPUs set dirty flags, before those of [first, end) are looked at: gather them
 * from the views. Elsewhere, after they were cleared: withhold writes in the views, too.
 */
void ept_follow_views(struct ept *ept, uint64_t first, uint64_t end);

/* The log (log.c). */

/* A tracked page, no alias, is dirty: note where to look for it. */
void ept_log_page(struct ept *ept, uint64_t page);

/* Whether the log knows of all dirty pages up to end, and to ask it is cheaper than to look at
 * pages entries. */
bool ept_log_serves(const struct ept *ept, uint64_t end, uint64_t pages);

/* Harvest [first, end) by the log; what does not fit stays in it. */
void ept_log_harvest(struct ept *ept, struct ept_harvest *harvest, uint64_t first, uint64_t end);

/* No page of [first, end) is dirty. */
void ept_log_forget(struct ept *ept, uint64_t first, uint64_t end);

/* Views (view_table.c, view.c). */

/*
 * The EPT's entries for pages from page on have changed: make those of all views agree. Before a
 * table that was unlinked is retired, since views may share it. Returns whether a leaf of a view is
 * gone through which a tracked page was written that was not reported.
 */
bool ept_views_sync(struct ept *ept, uint64_t page, uint64_t pages);

static inline void ept_views_changed(struct ept *ept, uint64_t page, uint64_t pages)
{
    if (__builtin_expect(ept->views != NULL, 0))
        ept_views_sync(ept, page, pages);
}

/*
 * Move what dirty flags the views' own leaves have for tracked pages to the EPT's leaves; whether
 * there were any. For CPUs that set them.
 */
bool ept_views_gather(struct ept *ept, uint64_t page, uint64_t pages);

/* Give back views' tables that only wait for it; returns how many (in limbo). */
unsigned ept_views_reclaim(struct ept *ept);

/* Destroy all views. */
void ept_views_destroy(struct ept *ept);

/* Merging (merge.c). */

/* Take a table (or, dir, a page directory) out of the queue. */
void ept_unqueue(struct ept *ept, uint64_t page, bool dir);

/*
 * The page may have got its full rights: if it was what kept its table from being merged, look for
 * another one. With none left the table is merged now, or queued.
 */
void ept_settle(struct ept *ept, uint64_t page, bool now);

/* The same for the page directory; it is always queued. */
void ept_settle_dir(struct ept *ept, uint64_t page);

/* Merge the page table, or the page directory, over a page if it is uniform, whatever its rights.
 */
void ept_merge_uniform(struct ept *ept, uint64_t page);
void ept_merge_uniform_dir(struct ept *ept, uint64_t page);

/*
 * Replace the page table (level 2) or the page directory and all below it (level 3) by one leaf
 * with access; false if something in it does not allow that. access: enum ept_access.
 */
bool ept_merge_as(struct ept *ept, uint64_t page, unsigned level, unsigned access);

/*
 * The same for the page table over page where pages pages from there on, at least one and not all,
 * are to get access and all others of the table have it; false if they have not.
 */
bool ept_merge_rest(struct ept *ept, uint64_t page, uint64_t pages, unsigned access);

#endif
