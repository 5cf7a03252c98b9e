/*
 * Protection of pages and ranges.
 *
 * A call first checks its whole range and gets the table pages that it can need; from then on it
 * cannot fail. Then it changes each leaf by one store, so that a CPU sees the old or the new
 * rights.
 */
#include "ept/table.h"

enum {
    LARGER_PART = EPT_ENTRIES / 2, /* of a page table: to look at the rest is cheaper than at it */
};

enum edge {
    EDGE_DIR = 1,   /* a 1 GiB leaf must be split */
    EDGE_TABLE = 2, /* a 2 MiB leaf must be split */
};

/* What must be split for a leaf to begin at page. */
static unsigned edge(const struct ept *ept, uint64_t page, unsigned access)
{
    unsigned level;
    uint64_t entry;

    if (page >= ept->limit_pages || ept_has_table(ept, page))
        return 0;
    entry = *ept_walk(ept, page, &level);
    if (!(page & (ept_level_pages(level) - 1)) || !(entry & ENTRY_LEAF))
        return 0;
    if (access != EDGES_ALWAYS && entry_access(entry) == (access & entry_full(entry)))
        return 0;
    return (level == 3 ? EDGE_DIR : 0) | (page & (PAGES_2M - 1) ? EDGE_TABLE : 0);
}

unsigned ept_edges_need(const struct ept *ept, uint64_t first, uint64_t end, unsigned access)
{
    unsigned head = edge(ept, first, access);
    unsigned tail = edge(ept, end, access);

    if (first >> PAGES_1G_SHIFT == end >> PAGES_1G_SHIFT)
        tail &= ~(head & EDGE_DIR);
    if (first >> PAGES_2M_SHIFT == end >> PAGES_2M_SHIFT)
        tail &= ~(head & EDGE_TABLE);
    return (head & EDGE_DIR ? PAGES_PER_DIR : 0) + (head & EDGE_TABLE ? 1 : 0) +
           (tail & EDGE_DIR ? PAGES_PER_DIR : 0) + (tail & EDGE_TABLE ? 1 : 0);
}

void ept_edges_split(struct ept *ept, uint64_t first, uint64_t end, unsigned access)
{
    unsigned head = edge(ept, first, access);
    unsigned tail;

    if (head & EDGE_DIR)
        ept_split(ept, first);
    if (head & EDGE_TABLE)
        ept_split(ept, first);
    /* Seen again: the head's splits may have been the tail's too. */
    tail = edge(ept, end, access);
    if (tail & EDGE_DIR)
        ept_split(ept, end - 1);
    if (tail & EDGE_TABLE)
        ept_split(ept, end - 1);
}

int ept_access_check(const struct ept *ept, unsigned access)
{
    if (access > EPT_ACCESS_RWX || (access & EPT_ACCESS_RW) == EPT_ACCESS_W)
        return EPT_EINVAL;
    return ept->valid_access >> access & 1 ? EPT_OK : EPT_EOPNOTSUPP;
}

/* Give one leaf the access of want, as far as its full rights go; returns the entry it makes. */
static inline uint64_t protect_leaf(struct ept *ept, volatile uint64_t *slot, unsigned level,
                                    uint64_t want)
{
    uint64_t old = *slot;
    uint64_t entry = entry_with_access(ept, old, want & entry_full_bits(old), level);

    if (entry == old)
        return entry;
    entry_change(slot, old, entry);
    /* Only a right that is taken away needs a flush (SDM 28.3.3.4: bits 2:0 from 1 to 0). */
    if (old & ~entry & ENTRY_HARDWARE)
        ept->flush_owed = true;
    return entry;
}

/* Clear bits of count entries; returns the OR of what they were. */
static uint64_t lower_run(volatile uint64_t *slots, uint64_t count, uint64_t bits)
{
    uint64_t any = 0;

    for (; count >= 8; count -= 8, slots += 8) {
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++) {
            any |= *(const uint64_t *)&slots[i];
            entry_clear(&slots[i], bits);
        }
    }
    for (; count; count--, slots++) {
        any |= *slots;
        entry_clear(slots, bits);
    }
    return any;
}

