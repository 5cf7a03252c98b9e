/*
 * Merging tables back into large leaves.
 *
 * A table that a split made can become one leaf again when all its entries are alike. Looking at
 * 512 entries after each change would be too slow, counting them would cost each change of a page;
 * so each table names in its hint one entry that is known to be in the way (not at its full rights,
 * or tracked, or aliased). Only when that entry gets its full rights anything has to be done.
 *
 * Where a call on a single page did that, nothing is looked at: the table goes to a short queue as
 * one that may be uniform. A table in the queue is looked at when it is pushed out of it, when a
 * call raises a range of its pages, or when memory is short: then it is merged, or has a new hint
 * and is out of the queue. So a table of which single pages are protected and unprotected in turn
 * is neither searched nor split and merged each time. A call on a range looks at once, and merges
 * what it made uniform.
 *
 * While the EPT is held nothing is merged: what would be is queued, or noted as missed.
 */
#include "ept/table.h"

#define QUEUE_DIR 0x80000000u

static uint32_t queue_item(uint64_t page, bool dir)
{
    return dir ? (uint32_t)(page >> PAGES_1G_SHIFT) | QUEUE_DIR
               : (uint32_t)(page >> PAGES_2M_SHIFT);
}

static struct ept_table *bookkeeping_of(struct ept *ept, uint64_t page, bool dir)
{
    return dir ? &ept->dirs[page >> PAGES_1G_SHIFT] : ept_table_of(ept, page);
}

void ept_unqueue(struct ept *ept, uint64_t page, bool dir)
{
    uint32_t item = queue_item(page, dir);
    unsigned i = 0;

    if (!(bookkeeping_of(ept, page, dir)->flags & TABLE_QUEUED))
        return;
    bookkeeping_of(ept, page, dir)->flags &= ~TABLE_QUEUED;
    while (ept->queue[i] != item)
        i++;
    ept->queue_count--;
    for (; i < ept->queue_count; i++)
        ept->queue[i] = ept->queue[i + 1];
}

/* Merge the oldest table in the queue, if it is still uniform. */
static void queue_pop(struct ept *ept)
{
    uint32_t item = ept->queue[0];

    if (item & QUEUE_DIR) {
        uint64_t page = (uint64_t)(item & ~QUEUE_DIR) << PAGES_1G_SHIFT;

        ept_unqueue(ept, page, true);
        ept_merge_uniform_dir(ept, page);
    } else {
        uint64_t page = (uint64_t)item << PAGES_2M_SHIFT;

        ept_unqueue(ept, page, false);
        ept_settle(ept, page | ept_table_of(ept, page)->hint, true);
    }
}

/* Something at page could be merged, were the EPT not held. */
static void miss(struct ept *ept, uint64_t page)
{
    ept_interval_extend(&ept->missed, page, page + 1);
}

static void queue_push(struct ept *ept, uint64_t page, bool dir)
{
    while (ept->queue_count == EPT_QUEUE_MAX) {
        if (ept->holds) {
            miss(ept, page);
            return;
        }
        queue_pop(ept);
    }
    /* Popping may have merged what was to be queued, or queued it. */
    if ((dir ? !ept_has_dir(ept, page) : !ept_has_table(ept, page)) ||
        (bookkeeping_of(ept, page, dir)->flags & TABLE_QUEUED))
        return;
    bookkeeping_of(ept, page, dir)->flags |= TABLE_QUEUED;
    ept->queue[ept->queue_count++] = queue_item(page, dir);
}

/* Whether what hinders a merge into a leaf with these entries' sum is not there. */
static bool uniform(struct ept_sum sum)
{
    return (sum.all & ENTRY_LEAF) && !(sum.any & ENTRY_SPECIAL) &&
           !((sum.any ^ sum.all) & ENTRY_ACCESS);
}

/* The large leaf that maps what a table's entries did, from the first of them and their flags. */
static uint64_t large_leaf(const struct ept *ept, uint64_t first, uint64_t flags, unsigned access,
                           unsigned level)
{
    uint64_t entry = first | (flags & (ENTRY_A | ENTRY_D));

    return entry_with_access(ept, entry, entry_access_bits(access) & entry_full_bits(entry), level);
}

static void merge_table(struct ept *ept, uint64_t page, uint64_t leaf)
{
    volatile uint64_t *table = ept_page_table(ept, page);

    ept_unqueue(ept, page, false);
    entry_replace(ept_slot_2m(ept, page), leaf);
    ept->index[page >> PAGES_1G_SHIFT][page >> PAGES_2M_SHIFT & (EPT_ENTRIES - 1)] =
        (volatile uint64_t *)ept_void_table;
    ept->stats.merges++;
    ept_views_changed(ept, page & ~(uint64_t)(PAGES_2M - 1), PAGES_2M);
    ept_page_retire(ept, table);
}

