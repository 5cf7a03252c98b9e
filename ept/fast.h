/*
 * Short ways for what an exit handler does most, on one 4 KiB leaf and to be inlined. Each either
 * does what the function of ept.h that it names would, or declines with nothing changed: then call
 * that one. All decline where there are views.
 */
#ifndef TRAPLINE_EPT_FAST_H
#define TRAPLINE_EPT_FAST_H

#include "ept/table.h"

/* The bits of an entry that say each right of enum ept_access. */
#define FAST_R ENTRY_R
#define FAST_W ENTRY_SOFT_W
#define FAST_X ENTRY_SOFT_X

/* Full rights, and besides them what makes a page special, from bit 54 on. */
enum {
    FAST_FULL_SHIFT = 54,
    FAST_FULL = ENTRY_FULL >> FAST_FULL_SHIFT,
    FAST_SPECIAL = (ENTRY_FULL | ENTRY_SPECIAL) >> FAST_FULL_SHIFT,
};

/* By enum ept_access: the bits that an entry which allows it has. */
static const uint64_t ept_fast_allow[EPT_ACCESS_RWX + 1] = {
    0,      FAST_R,          FAST_W,          FAST_R | FAST_W,
    FAST_X, FAST_R | FAST_X, FAST_W | FAST_X, FAST_R | FAST_W | FAST_X,
};

/* The 4 KiB leaf of a page number, or NULL. */
static inline volatile uint64_t *ept_fast_slot(const struct ept *ept, uint64_t page)
{
    volatile uint64_t *slot;

    if (page >= ept->fast_pages)
        return NULL;
    slot = ept_slot_4k(ept, page);
    return *slot & ENTRY_LEAF ? slot : NULL;
}

/*
 * ept_protect() of one page that only takes rights away, some of which the CPU was told of, so that
 * a flush is owed (SDM 28.3.3.4: bits 2:0 from 1 to 0), which the caller notes. access: enum
 * ept_access, 0 to 7.
 */
static inline bool ept_fast_lower(struct ept *ept, uint64_t gpa, uint64_t access)
{
    uint64_t page = ept_page_number(gpa);
    volatile uint64_t *slot;
    uint64_t old, drop;

    if (page >= ept->fast_pages)
        return false;
    slot = ept_slot_4k(ept, page);
    old = *slot;
    drop = ept->drop[access];
    if ((ept->need[access] & ~old) || !(old & drop & ENTRY_HARDWARE))
        return false;
    entry_clear(slot, drop);
    return true;
}

/* The same for what is one leaf: a page, an aligned 2 MiB or 1 GiB that is not split. */
static inline bool ept_fast_lower_leaf(struct ept *ept, uint64_t gpa, uint64_t pages,
                                       uint64_t access)
{
    uint64_t page = ept_page_number(gpa);
    volatile uint64_t *slot;
    uint64_t old, drop;

    if (pages == 1)
        return ept_fast_lower(ept, gpa, access);
    if (page >= ept->fast_pages || (page & (pages - 1)))
        return false;
    if (pages == PAGES_2M && ept_has_dir(ept, page))
        slot = ept_slot_2m(ept, page);
    else if (pages == PAGES_1G && !ept_has_dir(ept, page))
        slot = &ept->pdpt[page >> PAGES_1G_SHIFT];
    else
        return false;
    old = *slot;
    drop = ept->drop[access];
    if ((ept->need[access] & ~old) || !(old & drop & ENTRY_HARDWARE) ||
        (access & EPT_ACCESS_X && ept->features.nx_huge))
        return false;
    entry_clear(slot, drop);
    return true;
}

/* The 4 KiB leaf of one page of ordinary memory that ept_fast_raise() can raise, or NULL. */
static inline volatile uint64_t *ept_fast_raisable(const struct ept *ept, uint64_t gpa)
{
    uint64_t page = ept_page_number(gpa);
    uint64_t hint = page & (EPT_ENTRIES - 1);
    volatile uint64_t *slot;
    const struct ept_table *table;

    if (page >= ept->fast_pages)
        return NULL;
    slot = ept_slot_4k(ept, page);
    /* An entry that is empty, or no leaf, has no full rights. */
    if ((*slot >> FAST_FULL_SHIFT & FAST_SPECIAL) != FAST_FULL)
        return NULL;
    /* The page that kept its table from being merged does so no longer: see merge.c. */
    table = ept_table_of(ept, page);
    if (table->hint == hint && table->flags == TABLE_SPLIT)
        return NULL;
    return slot;
}

static inline void ept_fast_raise_slot(volatile uint64_t *slot)
{
    entry_raise(slot, ENTRY_ACCESS | ENTRY_HARDWARE | ENTRY_SUPPRESS_VE);
}

/*
 * ept_unprotect() of one page of ordinary memory. *cached: whether CPUs were told of some right for
 * it before, so that they may have cached a translation that allows less than now.
 */
static inline bool ept_fast_raise(struct ept *ept, uint64_t gpa, bool *cached)
{
    volatile uint64_t *slot = ept_fast_raisable(ept, gpa);

    if (!slot)
        return false;
    *cached = *slot & ENTRY_HARDWARE;
    ept_fast_raise_slot(slot);
    return true;
}

/* Whether CPUs may have cached a translation of this page, by what they are told of it now. */
static inline bool ept_fast_cached(const struct ept *ept, uint64_t gpa)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;

    return page < ept->limit_pages &&
           (!ept_has_table(ept, page) || (*ept_slot_4k(ept, page) & ENTRY_HARDWARE));
}

/* Whether ept_fault() would say EPT_FAULT_DENIED. access: enum ept_access, 1 to 7. */
static inline bool ept_fast_denied(const struct ept *ept, uint64_t gpa, unsigned access)
{
    volatile uint64_t *slot = ept_fast_slot(ept, gpa >> EPT_PAGE_SHIFT);

    return slot && (ept_fast_allow[access] & ~*slot);
}

/* ept_allows() of bytes in one leaf below 1 GiB. access: enum ept_access, 1 to 7. */
static inline bool ept_fast_allows(const struct ept *ept, uint64_t gpa, uint64_t bytes,
                                   unsigned access)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;
    uint64_t entry;

    if (page >= ept->fast_pages || (gpa & (EPT_PAGE_BYTES - 1)) + bytes > EPT_PAGE_BYTES)
        return false;
    entry = *ept_slot_4k(ept, page);
    if (!(entry & ENTRY_LEAF)) {
        if (!ept_has_dir(ept, page))
            return false;
        entry = *ept_slot_2m(ept, page);
    }
    return (entry & ENTRY_LEAF) && !(ept_fast_allow[access] & ~entry);
}

/* ept_flushed(). */
static inline void ept_fast_flushed(struct ept *ept)
{
    ept->flush_owed = false;
    if (ept->limbo_count)
        ept_flushed(ept);
}

#endif