static void raise_run(volatile uint64_t *slots, uint64_t count, uint64_t bits)
{
    for (; count >= 8; count -= 8, slots += 8) {
        entry_raise(&slots[0], bits);
        entry_raise(&slots[1], bits);
        entry_raise(&slots[2], bits);
        entry_raise(&slots[3], bits);
        entry_raise(&slots[4], bits);
        entry_raise(&slots[5], bits);
        entry_raise(&slots[6], bits);
        entry_raise(&slots[7], bits);
    }
    for (; count; count--, slots++)
        entry_raise(slots, bits);
}

/* Protect count leaves of one table, all by lowering or all by raising where that does. */
static void protect_run(struct ept *ept, volatile uint64_t *slots, uint64_t count, unsigned level,
                        uint64_t want)
{
    uint64_t drop = entry_drop_bits(want);
    struct ept_sum sum;
    uint64_t hardware;
    uint64_t suppress;
    uint64_t bits;
    bool alike;

    if (!want) {
        if (lower_run(slots, count, drop | ept->converts) & drop & ENTRY_HARDWARE)
            ept->flush_owed = true;
        return;
    }
    sum = ept_sum(slots, count);
    alike = !((sum.any ^ sum.all) & ENTRY_FULL);
    bits = alike ? want & entry_full_bits(sum.all) : want;
    hardware = entry_hardware(ept, 0, bits, level);
    suppress = entry_suppress(ept, bits, entry_full_bits(sum.all), hardware);
    if (!(bits & ~sum.all) && (alike || !ept->converts)) {
        if (!(sum.any & drop))
            return;
        lower_run(slots, count, drop | (ENTRY_SUPPRESS_VE ^ suppress));
        if (sum.any & drop & ENTRY_HARDWARE)
            ept->flush_owed = true;
    } else if (alike && !(sum.any & drop) && !(sum.any & ept->write_protects)) {
        raise_run(slots, count, bits | hardware | suppress);
    } else {
        for (; count; count--, slots++)
            protect_leaf(ept, slots, level, want);
    }
}

/* Large leaves of a page directory that follow each other from page on, up to end. */
static uint64_t leaves_2m(const volatile uint64_t *slots, uint64_t page, uint64_t end)
{
    uint64_t most = ((end - 1) >> PAGES_2M_SHIFT) - (page >> PAGES_2M_SHIFT) + 1;
    uint64_t count = 1;

    while (count < most && (slots[count] & ENTRY_LEAF))
        count++;
    return count;
}

/* Let a large leaf say what pages of one page table are to have, where all its others have it. */
static inline bool merge_run(struct ept *ept, uint64_t page, uint64_t pages, unsigned access)
{
    if (pages == PAGES_2M)
        return ept_merge_as(ept, page, 2, access);
    return pages >= LARGER_PART && ept_merge_rest(ept, page, pages, access);
}

/*
 * Change [first, end), of which all is mapped and no large leaf lies across an edge but unchanged,
 * under one page directory. Returns whether a page table that is wholly in it could not be merged.
 */
static bool protect_dir(struct ept *ept, uint64_t first, uint64_t end, unsigned access)
{
    uint64_t want = entry_access_bits(access);
    bool kept = false;

    for (uint64_t page = first; page < end;) {
        uint64_t run = ept_run(page, end, 2);

        if (!ept_has_table(ept, page)) {
            volatile uint64_t *slots = ept_slot_2m(ept, page);
            uint64_t count = leaves_2m(slots, page, end);

            protect_run(ept, slots, count, 2, want);
            page = ((page >> PAGES_2M_SHIFT) + count) << PAGES_2M_SHIFT;
            continue;
        }
        if (!merge_run(ept, page, run, access)) {
            kept |= run == PAGES_2M;
            protect_run(ept, ept_slot_4k(ept, page), run, 1, want);
        }
        page += run;
    }
    return kept;
}

