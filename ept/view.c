/*
 * Views: making and destroying them, restricting, deciding on violations.
 *
 * A range is cut into as few entries as the tables allow. A table of a view's own that comes to say
 * only what one entry could is given back: at once where a call covered more than a page, and else
 * after having waited in a short queue, since single pages are often restricted and opened in turn.
 */
#include "ept/view_table.h"

/* A restriction that no entry has, so that no part of a range has it already. */
#define ANY_RESTRICTION (EPT_ACCESS_RWX + 1u)

/* Check a range; what ends at the limit reaches as far as the tables do. */
static int check_range(const struct ept *ept, uint64_t gpa, uint64_t pages, uint64_t *first,
                       uint64_t *end)
{
    int error = ept_check_range(ept, gpa, pages, first);

    if (error)
        return error;
    *end = *first + pages == ept->limit_pages ? VIEW_END : *first + pages;
    return EPT_OK;
}

int ept_view_create(struct ept *ept, struct ept_view *view)
{
    volatile uint64_t *root;

    while (ept_reserve(ept, 1)) {
        if (!ept_reclaim(ept))
            return EPT_ENOMEM;
    }
    root = ept_page_take(ept);
    for (unsigned i = 0; i < EPT_ENTRIES; i++)
        entry_init(&root[i], ENTRY_EMPTY);
    *view = (struct ept_view){.ept = ept, .next = ept->views, .root = ept_phys(ept, root)};
    ept->stats.view_tables++;
    view_share(view, root, 0, VIEW_LEVELS, EPT_ACCESS_RWX);
    ept->views = view;
    ept->fast_pages = 0;
    return EPT_OK;
}

void ept_view_destroy(struct ept_view *view)
{
    struct ept *ept = view->ept;
    volatile uint64_t *root = ept_virt(ept, view->root);
    struct ept_view **link = &ept->views;
    unsigned kept = 0;

    view_share(view, root, 0, VIEW_LEVELS, EPT_ACCESS_NONE);
    for (unsigned i = 0; i < ept->view_queue_count; i++) {
        if (ept->view_queue[i].view != view)
            ept->view_queue[kept++] = ept->view_queue[i];
    }
    ept->view_queue_count = kept;
    while (*link != view)
        link = &(*link)->next;
    *link = view->next;
    if (!ept->views)
        ept->fast_pages = ept->limit_pages;
    ept->stats.view_tables--;
    ept_page_retire(ept, root);
    view->ept = NULL;
}

void ept_views_destroy(struct ept *ept)
{
    while (ept->views)
        ept_view_destroy(ept->views);
}

uint64_t ept_view_pointer(const struct ept_view *view)
{
    return view->root | (ept_pointer(view->ept) & (EPT_PAGE_BYTES - 1));
}

/* The entry of the PML4 that all guest-physical addresses are under. */
static volatile uint64_t *root_slot(const struct ept_view *view)
{
    return ept_virt(view->ept, view->root);
}

/*
 * Table pages that it takes to change [first, end) alone, which lies under an entry; where the
 * entry has the restriction already, none.
 */
static unsigned need(const struct ept *ept, uint64_t entry, unsigned level, uint64_t first,
                     uint64_t end, unsigned restriction)
{
    unsigned below = level - 1;
    unsigned pages = entry & VIEW_PRIVATE ? 0 : 1;
    volatile uint64_t *table;
    uint64_t edge[2] = {first, end - 1};

    if (!((first | end) & (ept_level_pages(level) - 1)) ||
        (!(entry & VIEW_PRIVATE) && view_restriction(entry) == restriction))
        return 0;
    if (below == 1)
        return pages;
    table = entry & VIEW_PRIVATE ? view_child(ept, entry) : NULL;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t size = ept_level_pages(below);
        uint64_t from = edge[i] & ~(size - 1);
        uint64_t to = from + size;

        if (i == 1 && from == (first & ~(size - 1)))
            break;
        pages += need(ept, table ? *view_slot(table, from, below) : entry, below,
                      from > first ? from : first, to < end ? to : end, restriction);
    }
    return pages;
}