/* All page tables below, if there are any, are unlinked along with the page directory. */
static void merge_dir(struct ept *ept, uint64_t base, bool tables, uint64_t leaf)
{
    uint64_t gib = base >> PAGES_1G_SHIFT;
    uint64_t end = tables ? base + PAGES_1G : base;
    volatile uint64_t *dir = ept_virt(ept, ept->pdpt[gib] & ENTRY_ADDRESS);
    volatile uint64_t **index = ept->index[gib];

    for (uint64_t at = base; at < end; at += PAGES_2M) {
        if (ept_has_table(ept, at))
            ept_unqueue(ept, at, false);
    }
    ept_unqueue(ept, base, true);
    entry_replace(&ept->pdpt[gib], leaf);
    ept_page_release(ept, ept->tables[gib]);
    ept->index[gib] = ept_void_index;
    ept->tables[gib] = NULL;
    ept_views_changed(ept, base, PAGES_1G);
    for (unsigned i = 0; tables && i < EPT_ENTRIES; i++) {
        if (index[i] != (volatile uint64_t *)ept_void_table) {
            ept_page_retire(ept, index[i]);
            ept->stats.merges++;
        }
    }
    ept_page_release(ept, index);
    ept->stats.merges++;
    ept_page_retire(ept, dir);
}

/* Whether nothing in a table forbids to replace it by a leaf with access. */
static bool replaceable(const struct ept *ept, const struct ept_table *table, unsigned access)
{
    return (table->flags & TABLE_SPLIT) &&
           !(ept->features.nx_huge && (access & EPT_ACCESS_X) && (table->flags & TABLE_KEEP));
}

static bool merge_dir_as(struct ept *ept, uint64_t base, unsigned access)
{
    volatile uint64_t *slots = ept_slot_2m(ept, base);
    struct ept_sum sum = ept_sum(slots, EPT_ENTRIES);
    uint64_t first = *slots;
    uint64_t flags = sum.any;
    bool tables = !(sum.all & ENTRY_LEAF);

    if (tables) {
        flags = 0;
        for (uint64_t at = base; at < base + PAGES_1G; at += PAGES_2M) {
            uint64_t any = *ept_slot_2m(ept, at);

            if (ept_has_table(ept, at)) {
                any = ept_any(ept_slot_4k(ept, at));
                if (!replaceable(ept, ept_table_of(ept, at), access) || (any & ENTRY_SPECIAL))
                    return false;
            }
            flags |= any;
        }
        if (ept_has_table(ept, base))
            first = *ept_slot_4k(ept, base);
    }
    merge_dir(ept, base, tables, large_leaf(ept, first, flags, access, 3));
    return true;
}

bool ept_merge_as(struct ept *ept, uint64_t page, unsigned level, unsigned access)
{
    uint64_t base = page & ~(ept_level_pages(level) - 1);
    volatile uint64_t *slots;
    uint64_t any;

    if (!replaceable(ept, bookkeeping_of(ept, page, level == 3), access))
        return false;
    if (ept->holds) {
        miss(ept, page);
        return false;
    }
    if (level == 3)
        return merge_dir_as(ept, base, access);
    slots = ept_slot_4k(ept, base);
    any = ept_any(slots);
    if (any & ENTRY_SPECIAL)
        return false;
    merge_table(ept, page, large_leaf(ept, *slots, any, access, level));
    return true;
}

bool ept_merge_rest(struct ept *ept, uint64_t page, uint64_t pages, unsigned access)
{
    const uint64_t at = page & (EPT_ENTRIES - 1), end = at + pages;
    volatile uint64_t *slots = ept_slot_4k(ept, page - at);
    const struct ept_table *table = ept_table_of(ept, page);
    const uint64_t bits = entry_access_bits(access) & entry_full_bits(slots[0]);
    struct ept_sum before, behind;

    /* At a glance: the entries that are the likeliest to differ, if they are none of the part. */
    if ((at && (slots[at - 1] & ENTRY_ACCESS) != bits) ||
        (end < EPT_ENTRIES && (slots[end] & ENTRY_ACCESS) != bits) ||
        ((table->hint < at || table->hint >= end) && (slots[table->hint] & ENTRY_ACCESS) != bits))
        return false;
    before = ept_sum(slots, at);
    behind = ept_sum(&slots[end], EPT_ENTRIES - end);
    if (((before.any | behind.any) & ENTRY_ACCESS) != bits ||
        (before.all & behind.all & ENTRY_ACCESS & bits) != bits)
        return false;
    return ept_merge_as(ept, page, 2, access);
}

/* Whether a table can be merged at all, to keep its rights. */
static bool mergeable(const struct ept_table *table)
{
    return (table->flags & (TABLE_SPLIT | TABLE_KEEP)) == TABLE_SPLIT;
}

void ept_merge_uniform(struct ept *ept, uint64_t page)
{
    const struct ept_table *table;
    volatile uint64_t *slots;
    struct ept_sum sum;
    uint64_t mine;

    if (!ept_has_table(ept, page) || !mergeable(ept_table_of(ept, page)))
        return;
    table = ept_table_of(ept, page);
    slots = ept_slot_4k(ept, page & ~(uint64_t)(PAGES_2M - 1));
    mine = *ept_slot_4k(ept, page);
    /* Most tables that are not uniform are not so at a glance. */
    if (((mine ^ slots[0]) | (mine ^ slots[EPT_ENTRIES - 1]) | (mine ^ slots[table->hint])) &
        ENTRY_ACCESS)
        return;
    if (ept->holds) {
        miss(ept, page);
        return;
    }
    sum = ept_sum(slots, EPT_ENTRIES);
    if (!uniform(sum))
        return;
    merge_table(ept, page, large_leaf(ept, slots[0], sum.any, entry_access(mine), 2));
    ept_settle_dir(ept, page);
}

