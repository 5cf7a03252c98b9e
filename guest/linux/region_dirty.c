/*
 * TRACK and DIRTY on Linux. Each page that is tracked has a bit for having been written. How the
 * bit comes about is one of several ways, struct dirty_way: by what the kernel notes of mappings,
 * which is harvested when it is asked for, or by forbidding writes and meeting the fault.
 */
#include "guest/linux/region_dirty.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct dirty_way dirty_protect = {.name = "protect"};

enum {
    EXIT_LACKING =
        77, /* the machine lacks what was asked for; as tests/harness/linux.py knows it */
};

static const struct dirty_way *const ways[] = {&dirty_scan, &dirty_soft, &dirty_protect};
static const struct dirty_way *chosen;

static bool works(const struct dirty_way *way)
{
    return !way->begin || way->begin();
}

/* By the environment's TRAPLINE_DIRTY, else the first that works; the last one always does. */
static void choose(void)
{
    const char *const name = getenv("TRAPLINE_DIRTY");
    bool known = !name;

    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]) && !chosen; i++) {
        if (name && strcmp(name, ways[i]->name) != 0)
            continue;
        known = true;
        if (works(ways[i]))
            chosen = ways[i];
    }
    if (chosen)
        return;
    fprintf(stderr, "TRAPLINE_DIRTY=%s: %s\n", name,
            known ? "this kernel cannot do it" : "scan, soft or protect is wanted");
    exit(known ? EXIT_LACKING : EXIT_FAILURE);
}

/*
 * What the kernel notes it notes in the page tables, and REGION_UFFD takes pages out of them.
 * Besides, a mapping has one userfaultfd, and that of REGION_UFFD is another than the one for
 * scans.
 */
const struct dirty_way *dirty_way_of(const struct region *region)
{
    if (!chosen)
        choose();
    return region->mechanism == REGION_UFFD ? &dirty_protect : chosen;
}

bool region_write_is_awaited(const struct region *region, size_t page)
{
    const struct region_state *const state = region->state;

    if (state->tracked == 0)
        return false;
    return state->is_held || (bit_is_set(state->is_tracked, page) &&
                              !bit_is_set(state->is_dirty, page) && !dirty_way_of(region)->harvest);
}

void region_written(struct region *region, size_t page)
{
    if (bit_is_set(region->state->is_tracked, page))
        bit_set(region->state->is_dirty, page);
}

int region_apply_everywhere(struct region *region, size_t page, size_t pages)
{
    const size_t first = region_window_slot(region);
    int result = region_apply(region, page, pages);

    if (region->state->aliases == 0)
        return result;
    for (size_t i = 0; i < region->state->window_used && result == 0; i++) {
        const struct slot *const slot = &region->state->slots[first + i];

        if (slot->mapped && slot->page - page < pages)
            result = region_apply(region, first + i, 1);
    }
    return result;
}

int region_dirty_mapped(struct region *region, size_t slot, size_t pages)
{
    const struct dirty_way *const way = region->state->tracked ? dirty_way_of(region) : NULL;

    return way && way->mapped ? way->mapped(region, slot, pages) : 0;
}

int region_dirty_unmapping(struct region *region, size_t slot, size_t pages)
{
    const struct dirty_way *const way = region->state->tracked ? dirty_way_of(region) : NULL;

    return way && way->harvest ? way->harvest(region, slot, pages) : 0;
}

/* Note all writes to pages so far, through whichever address. */
static int harvest(struct region *region, size_t page, size_t pages)
{
    const struct dirty_way *const way = dirty_way_of(region);
    int result = 0;

    if (!way->harvest)
        return 0;
    if (region->state->aliases && !way->of_all)
        result = way->harvest(region, region_window_slot(region), region->state->window_used);
    return result == 0 ? way->harvest(region, page, pages) : result;
}

