/*
 * Private to ept/: the tables of a view.
 *
 * An entry in a view's own table either leads to another table of the view's own (VIEW_PRIVATE), or
 * says what the EPT's entry at its place says, less the restriction that it carries: an entry for
 * the same table, leaf or hole. So there is a table exactly where restrictions differ below, and
 * nothing that happens in the EPT makes or frees one. Leaves collect dirty flags of their own.
 */
#ifndef TRAPLINE_EPT_VIEW_TABLE_H
#define TRAPLINE_EPT_VIEW_TABLE_H

#include "ept/table.h"
#include "ept/view.h"

/* The restriction, enum ept_access, in bits that the processor ignores in every entry. */
#define VIEW_RESTRICTION (7ull << 52)
#define VIEW_PRIVATE     (1ull << 62)

enum {
    VIEW_RESTRICTION_SHIFT = 52,
    VIEW_LEVELS = 4,
};

/* No range below the limit ends here: that of a range which is to reach as far as the tables do. */
#define VIEW_END (1ull << 27)

static inline unsigned view_restriction(uint64_t entry)
{
    return (unsigned)(entry >> VIEW_RESTRICTION_SHIFT) & EPT_ACCESS_RWX;
}

/* The table of the view's own that an entry leads to. */
static inline volatile uint64_t *view_child(const struct ept *ept, uint64_t entry)
{
    return ept_virt(ept, entry & ENTRY_ADDRESS);
}

/* The entry of a page in a table of a level, 1 to 4. */
static inline volatile uint64_t *view_slot(volatile uint64_t *table, uint64_t page, unsigned level)
{
    return &table[page >> (level - 1) * PAGES_2M_SHIFT & (EPT_ENTRIES - 1)];
}

/*
 * Replace the entry over page, at a level, by one that shares the EPT's with a restriction, and
 * give back what tables it led to. page: the first under the entry.
 */
void view_share(struct ept_view *view, volatile uint64_t *slot, uint64_t page, unsigned level,
                unsigned restriction);

/* Make a table under an entry that shares, which means the same; its memory is reserved. */
void view_split(struct ept_view *view, volatile uint64_t *slot, uint64_t page, unsigned level);

/* Whether a table of the view's own only says what one entry could. */
bool view_uniform(const volatile uint64_t *table);

/* The entry that ends the walk of a page in the view's own tables, and its level. */
volatile uint64_t *view_walk(const struct ept_view *view, uint64_t page, unsigned *level);

/* Make a view's entries for [first, end) agree with the EPT's again; see ept_views_sync(). */
bool view_sync(struct ept_view *view, uint64_t first, uint64_t end);

#endif
