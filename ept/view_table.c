/*
 * The tables of a view: what their entries say, making and dropping them, following the EPT.
 */
#include "ept/view_table.h"

/*
 * Before a table of leaves goes: what was written through them is the EPT's. A CPU may still find
 * the table in its paging-structure caches and set a flag in it, so that tracked leaves are emptied
 * rather than read; an access that meets the hole is tried again.
 */
static void fold_leaves(struct ept *ept, volatile uint64_t *table, uint64_t page)
{
    if (!ept->features.accessed_dirty || !(ept_any(table) & ENTRY_TRACKED))
        return;
    for (unsigned i = 0; i < EPT_ENTRIES; i++) {
        uint64_t entry = table[i];

        if (!(entry & ENTRY_TRACKED))
            continue;
        entry = entry_replace(&table[i], ENTRY_EMPTY | (entry & VIEW_RESTRICTION));
        if (entry & ENTRY_HARDWARE)
            ept->flush_owed = true;
        if (entry & ENTRY_D)
            ept_mark_slot(ept, ept_slot_4k(ept, page + i), page + i);
    }
}

/* Fold all that lies below a table of the view's own. level: of its entries. */
static void fold(struct ept *ept, volatile uint64_t *table, uint64_t page, unsigned level)
{
    if (level == 1) {
        fold_leaves(ept, table, page);
        return;
    }
    for (unsigned i = 0; i < EPT_ENTRIES; i++) {
        if (table[i] & VIEW_PRIVATE)
            fold(ept, view_child(ept, table[i]), page + i * ept_level_pages(level), level - 1);
    }
}

/* Give back a table that was unlinked, and all below it. */
static void retire(struct ept *ept, volatile uint64_t *table, unsigned level)
{
    for (unsigned i = 0; level > 1 && i < EPT_ENTRIES; i++) {
        if (table[i] & VIEW_PRIVATE)
            retire(ept, view_child(ept, table[i]), level - 1);
    }
    ept->stats.view_tables--;
    ept_page_retire(ept, table);
}

void view_share(struct ept_view *view, volatile uint64_t *slot, uint64_t page, unsigned level,
                unsigned restriction)
{
    struct ept *ept = view->ept;
    uint64_t old = *slot;

    if ((old & VIEW_PRIVATE) && ept->tracked_count)
        fold(ept, view_child(ept, old), page, level - 1);
    view_put(ept, slot,
             view_shared_entry(ept, view_base_entry(ept, page, level), restriction, level));
    if (old & VIEW_PRIVATE) {
        view->last_table = NULL;
        retire(ept, view_child(ept, old), level - 1);
    }
}

void view_split(struct ept_view *view, volatile uint64_t *slot, uint64_t page, unsigned level)
{
    struct ept *ept = view->ept;
    uint64_t old = *slot;
    unsigned restriction = view_restriction(old);
    uint64_t step = ept_level_pages(level - 1);
    volatile uint64_t *table = ept_page_take(ept);

    for (unsigned i = 0; i < EPT_ENTRIES; i++)
        entry_init(&table[i],
                   view_shared_entry(ept, view_base_entry(ept, page + i * step, level - 1),
                                     restriction, level - 1));
    view_put(ept, slot, ept_phys(ept, table) | ENTRY_TABLE | VIEW_PRIVATE);
    ept->stats.view_tables++;
}

bool view_uniform(const volatile uint64_t *table)
{
    const uint64_t bits = VIEW_RESTRICTION | VIEW_PRIVATE;
    uint64_t first = table[0];
    struct ept_sum sum;

    /* Most tables that are not uniform are not so at a glance. */
    if ((first & VIEW_PRIVATE) ||
        (((first ^ table[EPT_ENTRIES - 1]) | (first ^ table[EPT_ENTRIES / 2])) & bits))
        return false;
    sum = ept_sum(table, EPT_ENTRIES);
    return !((sum.any ^ sum.all) & bits);
}

volatile uint64_t *view_walk(const struct ept_view *view, uint64_t page, unsigned *level)
{
    volatile uint64_t *slot = ept_virt(view->ept, view->root);

    for (*level = VIEW_LEVELS; *slot & VIEW_PRIVATE;) {
        --*level;
        slot = view_slot(view_child(view->ept, *slot), page, *level);
    }
    return slot;
}

static bool sync_table(struct ept *ept, volatile uint64_t *table, unsigned level, uint64_t first,
                       uint64_t end)
{
    uint64_t size = ept_level_pages(level);
    bool dirty = false;
    uint64_t run;

    for (uint64_t page = first; page < end; page += run) {
        volatile uint64_t *slot = view_slot(table, page, level);
        uint64_t entry = *slot;

        run = ept_run(page, end, level);
        if (entry & VIEW_PRIVATE) {
            dirty |= sync_table(ept, view_child(ept, entry), level - 1, page, page + run);
            continue;
        }
        dirty |= view_put(ept, slot,
                          view_shared_entry(ept, view_base_entry(ept, page & ~(size - 1), level),
                                            view_restriction(entry), level));
    }
    return dirty;
}

bool view_sync(struct ept_view *view, uint64_t first, uint64_t end)
{
    uint64_t root = *(volatile uint64_t *)ept_virt(view->ept, view->root);

    /* The EPT's own PML4 never changes. */
    return (root & VIEW_PRIVATE) &&
           sync_table(view->ept, view_child(view->ept, root), VIEW_LEVELS - 1, first, end);
}

bool ept_views_sync(struct ept *ept, uint64_t page, uint64_t pages)
{
    bool dirty = false;

    for (struct ept_view *view = ept->views; view; view = view->next)
        dirty |= view_sync(view, page, page + pages);
    return dirty;
}

static bool gather_table(struct ept *ept, volatile uint64_t *table, unsigned level, uint64_t first,
                         uint64_t end)
{
    const uint64_t bits = ENTRY_TRACKED | ENTRY_D;
    bool any = false;
    uint64_t run;

    for (uint64_t page = first; page < end; page += run) {
        volatile uint64_t *slot = view_slot(table, page, level);
        uint64_t entry = *slot;

        run = ept_run(page, end, level);
        if (entry & VIEW_PRIVATE) {
            any |= gather_table(ept, view_child(ept, entry), level - 1, page, page + run);
        } else if (level == 1 && (entry & bits) == bits) {
            ept_mark_slot(ept, ept_slot_4k(ept, page), page);
            entry_clear(slot, ENTRY_D);
            if (entry & ENTRY_HARDWARE)
                ept->flush_owed = true;
            any = true;
        }
    }
    return any;
}

bool ept_views_gather(struct ept *ept, uint64_t page, uint64_t pages)
{
    bool any = false;

    for (struct ept_view *view = ept->views; view; view = view->next) {
        uint64_t root = *(volatile uint64_t *)ept_virt(ept, view->root);

        if (root & VIEW_PRIVATE)
            any |= gather_table(ept, view_child(ept, root), VIEW_LEVELS - 1, page, page + pages);
    }
    return any;
}