static int start_tracking(struct region *region, size_t page, size_t pages)
{
    struct region_state *const state = region->state;
    const struct dirty_way *const way = dirty_way_of(region);
    int result = 0;

    if (way->arm && state->tracked == 0)
        result = way->arm(region);
    if (result == 0)
        result = harvest(region, page, pages);
    if (result != 0)
        return result;
    for (size_t i = page; i < page + pages; i++) {
        state->tracked += !bit_is_set(state->is_tracked, i);
        bit_set(state->is_tracked, i);
    }
    return way->harvest ? 0 : region_apply_everywhere(region, page, pages);
}

static int stop_tracking(struct region *region, size_t page, size_t pages)
{
    struct region_state *const state = region->state;
    const bool awaited = !dirty_way_of(region)->harvest;

    for (size_t i = page; i < page + pages; i++) {
        state->tracked -= bit_is_set(state->is_tracked, i);
        bit_clear(state->is_tracked, i);
        bit_clear(state->is_dirty, i);
    }
    return awaited ? region_apply_everywhere(region, page, pages) : 0;
}

int region_track(struct region *region, void *page, size_t pages, int on)
{
    const size_t first = region_slot(region, (uint64_t)page);
    int result;

    region_lock();
    result = region_check_own(region, (uint64_t)page, pages);
    if (result == 0)
        result = (on ? start_tracking : stop_tracking)(region, first, pages);
    region_unlock();
    return result;
}

/* The next page from page on whose bit is set, or end. */
static size_t next_dirty(const uint64_t *bits, size_t page, size_t end)
{
    while (page < end) {
        const uint64_t rest = bits[page / 64] >> page % 64;

        if (rest) {
            page += (size_t)__builtin_ctzll(rest);
            return page < end ? page : end;
        }
        page = (page / 64 + 1) * 64;
    }
    return end;
}

static bool all_tracked(const struct region *region, size_t page, size_t pages)
{
    if (region->state->tracked == region->pages)
        return true;
    for (size_t i = page; i < page + pages; i++)
        if (!bit_is_set(region->state->is_tracked, i))
            return false;
    return true;
}

/* Move pages that are dirty to the buffer. Where writes are awaited, that begins again with them.
 */
static long deliver(struct region *region, size_t page, size_t pages, void **buffer,
                    size_t capacity, size_t *left)
{
    struct region_state *const state = region->state;
    const size_t end = page + pages;
    size_t found = 0, more = 0, first = end, last = page;

    for (size_t i = next_dirty(state->is_dirty, page, end); i < end;
         i = next_dirty(state->is_dirty, i + 1, end)) {
        if (found == capacity) {
            more++;
            continue;
        }
        bit_clear(state->is_dirty, i);
        buffer[found++] = (void *)region_slot_address(region, i);
        first = first < i ? first : i;
        last = i;
    }
    if (found && !dirty_way_of(region)->harvest &&
        region_apply_everywhere(region, first, last - first + 1) != 0) {
        for (size_t i = 0; i < found; i++)
            bit_set(state->is_dirty, region_slot(region, (uint64_t)buffer[i]));
        region_apply_everywhere(region, first, last - first + 1);
        return -TRAPLINE_ENOMEM;
    }
    if (left)
        *left = more;
    return (long)found;
}

static long fetch(struct region *region, uint64_t address, size_t pages, void **buffer,
                  size_t capacity, size_t *left)
{
    const size_t page = region_slot(region, address);
    const size_t room = capacity < pages ? capacity : pages;
    int result = region_check_own(region, address, pages);

    if (result != 0)
        return result;
    if (!all_tracked(region, page, pages) || (uint64_t)buffer % sizeof(*buffer))
        return -TRAPLINE_EINVAL;
    if (!region_may((uint64_t)buffer, room * sizeof(*buffer), TRAPLINE_WRITE))
        return -TRAPLINE_EFAULT;
    result = harvest(region, page, pages);
    return result != 0 ? result : deliver(region, page, pages, buffer, room, left);
}

long region_dirty(struct region *region, void *page, size_t pages, void **buffer, size_t capacity,
                  size_t *left)
{
    long result;

    region_lock();
    result = fetch(region, (uint64_t)page, pages, buffer, capacity, left);
    region_unlock();
    return result;
}
