/* Regions over the guest's page tables: TRACK and DIRTY by the dirty flags of entries. */
/* These calls may be made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/runtime/region.h"

enum {
    STRIDE = 16, /* clean pages that are passed over at a time */
};

/* Set or clear flags of a page's entry and of its aliases'; returns what any of them had. */
static uint64_t update_all(const struct region *region, uint64_t address, uint64_t clear,
                           uint64_t set, struct region_flush *flush)
{
    const size_t index = (address - region->base) / TRAPLINE_PAGE_SIZE;
    uint64_t old = region_update(address, clear, set);

    region_flush_page(flush, address);
    for (uint32_t number = region->state->first_alias[index]; number;) {
        const uint64_t alias = region_alias_address(number);

        old |= region_update(alias, clear, set);
        region_flush_page(flush, alias);
        number = *region_alias_next(alias);
    }
    return old;
}

int region_pt_track(struct region *region, uint64_t address, size_t pages, bool on)
{
    struct region_flush flush = region_flush_begin(pages);

    for (size_t i = 0; i < pages; i++) {
        const uint64_t page = address + i * TRAPLINE_PAGE_SIZE;

        if (!(page_tables_read(page) & PTE_TRACKED) == !on)
            continue;
        if (on) {
            update_all(region, page, PTE_DIRTY, PTE_TRACKED, &flush);
            region->state->tracked++;
        } else {
            update_all(region, page, PTE_TRACKED, PTE_DIRTY, &flush);
            region->state->tracked--;
        }
    }
    /* A translation that was cached as dirty would not set the flag again (SDM 4.8). */
    region_flush_end(&flush);
    return 0;
}

static bool is_dirty(const struct region *region, uint64_t address)
{
    const size_t index = (address - region->base) / TRAPLINE_PAGE_SIZE;

    if (page_tables_read(address) & PTE_DIRTY)
        return true;
    for (uint32_t number = region->state->first_alias[index]; number;) {
        const uint64_t alias = region_alias_address(number);

        if (page_tables_read(alias) & PTE_DIRTY)
            return true;
        number = *region_alias_next(alias);
    }
    return false;
}

/* The next dirty page from index on, or end. Without aliases clean ones are passed over in strides.
 */
static size_t next_dirty(const struct region *region, size_t index, size_t end)
{
    const uint64_t *const entries = page_tables_entry(region->base);

    if (region->state->aliases != 0) {
        while (index < end && !is_dirty(region, region->base + index * TRAPLINE_PAGE_SIZE))
            index++;
        return index;
    }
    /* The CPU changes what is read here. */
    __asm__ volatile("" : : : "memory");
    while (index + STRIDE <= end) {
        uint64_t any = 0;

#pragma GCC unroll 16
        for (size_t i = 0; i < STRIDE; i++)
            any |= entries[index + i];
        if (any & PTE_DIRTY)
            break;
        index += STRIDE;
    }
    while (index < end && !(entries[index] & PTE_DIRTY))
        index++;
    return index;
}

static bool all_tracked(const struct region *region, uint64_t address, size_t pages)
{
    if (region->state->tracked == region->pages)
        return true;
    for (size_t i = 0; i < pages; i++)
        if (!(page_tables_read(address + i * TRAPLINE_PAGE_SIZE) & PTE_TRACKED))
            return false;
    return true;
}

long region_pt_dirty(struct region *region, uint64_t address, size_t pages, void **buffer,
                     size_t capacity, size_t *left)
{
    const size_t first = (address - region->base) / TRAPLINE_PAGE_SIZE, end = first + pages;
    const size_t room = capacity < pages ? capacity : pages;
    struct region_flush flush = {.all = true};
    size_t found = 0, more = 0;

    if (!all_tracked(region, address, pages) || (uint64_t)buffer % sizeof(*buffer))
        return -TRAPLINE_EINVAL;
    if (!page_tables_writable((uint64_t)buffer, room * sizeof(*buffer)))
        return -TRAPLINE_EFAULT;
    space_collect_dirty();
    for (size_t index = next_dirty(region, first, end); index < end;
         index = next_dirty(region, index + 1, end)) {
        const uint64_t page = region->base + index * TRAPLINE_PAGE_SIZE;

        if (found == room) {
            more++;
            continue;
        }
        update_all(region, page, PTE_DIRTY, 0, &flush);
        buffer[found++] = (void *)page;
    }
    if (found < page_tables_flush_all_from && region->state->aliases == 0) {
        flush_list(buffer, found);
        if (found)
            region_flush_others();
    } else {
        region_flush_end(&flush);
    }
    if (left)
        *left = more;
    return (long)found;
}