static void restrict_table(struct ept_view *view, volatile uint64_t *table, unsigned level,
                           uint64_t first, uint64_t end, unsigned restriction, bool keep);

/*
 * Restrict [first, end), which lies under the entry. keep: tables that are there stay, since
 * something else was prepared in them.
 */
static void restrict_entry(struct ept_view *view, volatile uint64_t *slot, unsigned level,
                           uint64_t first, uint64_t end, unsigned restriction, bool keep)
{
    uint64_t size = ept_level_pages(level);
    bool private = *slot & VIEW_PRIVATE;

    if (!private && view_restriction(*slot) == restriction)
        return;
    if (end - first == size && !(private && keep)) {
        view_share(view, slot, first, level, restriction);
        return;
    }
    if (!private)
        view_split(view, slot, first & ~(size - 1), level);
    restrict_table(view, view_child(view->ept, *slot), level - 1, first, end, restriction, keep);
}

/* Leaves of one table. */
static void restrict_leaves(struct ept *ept, volatile uint64_t *table, uint64_t first, uint64_t end,
                            unsigned restriction)
{
    volatile uint64_t *slot = view_slot(table, first, 1);

    if (ept_has_table(ept, first)) {
        const volatile uint64_t *base = ept_slot_4k(ept, first);

        for (uint64_t page = first; page < end; page++, slot++, base++)
            view_put(ept, slot, view_shared_entry(ept, *base, restriction, 1));
        return;
    }
    for (uint64_t page = first; page < end; page++, slot++)
        view_put(ept, slot, view_shared_entry(ept, view_base_entry(ept, page, 1), restriction, 1));
}

static void restrict_table(struct ept_view *view, volatile uint64_t *table, unsigned level,
                           uint64_t first, uint64_t end, unsigned restriction, bool keep)
{
    uint64_t run;

    if (level == 1) {
        restrict_leaves(view->ept, table, first, end, restriction);
        return;
    }
    for (uint64_t page = first; page < end; page += run) {
        run = ept_run(page, end, level);
        restrict_entry(view, view_slot(table, page, level), level, page, page + run, restriction,
                       keep);
    }
}

/* Split down to where [first, end), under the entry, can be changed alone. */
static void split_edges(struct ept_view *view, volatile uint64_t *slot, unsigned level,
                        uint64_t first, uint64_t end)
{
    uint64_t size = ept_level_pages(level);
    unsigned below = level - 1;
    uint64_t part = ept_level_pages(below);
    volatile uint64_t *table;
    uint64_t middle;

    if (end - first == size)
        return;
    if (!(*slot & VIEW_PRIVATE))
        view_split(view, slot, first & ~(size - 1), level);
    if (below == 1)
        return;
    table = view_child(view->ept, *slot);
    middle = first + ept_run(first, end, below);
    split_edges(view, view_slot(table, first, below), below, first, middle);
    if (middle < end) {
        uint64_t last = (end - 1) & ~(part - 1);

        split_edges(view, view_slot(table, last, below), below, last, end);
    }
}

/* Whether an entry next to [first, end), in one table, differs from the first in it. */
static bool differs_outside(const volatile uint64_t *table, unsigned level, uint64_t first,
                            uint64_t end)
{
    unsigned shift = (level - 1) * PAGES_2M_SHIFT;
    unsigned from = first >> shift & (EPT_ENTRIES - 1);
    unsigned to = (end - 1) >> shift & (EPT_ENTRIES - 1);
    unsigned outside = from ? from - 1 : to + 1;

    return outside < EPT_ENTRIES && ((table[from] ^ table[outside]) & VIEW_RESTRICTION);
}

