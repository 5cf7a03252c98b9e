/* Whose pages these are, and what may be done there. */
#include "guest/linux/region.h"

struct region *region_find(uint64_t address)
{
    struct region *region = region_first;

    while (region && address - region->base >= region_slots(region) * TRAPLINE_PAGE_SIZE)
        region = region->state->next;
    return region;
}

bool region_may(uint64_t address, size_t bytes, unsigned access)
{
    const uint64_t end = address + bytes;

    for (uint64_t page = address & ~(TRAPLINE_PAGE_SIZE - 1ull); bytes && page < end;
         page += TRAPLINE_PAGE_SIZE) {
        const struct region *const region = region_find(page);
        const struct slot *const slot =
            region ? &region->state->slots[region_slot(region, page)] : NULL;

        if (slot && (access & ~(unsigned)slot->access))
            return false;
    }
    return true;
}

int region_check_access(unsigned access)
{
    if ((access & ~(unsigned)ACCESS_ALL) ||
        ((access & TRAPLINE_WRITE) && !(access & TRAPLINE_READ)))
        return -TRAPLINE_EINVAL;
    return access == TRAPLINE_EXEC ? -TRAPLINE_EOPNOTSUPP : 0;
}

int region_check(const struct region *region, uint64_t address, size_t pages)
{
    const size_t slot = region_slot(region, address);
    size_t bytes;

    if (address % TRAPLINE_PAGE_SIZE || pages == 0 ||
        __builtin_mul_overflow(pages, TRAPLINE_PAGE_SIZE, &bytes) || address + bytes < address)
        return -TRAPLINE_EINVAL;
    if (slot >= region_slots(region) || pages > region_slots(region) - slot)
        return -TRAPLINE_ENOENT;
    for (size_t i = 0; i < pages; i++)
        if (!region->state->slots[slot + i].mapped)
            return -TRAPLINE_ENOENT;
    return 0;
}

int region_check_own(const struct region *region, uint64_t address, size_t pages)
{
    const int result = region_check(region, address, pages);

    return result == 0 && region_slot(region, address) >= region->pages ? -TRAPLINE_EINVAL : result;
}
