/*
 * Aliases: further guest-physical addresses of a page.
 *
 * The bookkeeping is a node for each page number that is an alias or has aliases, in chunks that
 * exist only where there are any. A page's aliases form a doubly linked list of page numbers.
 */
#include "ept/table.h"

struct ept_alias_node {
    uint32_t next;  /* of a page: its first alias; of an alias: the next one of the same page */
    uint32_t prev;  /* of an alias: the one before, EPT_ALIAS_END at the first */
    uint32_t page;  /* of an alias: the page */
    uint32_t count; /* of a page: how many aliases it has */
};

enum {
    CHUNK_SHIFT = 8, /* nodes in a chunk of one page */
    CHUNK_NODES = 1 << CHUNK_SHIFT,
    CHUNK_USED = CHUNK_NODES * 2 - 1, /* low bits of a pointer to a chunk: its nodes in use */
    GROUP_SHIFT = CHUNK_SHIFT + 9,    /* pages that one page of pointers to chunks covers */
    HALF_SHIFT = GROUP_SHIFT + 9,     /* pages that one page of pointers to groups covers */
};

/* Where the pointer to the chunk of a page is; NULL when there is no page for it. */
static struct ept_alias_node **chunk_slot(const struct ept *ept, uint64_t page)
{
    struct ept_alias_node ***groups = ept->alias_index[page >> HALF_SHIFT];
    struct ept_alias_node **chunks;

    if (!groups)
        return NULL;
    chunks = groups[page >> GROUP_SHIFT & (EPT_ENTRIES - 1)];
    return chunks ? &chunks[page >> CHUNK_SHIFT & (EPT_ENTRIES - 1)] : NULL;
}

static struct ept_alias_node *node_of(const struct ept *ept, uint64_t page)
{
    uintptr_t chunk = (uintptr_t)*chunk_slot(ept, page) & ~(uintptr_t)CHUNK_USED;

    return &((struct ept_alias_node *)chunk)[page & (CHUNK_NODES - 1)];
}

/* Table pages that the nodes of [first, end) need. */
static uint64_t nodes_need(const struct ept *ept, uint64_t first, uint64_t end)
{
    uint64_t need = 0;
    uint64_t next;

    for (uint64_t page = first; page < end; page = next) {
        struct ept_alias_node ***groups = ept->alias_index[page >> HALF_SHIFT];
        struct ept_alias_node **slot = chunk_slot(ept, page);

        if (!groups && (page == first || !(page & ((1u << HALF_SHIFT) - 1))))
            need++;
        if (!slot && (page == first || !(page & ((1u << GROUP_SHIFT) - 1))))
            need++;
        if (!slot || !*slot)
            need++;
        next = (page | (CHUNK_NODES - 1)) + 1;
    }
    return need;
}

/* Where the pointer to the chunk of a page is, which is made if there is none; memory is reserved.
 */
static struct ept_alias_node **chunk_make(struct ept *ept, uint64_t page)
{
    struct ept_alias_node ****groups = &ept->alias_index[page >> HALF_SHIFT];
    struct ept_alias_node ***chunks;
    struct ept_alias_node **slot;

    if (!*groups)
        *groups = ept_page_take_zeroed(ept);
    chunks = &(*groups)[page >> GROUP_SHIFT & (EPT_ENTRIES - 1)];
    if (!*chunks)
        *chunks = ept_page_take_zeroed(ept);
    slot = &(*chunks)[page >> CHUNK_SHIFT & (EPT_ENTRIES - 1)];
    if (!*slot)
        *slot = ept_page_take_zeroed(ept);
    return slot;
}

/* A node that is taken into use, in the chunk that slot points to. */
static inline struct ept_alias_node *node_take(struct ept_alias_node **slot, uint64_t page)
{
    uintptr_t chunk = (uintptr_t)*slot + 1;

    *slot = (struct ept_alias_node *)chunk;
    return &((struct ept_alias_node *)(chunk & ~(uintptr_t)CHUNK_USED))[page & (CHUNK_NODES - 1)];
}

static void node_drop(struct ept *ept, uint64_t page)
{
    struct ept_alias_node **slot = chunk_slot(ept, page);

    *node_of(ept, page) = (struct ept_alias_node){0};
    *slot = (struct ept_alias_node *)((uintptr_t)*slot - 1);
    if (!((uintptr_t)*slot & CHUNK_USED)) {
        ept_page_release(ept, *slot);
        *slot = NULL;
    }
}

uint64_t ept_alias_primary(const struct ept *ept, uint64_t page)
{
    return node_of(ept, page)->page;
}