/* The same for any range. */
static bool protect_apply(struct ept *ept, uint64_t first, uint64_t end, unsigned access)
{
    bool kept = false;
    uint64_t run;

    for (uint64_t page = first; page < end; page += run) {
        run = ept_run(page, end, 3);
        if (!ept_has_dir(ept, page))
            protect_leaf(ept, &ept->pdpt[page >> PAGES_1G_SHIFT], 3, entry_access_bits(access));
        else if (run < PAGES_1G || !ept_merge_as(ept, page, 3, access))
            kept |= protect_dir(ept, page, page + run, access);
    }
    return kept;
}

/*
 * Whether some entries of a table have the access of one of its pages. To look at all is dear, and
 * in vain where a part of the table is lowered whose ends were so before; the middle tells, and a
 * quarter to each side of it where the part has the middle: a larger part is merge_run()'s.
 */
static inline bool alike_here_and_there(const volatile uint64_t *table, uint64_t entry)
{
    enum {
        QUARTER = EPT_ENTRIES / 4,
    };
    uint64_t ends = (entry ^ table[0]) | (entry ^ table[EPT_ENTRIES - 1]);

    return !(ends & ENTRY_ACCESS) && !(((entry ^ table[QUARTER]) | (entry ^ table[2 * QUARTER]) |
                                        (entry ^ table[3 * QUARTER])) &
                                       ENTRY_ACCESS);
}

/* Merge the page table over a page that a range call changed, if that made it uniform. */
static inline void settle_table(struct ept *ept, uint64_t page)
{
    volatile uint64_t *table = ept_page_table(ept, page);
    uint64_t entry = table[page & (EPT_ENTRIES - 1)];

    if (!(entry & ENTRY_LEAF))
        return;
    /* No page that is lowered can make the hint wrong. */
    if ((entry & ENTRY_ACCESS) == entry_full_bits(entry))
        ept_settle(ept, page, true);
    else if (alike_here_and_there(table, entry))
        ept_merge_uniform(ept, page);
}

/*
 * Merge what a range call made uniform. Later than all changes: no edge may merge before. kept:
 * whether page tables between the edges were not merged.
 */
static void settle_range(struct ept *ept, uint64_t first, uint64_t end, bool kept)
{
    settle_table(ept, first);
    if (first >> PAGES_2M_SHIFT != (end - 1) >> PAGES_2M_SHIFT)
        settle_table(ept, end - 1);
    for (uint64_t page = first; kept && page < end; page += ept_run(page, end, 2)) {
        if (ept_has_table(ept, page))
            ept_settle(ept, page, true);
    }
    for (uint64_t page = first; page < end; page += ept_run(page, end, 3)) {
        if (ept_has_dir(ept, page))
            ept_settle_dir(ept, page);
    }
}

/* A range that is one 2 MiB leaf; false if it is not. */
static bool protect_large(struct ept *ept, uint64_t first, uint64_t pages, unsigned access)
{
    volatile uint64_t *slot;

    if (pages != PAGES_2M || (first & (PAGES_2M - 1)) || !ept_has_dir(ept, first))
        return false;
    slot = ept_slot_2m(ept, first);
    if (!(*slot & ENTRY_LEAF))
        return false;
    protect_leaf(ept, slot, 2, entry_access_bits(access));
    ept_views_changed(ept, first, pages);
    ept_settle_dir(ept, first);
    return true;
}

/* A part of one page table, so that nothing is split; false if the range is anything else. */
static inline bool protect_part(struct ept *ept, uint64_t page, uint64_t pages, unsigned access)
{
    unsigned at = page & (EPT_ENTRIES - 1);
    volatile uint64_t *table;

    if (page >= ept->limit_pages || pages - 1 >= EPT_ENTRIES - 1 || pages > EPT_ENTRIES - at)
        return false;
    table = ept_page_table(ept, page);
    if (!(table[at] & ENTRY_LEAF) || (ept_table_of(ept, page)->mapped != EPT_ENTRIES &&
                                      !(ept_sum(&table[at], pages).all & ENTRY_LEAF)))
        return false;
    if (merge_run(ept, page, pages, access)) {
        ept_settle_dir(ept, page);
        return true;
    }
    protect_run(ept, &table[at], pages, 1, entry_access_bits(access));
    ept_views_changed(ept, page, pages);
    settle_table(ept, page);
    return true;
}

