/*
 * Mapping and unmapping.
 */
#include "ept/table.h"

/* The level of the leaf that maps page of a range up to end to host page number host. */
static unsigned map_level(const struct ept *ept, uint64_t page, uint64_t end, uint64_t host)
{
    if (ept->features.page_1g && !((page | host) & (PAGES_1G - 1)) && end - page >= PAGES_1G &&
        !ept_has_dir(ept, page))
        return 3;
    if (ept->features.page_2m && !((page | host) & (PAGES_2M - 1)) && end - page >= PAGES_2M &&
        !ept_has_table(ept, page))
        return 2;
    return 1;
}

/* Pages from page on that leaves of a level map one after the other, under one table. */
static uint64_t map_run(uint64_t page, uint64_t end, unsigned level)
{
    return ept_run(page, end, level == 1 ? 2 : level);
}

bool ept_none_mapped(const struct ept *ept, uint64_t first, uint64_t end)
{
    for (uint64_t page = first; page < end;) {
        unsigned level;
        volatile uint64_t *slot = ept_walk(ept, page, &level);

        if (level > 1) {
            if (*slot & ENTRY_LEAF)
                return false;
            page += ept_run(page, end, level);
        } else {
            uint64_t run = ept_run(page, end, 2);

            if (ept_sum(slot, run).any & ENTRY_LEAF)
                return false;
            page += run;
        }
    }
    return true;
}

static uint64_t map_need(const struct ept *ept, uint64_t first, uint64_t end, uint64_t host)
{
    uint64_t need = 0;
    unsigned level;

    for (uint64_t page = first; page < end; page += map_run(page, end, level)) {
        level = map_level(ept, page, end, host + (page - first));
        if (level < 3 && !ept_has_dir(ept, page) && (page == first || !(page & (PAGES_1G - 1))))
            need += PAGES_PER_DIR;
        if (level == 1 && !ept_has_table(ept, page))
            need++;
    }
    return need;
}

int ept_map(struct ept *ept, uint64_t gpa, uint64_t hpa, uint64_t bytes, unsigned full,
            unsigned memtype)
{
    const unsigned memtypes = 1 << EPT_MEMTYPE_UC | 1 << EPT_MEMTYPE_WC | 1 << EPT_MEMTYPE_WT |
                              1 << EPT_MEMTYPE_WP | 1 << EPT_MEMTYPE_WB;
    uint64_t flags =
        ENTRY_SUPPRESS_VE | ENTRY_LEAF | ept->untracked | (uint64_t)memtype << ENTRY_MEMTYPE_SHIFT;
    uint64_t bits = entry_access_bits(full);
    uint64_t host = hpa >> EPT_PAGE_SHIFT;
    uint64_t first;
    uint64_t end;
    uint64_t run;
    int error;

    if (full > EPT_ACCESS_RWX || !(full & EPT_ACCESS_R) || memtype > EPT_MEMTYPE_WB ||
        !(memtypes >> memtype & 1) || ((hpa | bytes) & (EPT_PAGE_BYTES - 1)) ||
        hpa & ~ENTRY_ADDRESS || bytes > ENTRY_ADDRESS + EPT_PAGE_BYTES - hpa)
        return EPT_EINVAL;
    error = ept_check_range(ept, gpa, bytes >> EPT_PAGE_SHIFT, &first);
    if (error)
        return error;
    end = first + (bytes >> EPT_PAGE_SHIFT);
    if (!ept_none_mapped(ept, first, end))
        return EPT_EEXIST;
    while (ept_reserve(ept, map_need(ept, first, end, host))) {
        if (!ept_reclaim(ept))
            return EPT_ENOMEM;
    }
    flags |= (bits & ~ENTRY_R) << ENTRY_FULL_TO_SOFT;
    for (uint64_t page = first; page < end; page += run) {
        unsigned level = map_level(ept, page, end, host + (page - first));
        uint64_t entry =
            entry_with_access(ept, (host + (page - first)) << EPT_PAGE_SHIFT | flags, bits, level);

        run = map_run(page, end, level);
        if (level < 3 && !ept_has_dir(ept, page))
            ept_dir_create(ept, page);
        if (level == 1 && !ept_has_table(ept, page))
            ept_table_create(ept, page);
        if (level == 3) {
            entry_replace(&ept->pdpt[page >> PAGES_1G_SHIFT], entry);
        } else if (level == 2) {
            ept->dirs[page >> PAGES_1G_SHIFT].mapped++;
            entry_replace(ept_slot_2m(ept, page), entry);
        } else {
            ept_table_of(ept, page)->mapped += (uint16_t)run;
            for (uint64_t i = 0; i < run; i++)
                entry_replace(ept_slot_4k(ept, page + i), entry + (i << EPT_PAGE_SHIFT));
        }
        ept_views_changed(ept, page, run);
    }
    return EPT_OK;
}

/* What forbids unmapping a range that is all mapped. */
static int unmap_check(const struct ept *ept, uint64_t first, uint64_t end)
{
    uint64_t any = 0;

    for (uint64_t page = first; page < end; page += ept_run(page, end, 2)) {
        /* Large leaves are neither tracked nor aliased. */
        if (ept_has_table(ept, page))
            any |= ept_sum(ept_slot_4k(ept, page), ept_run(page, end, 2)).any;
    }
    if (any & (ENTRY_TRACKED | ENTRY_IS_ALIAS))
        return EPT_EINVAL;
    return any & ENTRY_ALIASED ? EPT_EEXIST : EPT_OK;
}

/* Empty a leaf. What the hardware bits did not allow is in no translation cache. */
static void unmap_leaf(struct ept *ept, volatile uint64_t *slot)
{
    if (entry_replace(slot, ENTRY_EMPTY) & ENTRY_HARDWARE)
        ept->flush_owed = true;
}

int ept_unmap(struct ept *ept, uint64_t gpa, uint64_t bytes)
{
    uint64_t pages = bytes >> EPT_PAGE_SHIFT;
    uint64_t first;
    uint64_t end;
    uint64_t run;
    int error;

    if (bytes & (EPT_PAGE_BYTES - 1))
        return EPT_EINVAL;
    error = ept_check_range(ept, gpa, pages, &first);
    if (error)
        return error;
    end = first + pages;
    if (!ept_all_mapped(ept, first, end))
        return EPT_ENOENT;
    error = unmap_check(ept, first, end);
    if (error)
        return error;
    while (ept_reserve(ept, ept_edges_need(ept, first, end, EDGES_ALWAYS))) {
        if (!ept_reclaim(ept))
            return EPT_ENOMEM;
    }
    ept_edges_split(ept, first, end, EDGES_ALWAYS);
    for (uint64_t page = first; page < end; page += run) {
        unsigned level;
        volatile uint64_t *slot = ept_walk(ept, page, &level);

        run = ept_run(page, end, level == 1 ? 2 : level);
        if (level == 3) {
            unmap_leaf(ept, slot);
            ept_views_changed(ept, page, run);
            continue;
        }
        if (level == 2) {
            unmap_leaf(ept, slot);
            ept_dir_lost(ept, page);
        } else {
            struct ept_table *table = ept_table_of(ept, page);

            ept_unqueue(ept, page, false);
            table->flags &= ~TABLE_SPLIT;
            table->mapped -= (uint16_t)run;
            for (uint64_t i = 0; i < run; i++)
                unmap_leaf(ept, &slot[i]);
        }
        ept_views_changed(ept, page, run);
        ept_free_empty(ept, page);
    }
    return EPT_OK;
}