void ept_merge_uniform_dir(struct ept *ept, uint64_t page)
{
    volatile uint64_t *slots;

    if (!ept_has_dir(ept, page) || !mergeable(&ept->dirs[page >> PAGES_1G_SHIFT]))
        return;
    if (ept->holds) {
        miss(ept, page);
        return;
    }
    slots = ept_slot_2m(ept, page & ~(uint64_t)(PAGES_1G - 1));
    if (uniform(ept_sum(slots, EPT_ENTRIES)))
        ept_merge_as(ept, page, 3, entry_access(slots[0]));
    else
        ept_settle_dir(ept, page);
}

/*
 * Find an entry that is not plain, from the hint on, and make it the hint; false if there is none,
 * then *any is the OR of all. All pages of a table that can be merged have the same full rights.
 */
static bool find_hint(struct ept_table *table, const volatile uint64_t *slots, uint64_t *any)
{
    unsigned at = table->hint & ~(EPT_SUM_STEP - 1u);

    *any = 0;
    for (unsigned i = 0; i < EPT_ENTRIES; i += EPT_SUM_STEP) {
        struct ept_sum sum = ept_sum(&slots[at], EPT_SUM_STEP);

        *any |= sum.any;
        if (!(sum.all & ENTRY_LEAF) || !entry_plain(sum.all) || (sum.any & ENTRY_SPECIAL)) {
            while ((slots[at] & ENTRY_LEAF) && entry_plain(slots[at]))
                at++;
            table->hint = (uint16_t)at;
            return true;
        }
        at = (at + EPT_SUM_STEP) & (EPT_ENTRIES - 1);
    }
    return false;
}

void ept_settle(struct ept *ept, uint64_t page, bool now)
{
    struct ept_table *table;
    volatile uint64_t *slots;
    uint64_t any;

    if (!ept_has_table(ept, page)) {
        if (ept_has_dir(ept, page))
            ept_settle_dir(ept, page);
        return;
    }
    table = ept_table_of(ept, page);
    slots = ept_slot_4k(ept, page & ~(uint64_t)(PAGES_2M - 1));
    if (!mergeable(table))
        return;
    if (!now || ept->holds) {
        if (!(table->flags & TABLE_QUEUED) && entry_plain(slots[table->hint]))
            queue_push(ept, page, false);
    } else if (!entry_plain(slots[table->hint]) || find_hint(table, slots, &any)) {
        ept_unqueue(ept, page, false);
    } else {
        merge_table(ept, page, large_leaf(ept, slots[0], any, EPT_ACCESS_RWX, 2));
        ept_settle_dir(ept, page);
    }
}

void ept_settle_dir(struct ept *ept, uint64_t page)
{
    struct ept_table *dir = &ept->dirs[page >> PAGES_1G_SHIFT];
    volatile uint64_t *slots;
    uint64_t hint;
    uint64_t any;

    if (!mergeable(dir) || (dir->flags & TABLE_QUEUED))
        return;
    slots = ept_slot_2m(ept, page & ~(uint64_t)(PAGES_1G - 1));
    hint = slots[dir->hint];
    if ((hint & ENTRY_LEAF) && entry_plain(hint) && !find_hint(dir, slots, &any))
        queue_push(ept, page, true);
}

/* Merge what is uniform in the part of the EPT where that could not be done. */
static void settle_missed(struct ept *ept)
{
    uint64_t first = ept->missed.first & ~(uint64_t)(PAGES_2M - 1);
    uint64_t end = ept->missed.end;
    uint64_t run;

    ept->missed = (struct ept_interval){0};
    for (uint64_t page = first; page < end; page += run) {
        run = ept_run(page, end, 3);
        if (!ept_has_dir(ept, page))
            continue;
        for (uint64_t at = page; at < page + run; at += PAGES_2M) {
            if (ept_has_table(ept, at)) {
                ept_merge_uniform(ept, at);
                ept_settle(ept, at, true);
            }
        }
        ept_merge_uniform_dir(ept, page);
    }
}

void ept_hold(struct ept *ept)
{
    ept->holds++;
}

void ept_relax(struct ept *ept)
{
    if (ept->prepared.end)
        ept_interval_extend(&ept->missed, ept->prepared.first, ept->prepared.end);
}

void ept_release(struct ept *ept)
{
    ept->holds--;
    if (ept->holds)
        return;
    ept->prepared.end = 0;
    if (ept->missed.end)
        settle_missed(ept);
}

unsigned ept_reclaim(struct ept *ept)
{
    uint64_t before = ept->stats.merges;
    unsigned freed = ept_views_reclaim(ept);

    while (!ept->holds && ept->queue_count)
        queue_pop(ept);
    return freed + (unsigned)(ept->stats.merges - before);
}