/* Any range, and single pages in large leaves. */
static int protect_range(struct ept *ept, uint64_t gpa, uint64_t pages, unsigned access)
{
    uint64_t first;
    uint64_t end;
    unsigned need;
    bool kept;
    int error = ept_check_range(ept, gpa, pages, &first);

    if (error)
        return error;
    end = first + pages;
    if (protect_large(ept, first, pages, access))
        return EPT_OK;
    if (!ept_all_mapped(ept, first, end))
        return EPT_ENOENT;
    need = ept_edges_need(ept, first, end, access);
    if (need) {
        while (ept_reserve(ept, need)) {
            if (!ept_reclaim(ept))
                return EPT_ENOMEM;
            need = ept_edges_need(ept, first, end, access);
        }
        ept_edges_split(ept, first, end, access);
    }
    kept = protect_apply(ept, first, end, access);
    ept_views_changed(ept, first, pages);
    if (pages > 1)
        settle_range(ept, first, end, kept);
    else
        ept_settle(ept, first, false);
    return EPT_OK;
}

/* A single page that is not to be lowered in its page table: raised, or anything else. */
static __attribute__((noinline)) int protect_slow(struct ept *ept, uint64_t gpa, uint64_t pages,
                                                  unsigned access)
{
    uint64_t page = ept_page_number(gpa);

    if (pages == 1 && page < ept->limit_pages && (*ept_slot_4k(ept, page) & ENTRY_LEAF)) {
        uint64_t entry = protect_leaf(ept, ept_slot_4k(ept, page), 1, entry_access_bits(access));

        ept_views_changed(ept, page, 1);
        if ((entry & ENTRY_ACCESS) == entry_full_bits(entry))
            ept_settle(ept, page, false);
        return EPT_OK;
    }
    if (protect_part(ept, page, pages, access))
        return EPT_OK;
    return protect_range(ept, gpa, pages, access);
}

int ept_protect(struct ept *ept, uint64_t gpa, uint64_t pages, unsigned access)
{
    uint64_t page = ept_page_number(gpa);
    int error;

    /* The common case: a 4 KiB leaf that only loses rights. */
    if (pages == 1 && access <= EPT_ACCESS_RWX && page < ept->fast_pages) {
        volatile uint64_t *slot = ept_slot_4k(ept, page);
        uint64_t old = *slot;

        uint64_t drop = ept->drop[access];

        /* What the CPU is told always changes here, so that a flush is owed (28.3.3.4). */
        if ((old & drop & ENTRY_HARDWARE) && !(ept->need[access] & ~old)) {
            entry_clear(slot, drop);
            ept->flush_owed = true;
            return EPT_OK;
        }
    }
    error = ept_access_check(ept, access);
    return error ? error : protect_slow(ept, gpa, pages, access);
}

int ept_unprotect(struct ept *ept, uint64_t gpa, uint64_t pages)
{
    uint64_t page = ept_page_number(gpa);

    /* The common case: a 4 KiB leaf, and its hardware bits follow from its rights. */
    if (pages == 1 && page < ept->fast_pages) {
        volatile uint64_t *slot = ept_slot_4k(ept, page);
        uint64_t old = *slot;

        if ((old & ENTRY_LEAF) && !(old & ept->write_protects)) {
            const struct ept_table *table = ept_table_of(ept, page);
            uint64_t bits = entry_full_bits(old);

            entry_raise(slot, bits | bits >> ENTRY_SOFT_SHIFT | ENTRY_SUPPRESS_VE);
            /* A table whose hint became plain must look for another. */
            if (table->hint == (page & (EPT_ENTRIES - 1)) && table->flags == TABLE_SPLIT)
                ept_settle(ept, page, false);
            return EPT_OK;
        }
    }
    return protect_slow(ept, gpa, pages, EPT_ACCESS_RWX);
}
