/* MAP2 on Linux: more mappings of a region's memory, in its window. */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/linux/region.h"

/* Whether pages from alias on are in the window. */
static bool in_window(const struct region *region, uint64_t alias, size_t pages)
{
    const uint64_t base = region_slot_address(region, region_window_slot(region));
    const size_t most = region->state->window;

    return alias % TRAPLINE_PAGE_SIZE == 0 && pages > 0 && alias >= base &&
           (alias - base) / TRAPLINE_PAGE_SIZE < most &&
           pages <= most - (alias - base) / TRAPLINE_PAGE_SIZE;
}

/*
 * Map something at slots of the window. By the bare call: to ThreadSanitizer mmap() is a write of
 * the whole range by its caller, and an alias may move while others use it.
 */
static bool map_at(const struct region *region, size_t slot, size_t pages, int flags, int file,
                   size_t page)
{
    return syscall(SYS_mmap, region_slot_address(region, slot), pages * TRAPLINE_PAGE_SIZE,
                   PROT_NONE, flags | MAP_FIXED, file, page * TRAPLINE_PAGE_SIZE) >= 0;
}

/* Nothing is at these slots of the window any more. */
static int close_slots(const struct region *region, size_t slot, size_t pages)
{
    return map_at(region, slot, pages, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
               ? 0
               : -TRAPLINE_ENOMEM;
}

static int map_slots(struct region *region, size_t page, size_t pages, size_t slot, unsigned access)
{
    struct region_state *const state = region->state;
    const unsigned full = access & region_rights(region);
    int result = 0;

    if (!map_at(region, slot, pages, MAP_SHARED, state->memory, page))
        return -TRAPLINE_ENOMEM;
    for (size_t i = 0; i < pages; i++)
        state->slots[slot + i] = (struct slot){.full = (uint8_t)full,
                                               .access = (uint8_t)full,
                                               .actual = TRAPLINE_NONE,
                                               .mapped = true,
                                               .page = (uint32_t)(page + i)};
    result = region_dirty_mapped(region, slot, pages);
    if (result == 0)
        result = region_apply(region, slot, pages);
    if (result != 0) {
        for (size_t i = 0; i < pages; i++)
            state->slots[slot + i] = (struct slot){.mapped = false};
        close_slots(region, slot, pages);
        return result;
    }
    state->aliases += pages;
    if (state->window_used < slot - region_window_slot(region) + pages)
        state->window_used = slot - region_window_slot(region) + pages;
    return 0;
}

static int map2(struct region *region, uint64_t page, size_t pages, uint64_t alias, unsigned access)
{
    const size_t slot = region_slot(region, alias);
    const int result = region_check_own(region, page, pages);

    if (result != 0)
        return result;
    if (!in_window(region, alias, pages) || !(access & TRAPLINE_READ) ||
        (access & ~(unsigned)ACCESS_ALL))
        return -TRAPLINE_EINVAL;
    for (size_t i = 0; i < pages; i++)
        if (region->state->slots[slot + i].mapped)
            return -TRAPLINE_EEXIST;
    return map_slots(region, region_slot(region, page), pages, slot, access);
}

int region_map2_range(struct region *region, void *page, size_t pages, void *alias, unsigned access)
{
    int result;

    region_lock();
    result = map2(region, (uint64_t)page, pages, (uint64_t)alias, access);
    region_unlock();
    return result;
}

static void forget(struct region *region, size_t slot, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        region->state->slots[slot + i] = (struct slot){.mapped = false};
    region->state->aliases -= pages;
    if (region->state->aliases == 0)
        region->state->window_used = 0;
}

static int unmap2(struct region *region, uint64_t alias, size_t pages)
{
    const size_t slot = region_slot(region, alias);
    int result;

    if (!in_window(region, alias, pages))
        return -TRAPLINE_EINVAL;
    result = region_check(region, alias, pages);
    if (result == 0)
        result = region_dirty_unmapping(region, slot, pages);
    if (result == 0)
        result = close_slots(region, slot, pages);
    if (result != 0)
        return result;
    forget(region, slot, pages);
    return 0;
}

int region_unmap2_range(struct region *region, void *alias, size_t pages)
{
    int result;

    region_lock();
    result = unmap2(region, (uint64_t)alias, pages);
    region_unlock();
    return result;
}

/* Who accesses the alias meanwhile meets a fault and waits for the lock in it. */
static int remap2(struct region *region, uint64_t page, uint64_t alias, unsigned access)
{
    const size_t slot = region_slot(region, alias);
    int result = region_check_own(region, page, 1);

    if (result != 0)
        return result;
    if (!in_window(region, alias, 1) || !(access & TRAPLINE_READ) ||
        (access & ~(unsigned)ACCESS_ALL))
        return -TRAPLINE_EINVAL;
    result = region_check(region, alias, 1);
    if (result != 0)
        return result;
    region->state->slots[slot].access = TRAPLINE_NONE;
    result = region_apply(region, slot, 1);
    if (result == 0)
        result = region_dirty_unmapping(region, slot, 1);
    if (result == 0)
        result = close_slots(region, slot, 1);
    forget(region, slot, 1);
    return result != 0 ? result : map_slots(region, region_slot(region, page), 1, slot, access);
}

int region_remap2(struct region *region, void *page, void *alias, unsigned access)
{
    int result;

    region_lock();
    result = remap2(region, (uint64_t)page, (uint64_t)alias, access);
    region_unlock();
    return result;
}
