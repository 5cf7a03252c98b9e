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

/* The flags that CPUs set in leaves. */
#define VIEW_CPU_FLAGS (ENTRY_A | ENTRY_D)

/* What the EPT has for a page at a level: its entry, or the part of a larger leaf, or nothing. */
static inline uint64_t view_base_entry(const struct ept *ept, uint64_t page, unsigned level)
{
    unsigned at;
    uint64_t entry;

    if (level == VIEW_LEVELS)
        return ept_phys(ept, ept->pdpt) | ENTRY_TABLE;
    if (level == 3)
        return ept->pdpt[page >> PAGES_1G_SHIFT];
    if (level == 2 && ept_has_dir(ept, page))
        return *ept_slot_2m(ept, page);
    entry = *ept_walk(ept, page, &at);
    if (!(entry & ENTRY_LEAF))
        return ENTRY_EMPTY;
    return entry + ((page & (ept_level_pages(at) - 1)) << EPT_PAGE_SHIFT);
}

/*
 * The entry of a view that shares the EPT's entry base. Where it is a leaf, or not present, it
 * decides itself whether a violation converts to #VE (SDM 25.5.7.1); where it restricts a table,
 * the leaf below does. A tracked leaf begins clean: what was written before is in the EPT's.
 */
static inline uint64_t view_shared_entry(const struct ept *ept, uint64_t base, unsigned restriction,
                                         unsigned level)
{
    uint64_t mine = (uint64_t)restriction << VIEW_RESTRICTION_SHIFT;

    if (base & ENTRY_LEAF) {
        uint64_t bits = base & ENTRY_ACCESS & entry_access_bits(restriction);
        uint64_t hardware = entry_hardware(ept, base, bits, level);
        uint64_t kept = ENTRY_ADDRESS | ENTRY_MEMTYPE | ENTRY_LEAF | ENTRY_TRACKED;

        if (ept->features.accessed_dirty && !(base & ENTRY_TRACKED))
            kept |= VIEW_CPU_FLAGS;
        return (base & kept) | (bits & ENTRY_R) | hardware | mine |
               entry_suppress(ept, bits, entry_full_bits(base), hardware);
    }
    if (base & ENTRY_HARDWARE)
        return (base & ENTRY_ADDRESS) | restriction | mine |
               (ENTRY_SUPPRESS_VE & ~(restriction ? 0 : ept->converts));
    return ENTRY_EMPTY | mine;
}

/*
 * Store what an entry has to be by now. Flags that CPUs set in a leaf stay, unless its tracking
 * begins. Returns whether it was a tracked leaf that is gone and was dirty.
 */
static inline bool view_put(struct ept *ept, volatile uint64_t *slot, uint64_t entry)
{
    const uint64_t same = ENTRY_ADDRESS | ENTRY_LEAF | VIEW_PRIVATE;
    uint64_t old = *slot;

    if (((old ^ entry) & ~VIEW_CPU_FLAGS) == 0 && (!(entry & ENTRY_LEAF) || !(entry & ~old)))
        return false;
    if ((old ^ entry) & same) {
        old = entry_replace(slot, entry);
        /* A translation, or the way to one, may be cached only if there was one. */
        if (old & ENTRY_HARDWARE)
            ept->flush_owed = true;
        return (old & ENTRY_TRACKED) && (old & ENTRY_D);
    }
    if (entry & ~old & ENTRY_TRACKED) {
        /* A cached translation that is dirty would hide the next write. */
        if ((old & ENTRY_D) && (old & ENTRY_HARDWARE))
            ept->flush_owed = true;
        entry |= old & ENTRY_A;
    } else {
        entry |= old & VIEW_CPU_FLAGS;
    }
    entry_change(slot, old, entry);
    if (old & ~entry & ENTRY_HARDWARE)
        ept->flush_owed = true;
    return false;
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
