/*
 * Tables: making them, splitting large leaves into them, freeing them when they are empty.
 */
#include "ept/table.h"

const uint64_t ept_void_table[EPT_ENTRIES] __attribute__((aligned(EPT_PAGE_BYTES)));

volatile uint64_t *ept_void_index[EPT_ENTRIES] = {
    [0 ... EPT_ENTRIES - 1] = (volatile uint64_t *)ept_void_table,
};

int ept_check_range(const struct ept *ept, uint64_t gpa, uint64_t pages, uint64_t *first)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;

    if ((gpa & (EPT_PAGE_BYTES - 1)) || !pages || pages > (1ull << 52) - page)
        return EPT_EINVAL;
    if (page >= ept->limit_pages || pages > ept->limit_pages - page)
        return EPT_ENOENT;
    *first = page;
    return EPT_OK;
}

/* Whether every page of [first, end), under one page directory, is mapped. */
static bool dir_mapped(const struct ept *ept, uint64_t first, uint64_t end)
{
    volatile uint64_t *slots = ept_slot_2m(ept, first);
    uint64_t count = ((end - 1) >> PAGES_2M_SHIFT) - (first >> PAGES_2M_SHIFT) + 1;

    if (ept_sum(slots, count).all & ENTRY_LEAF)
        return true;
    for (uint64_t page = first; page < end; slots++) {
        uint64_t run = ept_run(page, end, 2);

        if (!(*slots & ENTRY_LEAF) && (!ept_has_table(ept, page) ||
                                       (ept_table_of(ept, page)->mapped != EPT_ENTRIES &&
                                        !(ept_sum(ept_slot_4k(ept, page), run).all & ENTRY_LEAF))))
            return false;
        page += run;
    }
    return true;
}

bool ept_all_mapped(const struct ept *ept, uint64_t first, uint64_t end)
{
    uint64_t run;

    for (uint64_t page = first; page < end; page += run) {
        run = ept_run(page, end, 3);
        if (ept_has_dir(ept, page) ? !dir_mapped(ept, page, page + run)
                                   : !(ept->pdpt[page >> PAGES_1G_SHIFT] & ENTRY_LEAF))
            return false;
    }
    return true;
}

/* Fill a table with leaves that together map what entry does; step: bytes between them. */
static void fill(volatile uint64_t *table, uint64_t entry, uint64_t step)
{
#pragma GCC unroll 16
    for (unsigned i = 0; i < EPT_ENTRIES; i++) {
        entry_init(&table[i], entry);
        entry += step;
    }
}

static void dir_link(struct ept *ept, uint64_t page, struct ept_table bookkeeping)
{
    uint64_t gib = page >> PAGES_1G_SHIFT;
    volatile uint64_t **index = ept_page_take(ept);

    for (unsigned i = 0; i < EPT_ENTRIES; i++)
        index[i] = (volatile uint64_t *)ept_void_table;
    ept->tables[gib] = ept_page_take_zeroed(ept);
    ept->dirs[gib] = bookkeeping;
    ept->index[gib] = index;
}

static void table_link(struct ept *ept, uint64_t page, volatile uint64_t *table,
                       struct ept_table bookkeeping)
{
    uint64_t gib = page >> PAGES_1G_SHIFT;
    unsigned at = page >> PAGES_2M_SHIFT & (EPT_ENTRIES - 1);

    ept->index[gib][at] = table;
    ept->tables[gib][at] = bookkeeping;
}

void ept_dir_create(struct ept *ept, uint64_t page)
{
    volatile uint64_t *dir = ept_page_take(ept);

    fill(dir, ENTRY_EMPTY, 0);
    dir_link(ept, page, (struct ept_table){0});
    entry_replace(&ept->pdpt[page >> PAGES_1G_SHIFT], ept_phys(ept, dir) | ENTRY_TABLE);
    ept_views_changed(ept, page & ~(uint64_t)(PAGES_1G - 1), PAGES_1G);
}