uint32_t ept_alias_first(const struct ept *ept, uint64_t page)
{
    return node_of(ept, page)->next;
}

uint32_t ept_alias_next(const struct ept *ept, uint64_t alias)
{
    return node_of(ept, alias)->next;
}

void ept_alias_destroy(struct ept *ept)
{
    for (unsigned half = 0; half < 2; half++) {
        struct ept_alias_node ***groups = ept->alias_index[half];

        for (unsigned i = 0; groups && i < EPT_ENTRIES; i++) {
            for (unsigned k = 0; groups[i] && k < EPT_ENTRIES; k++) {
                uintptr_t chunk = (uintptr_t)groups[i][k] & ~(uintptr_t)CHUNK_USED;

                if (chunk)
                    ept_page_release(ept, (void *)chunk);
            }
            if (groups[i])
                ept_page_release(ept, groups[i]);
        }
        if (groups)
            ept_page_release(ept, groups);
        ept->alias_index[half] = NULL;
    }
}

/* Whether pages can be aliased with these rights. */
static int alias_check(const struct ept *ept, uint64_t first, uint64_t end, unsigned access)
{
    int error = EPT_OK;
    uint64_t run;

    for (uint64_t page = first; page < end; page += run) {
        unsigned level;
        volatile uint64_t *slot = ept_walk(ept, page, &level);
        struct ept_sum sum;

        run = ept_run(page, end, level == 1 ? 2 : level);
        sum = ept_sum(slot, level == 1 ? run : 1);
        if (!(sum.all & ENTRY_LEAF))
            return EPT_ENOENT;
        if ((sum.any & ENTRY_IS_ALIAS) || (access & ~entry_full(sum.all)))
            error = EPT_EINVAL;
    }
    return error;
}

/* Alias count pages of one table and chunk at addresses of one table and chunk, which exist. */
static void alias_run(struct ept *ept, struct ept_alias_node **pages,
                      struct ept_alias_node **aliases, uint64_t page, uint64_t alias,
                      uint64_t count, uint64_t bits)
{
    volatile uint64_t *from = ept_slot_4k(ept, page);
    volatile uint64_t *to = ept_slot_4k(ept, alias);
    const uint64_t copied = ENTRY_ADDRESS | ENTRY_MEMTYPE | ENTRY_TRACKED;
    const uint64_t flags =
        ENTRY_SUPPRESS_VE | ENTRY_LEAF | ENTRY_IS_ALIAS | (bits & ~ENTRY_R) << ENTRY_FULL_TO_SOFT;
    uint64_t alike = ~0ull,
             made = 0; /* what is made of entries that differ in their address alone */

    ept_table_of(ept, alias)->mapped += (uint16_t)count;
    for (uint64_t left = count; left; left--, page++, alias++, from++, to++) {
        uint64_t entry = *from;
        struct ept_alias_node *node = node_take(aliases, alias);
        struct ept_alias_node *primary;

        node->next = EPT_ALIAS_END;
        node->prev = EPT_ALIAS_END;
        node->page = (uint32_t)page;
        if (entry & ENTRY_ALIASED) {
            primary = node_of(ept, page);
            node->next = primary->next;
            node_of(ept, primary->next)->prev = (uint32_t)alias;
        } else {
            primary = node_take(pages, page);
            entry_raise(from, ENTRY_ALIASED);
        }
        primary->next = (uint32_t)alias;
        primary->count++;
        if ((entry & copied & ~ENTRY_ADDRESS) != alike) {
            alike = entry & copied & ~ENTRY_ADDRESS;
            made = entry_with_access(
                ept, alike | flags | (entry & ENTRY_TRACKED ? 0 : ept->untracked), bits, 1);
        }
        entry_replace(to, made | (entry & ENTRY_ADDRESS));
    }
    ept_views_changed(ept, alias - count, count);
}

/* The chunk of pages if it and their table exist and it is one, the common case; or NULL. */
static struct ept_alias_node **chunk_find(const struct ept *ept, uint64_t first, uint64_t pages)
{
    struct ept_alias_node **slot;

    if (!ept_has_table(ept, first) || first >> CHUNK_SHIFT != (first + pages - 1) >> CHUNK_SHIFT)
        return NULL;
    slot = chunk_slot(ept, first);
    return slot && *slot ? slot : NULL;
}