/* Give back the tables under the entry, at [first, end), that say only what one entry could. */
static void settle(struct ept_view *view, volatile uint64_t *slot, unsigned level, uint64_t first,
                   uint64_t end)
{
    volatile uint64_t *table;
    uint64_t run;

    if (!(*slot & VIEW_PRIVATE))
        return;
    table = view_child(view->ept, *slot);
    for (uint64_t page = first; level > 2 && page < end; page += run) {
        run = ept_run(page, end, level - 1);
        settle(view, view_slot(table, page, level - 1), level - 1, page, page + run);
    }
    if (!differs_outside(table, level - 1, first, end) && view_uniform(table))
        view_share(view, slot, first & ~(ept_level_pages(level) - 1), level,
                   view_restriction(table[0]));
}

/* Give back the oldest table in the queue, if it is still uniform. */
static void queue_pop(struct ept *ept)
{
    struct ept_view *view = ept->view_queue[0].view;
    uint64_t page = ept->view_queue[0].page;

    ept->view_queue_count--;
    for (unsigned i = 0; i < ept->view_queue_count; i++)
        ept->view_queue[i] = ept->view_queue[i + 1];
    settle(view, root_slot(view), VIEW_LEVELS, page, page + 1);
}

/* The table of leaves over page may have become uniform. */
static void queue_push(struct ept_view *view, uint64_t page)
{
    struct ept *ept = view->ept;

    page &= ~(uint64_t)(PAGES_2M - 1);
    for (unsigned i = 0; i < ept->view_queue_count; i++) {
        if (ept->view_queue[i].view == view && ept->view_queue[i].page == page)
            return;
    }
    if (ept->view_queue_count == EPT_QUEUE_MAX)
        queue_pop(ept);
    ept->view_queue[ept->view_queue_count++] = (struct ept_view_queued){view, page};
}

unsigned ept_views_reclaim(struct ept *ept)
{
    uint64_t before = ept->stats.view_tables;

    while (ept->view_queue_count)
        queue_pop(ept);
    return (unsigned)(before - ept->stats.view_tables);
}

/* Have the table pages that it takes to change [first, end) alone. */
static int reserve(struct ept_view *view, uint64_t first, uint64_t end, unsigned restriction)
{
    struct ept *ept = view->ept;

    while (ept_reserve(ept, need(ept, *root_slot(view), VIEW_LEVELS, first, end, restriction))) {
        if (!ept_reclaim(ept))
            return EPT_ENOMEM;
    }
    return EPT_OK;
}

/* The table of the view's own that has the leaf of a page; NULL = there is none. */
static inline volatile uint64_t *leaf_table(struct ept_view *view, uint64_t page)
{
    unsigned level;
    volatile uint64_t *slot;

    if (view->last_part == page >> PAGES_2M_SHIFT && view->last_table)
        return view->last_table;
    slot = view_walk(view, page, &level);
    if (level != 1)
        return NULL;
    view->last_part = page >> PAGES_2M_SHIFT;
    view->last_table = slot - (page & (EPT_ENTRIES - 1));
    return view->last_table;
}

/* A page in a table of the view's own, the common case; false if there is none. */
static inline bool protect_page(struct ept_view *view, uint64_t page, unsigned access)
{
    struct ept *ept = view->ept;
    volatile uint64_t *table = leaf_table(view, page);
    unsigned at = page & (EPT_ENTRIES - 1);
    uint64_t entry;

    if (!table)
        return false;
    if (view_restriction(table[at]) == access)
        return true;
    entry = view_shared_entry(ept, view_base_entry(ept, page, 1), access, 1);
    view_put(ept, &table[at], entry);
    /* Most tables that are not uniform are not so at a glance. */
    if (!(((entry ^ table[at ? at - 1 : 1]) | (entry ^ table[at ^ (EPT_ENTRIES / 2)])) &
          VIEW_RESTRICTION))
        queue_push(view, page);
    return true;
}