void ept_table_create(struct ept *ept, uint64_t page)
{
    volatile uint64_t *table = ept_page_take(ept);

    fill(table, ENTRY_EMPTY, 0);
    table_link(ept, page, table, (struct ept_table){0});
    ept->dirs[page >> PAGES_1G_SHIFT].mapped++;
    entry_replace(ept_slot_2m(ept, page), ept_phys(ept, table) | ENTRY_TABLE);
    ept_views_changed(ept, page & ~(uint64_t)(PAGES_2M - 1), PAGES_2M);
}

void ept_split(struct ept *ept, uint64_t page)
{
    unsigned level;
    volatile uint64_t *slot = ept_walk(ept, page, &level);
    uint64_t old = *slot;
    uint64_t child = entry_with_access(ept, old, old & ENTRY_ACCESS, level - 1);
    volatile uint64_t *table = ept_page_take(ept);
    struct ept_table bookkeeping = {
        .mapped = EPT_ENTRIES,
        .hint = (level == 3 ? page >> PAGES_2M_SHIFT : page) & (EPT_ENTRIES - 1),
        .flags = TABLE_SPLIT,
    };
    uint64_t late;

    fill(table, child, ept_level_pages(level - 1) << EPT_PAGE_SHIFT);
    if (level == 3)
        dir_link(ept, page, bookkeeping);
    late = entry_replace(slot, ept_phys(ept, table) | ENTRY_TABLE) & ~old & (ENTRY_A | ENTRY_D);
    /* A CPU set a flag in the large leaf after it was read. */
    for (unsigned i = 0; late && i < EPT_ENTRIES; i++)
        entry_raise(&table[i], late);
    if (level == 2)
        table_link(ept, page, table, bookkeeping);
    /* The size of a page in use changes (SDM 28.3.3.4: bit 7); what is not present is not cached.
     */
    if (old & ENTRY_HARDWARE)
        ept->flush_owed = true;
    ept->stats.splits++;
    ept_views_changed(ept, page & ~(ept_level_pages(level) - 1), ept_level_pages(level));
}

void ept_split_to_4k(struct ept *ept, uint64_t page)
{
    while (!ept_has_table(ept, page))
        ept_split(ept, page);
}

uint64_t ept_need_4k(const struct ept *ept, uint64_t first, uint64_t end)
{
    uint64_t need = 0;

    for (uint64_t page = first; page < end; page += ept_run(page, end, 2)) {
        if (!ept_has_dir(ept, page) && (page == first || !(page & (PAGES_1G - 1))))
            need += PAGES_PER_DIR;
        if (!ept_has_table(ept, page))
            need++;
    }
    return need;
}

void ept_dir_lost(struct ept *ept, uint64_t page)
{
    struct ept_table *dir = &ept->dirs[page >> PAGES_1G_SHIFT];

    ept_unqueue(ept, page, true);
    dir->flags &= ~TABLE_SPLIT;
    dir->mapped--;
}

void ept_free_empty(struct ept *ept, uint64_t page)
{
    uint64_t gib = page >> PAGES_1G_SHIFT;
    struct ept_table *dir = &ept->dirs[gib];
    volatile uint64_t *table = ept_page_table(ept, page);

    if (ept_has_table(ept, page) && !ept_table_of(ept, page)->mapped) {
        ept_unqueue(ept, page, false);
        entry_replace(ept_slot_2m(ept, page), ENTRY_EMPTY);
        table_link(ept, page, (volatile uint64_t *)ept_void_table, (struct ept_table){0});
        ept_dir_lost(ept, page);
        ept_views_changed(ept, page & ~(uint64_t)(PAGES_2M - 1), PAGES_2M);
        ept_page_retire(ept, table);
    }
    if (ept_has_dir(ept, page) && !dir->mapped) {
        volatile uint64_t *pd = ept_virt(ept, ept->pdpt[gib] & ENTRY_ADDRESS);

        entry_replace(&ept->pdpt[gib], ENTRY_EMPTY);
        ept_page_release(ept, ept->index[gib]);
        ept_page_release(ept, ept->tables[gib]);
        ept->index[gib] = ept_void_index;
        ept->tables[gib] = NULL;
        ept_views_changed(ept, gib << PAGES_1G_SHIFT, PAGES_1G);
        ept_page_retire(ept, pd);
    }
}