/* Alias any pages; memory is reserved. */
static void alias_pages(struct ept *ept, uint64_t page, uint64_t alias, uint64_t count,
                        uint64_t bits)
{
    uint64_t run;

    for (; count; count -= run, page += run, alias += run) {
        uint64_t left = CHUNK_NODES - (page & (CHUNK_NODES - 1));
        uint64_t alias_left = CHUNK_NODES - (alias & (CHUNK_NODES - 1));

        run = left < alias_left ? left : alias_left;
        run = run < count ? run : count;
        ept_split_to_4k(ept, page);
        if (!ept_has_dir(ept, alias))
            ept_dir_create(ept, alias);
        if (!ept_has_table(ept, alias))
            ept_table_create(ept, alias);
        alias_run(ept, chunk_make(ept, page), chunk_make(ept, alias), page, alias, run, bits);
    }
}

int ept_alias(struct ept *ept, uint64_t gpa, uint64_t pages, uint64_t alias_gpa, unsigned access)
{
    struct ept_alias_node **from;
    struct ept_alias_node **to;
    uint64_t first;
    uint64_t alias;
    int error = ept_check_range(ept, gpa, pages, &first);
    int alias_error = ept_check_range(ept, alias_gpa, pages, &alias);

    if (error == EPT_EINVAL || alias_error == EPT_EINVAL || ept_access_check(ept, access) ||
        !(access & EPT_ACCESS_R))
        return EPT_EINVAL;
    if (error || alias_error)
        return EPT_ENOENT;
    error = alias_check(ept, first, first + pages, access);
    if (error)
        return error;
    if (!ept_none_mapped(ept, alias, alias + pages))
        return EPT_EEXIST;
    from = chunk_find(ept, first, pages);
    to = chunk_find(ept, alias, pages);
    if (from && to) {
        alias_run(ept, from, to, first, alias, pages, entry_access_bits(access));
        return EPT_OK;
    }
    while (ept_reserve(
        ept, ept_need_4k(ept, first, first + pages) + ept_need_4k(ept, alias, alias + pages) +
                 nodes_need(ept, first, first + pages) + nodes_need(ept, alias, alias + pages))) {
        if (!ept_reclaim(ept))
            return EPT_ENOMEM;
    }
    alias_pages(ept, first, alias, pages, entry_access_bits(access));
    return EPT_OK;
}

/* Take an alias out of its page's list; returns the page. */
static uint64_t unlink_alias(struct ept *ept, uint64_t alias)
{
    struct ept_alias_node node = *node_of(ept, alias);
    struct ept_alias_node *primary = node_of(ept, node.page);

    if (node.prev == EPT_ALIAS_END)
        primary->next = node.next;
    else
        node_of(ept, node.prev)->next = node.next;
    if (node.next != EPT_ALIAS_END)
        node_of(ept, node.next)->prev = node.prev;
    node_drop(ept, alias);
    primary->count--;
    if (!primary->count) {
        node_drop(ept, node.page);
        entry_clear(ept_slot_4k(ept, node.page), ENTRY_ALIASED);
    }
    return node.page;
}

static void unalias_page(struct ept *ept, uint64_t alias)
{
    uint64_t old = entry_replace(ept_slot_4k(ept, alias), ENTRY_EMPTY);
    uint64_t page = unlink_alias(ept, alias);
    volatile uint64_t *slot = ept_slot_4k(ept, page);

    if (old & ENTRY_HARDWARE)
        ept->flush_owed = true;
    if (ept->views && ept_views_sync(ept, alias, 1))
        old |= ENTRY_D;
    /* What was written through the alias is the page's from now on. */
    if ((old & ENTRY_TRACKED) && (old & ENTRY_D)) {
        ept_mark_slot(ept, slot, page);
        ept_views_changed(ept, page, 1);
    }
    ept_table_of(ept, alias)->mapped--;
    ept_free_empty(ept, alias);
    ept_settle(ept, page, false);
}

int ept_unalias(struct ept *ept, uint64_t alias_gpa, uint64_t pages)
{
    uint64_t first;
    int error = ept_check_range(ept, alias_gpa, pages, &first);

    if (error)
        return error;
    if (!ept_all_mapped(ept, first, first + pages))
        return EPT_ENOENT;
    for (uint64_t page = first; page < first + pages; page += ept_run(page, first + pages, 2)) {
        if (!ept_has_table(ept, page) ||
            !(ept_sum(ept_slot_4k(ept, page), ept_run(page, first + pages, 2)).all &
              ENTRY_IS_ALIAS))
            return EPT_EINVAL;
    }
    for (uint64_t page = first; page < first + pages; page++)
        unalias_page(ept, page);
    return EPT_OK;
}

uint64_t ept_alias_count(const struct ept *ept, uint64_t gpa)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;

    if (page >= ept->limit_pages || !(*ept_slot_4k(ept, page) & ENTRY_ALIASED))
        return 0;
    return node_of(ept, page)->count;
}