int ept_view_protect(struct ept_view *view, uint64_t gpa, uint64_t pages, unsigned access)
{
    uint64_t first;
    uint64_t end;
    int error = ept_access_check(view->ept, access);

    if (error)
        return error;
    error = check_range(view->ept, gpa, pages, &first, &end);
    if (error)
        return error;
    if (end - first == 1 && protect_page(view, first, access))
        return EPT_OK;
    error = reserve(view, first, end, access);
    if (error)
        return error;
    restrict_entry(view, root_slot(view), VIEW_LEVELS, first, end, access, false);
    /* A page that is not in a table of leaves yet differs from the others in its new one. */
    if (end - first > 1)
        settle(view, root_slot(view), VIEW_LEVELS, first, end);
    return EPT_OK;
}

int ept_view_prepare(struct ept_view *view, uint64_t gpa, uint64_t pages)
{
    uint64_t first;
    uint64_t end;
    int error = check_range(view->ept, gpa, pages, &first, &end);

    if (error)
        return error;
    /* No table may go that was split for a range before. */
    error = ept_reserve(
        view->ept, need(view->ept, *root_slot(view), VIEW_LEVELS, first, end, ANY_RESTRICTION));
    if (error)
        return error;
    split_edges(view, root_slot(view), VIEW_LEVELS, first, end);
    return EPT_OK;
}

void ept_view_apply(struct ept_view *view, uint64_t gpa, uint64_t pages, unsigned access)
{
    uint64_t first;
    uint64_t end;

    if (check_range(view->ept, gpa, pages, &first, &end) == EPT_OK)
        restrict_entry(view, root_slot(view), VIEW_LEVELS, first, end, access, true);
}

void ept_view_relax(struct ept_view *view, uint64_t gpa, uint64_t pages)
{
    uint64_t first;
    uint64_t end;

    if (check_range(view->ept, gpa, pages, &first, &end) == EPT_OK)
        settle(view, root_slot(view), VIEW_LEVELS, first, end);
}

int ept_view_lookup(const struct ept_view *view, uint64_t gpa,
                    struct ept_view_translation *translation)
{
    const struct ept *ept = view->ept;
    uint64_t page = gpa >> EPT_PAGE_SHIFT;
    struct ept_translation base;
    unsigned level;
    uint64_t entry;
    int error = ept_lookup(ept, gpa, &base);

    *translation = (struct ept_view_translation){0};
    if (page >= ept->limit_pages)
        return EPT_ENOENT;
    entry = *view_walk(view, page, &level);
    translation->restriction = view_restriction(entry);
    translation->shared = !(entry & ENTRY_LEAF);
    if (error)
        return error;
    translation->access = base.access & translation->restriction;
    translation->hardware = (unsigned)(entry & ENTRY_HARDWARE);
    if (translation->shared && (entry & ENTRY_HARDWARE)) {
        translation->hardware &= base.hardware;
        entry = base.entry;
    }
    translation->converts = !(entry & ENTRY_SUPPRESS_VE);
    return EPT_OK;
}

enum ept_fault ept_view_fault(struct ept_view *view, uint64_t gpa, unsigned access)
{
    struct ept_view_translation translation;

    if (ept_view_lookup(view, gpa, &translation))
        return EPT_FAULT_UNMAPPED;
    /* The EPT decides only on what the view would allow: its decision may record a write. */
    if (access & ~translation.restriction)
        return EPT_FAULT_DENIED;
    if (!(access & ~translation.hardware))
        return EPT_FAULT_SPURIOUS;
    return ept_fault(view->ept, gpa, access);
}

bool ept_view_allows(const struct ept_view *view, uint64_t gpa, uint64_t bytes, unsigned access)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;
    uint64_t end;

    if (!ept_allows(view->ept, gpa, bytes, access))
        return false;
    if (!bytes)
        return true;
    end = (gpa + bytes - 1) / EPT_PAGE_BYTES + 1;
    while (page < end) {
        unsigned level;

        if (access & ~view_restriction(*view_walk(view, page, &level)))
            return false;
        page = (page | (ept_level_pages(level) - 1)) + 1;
    }
    return true;
}
