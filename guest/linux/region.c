/* Regions on Linux: making and unmaking them. */
#include "guest/linux/region.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest/linux/linux.h"
#include "guest/linux/region_uffd.h"

enum {
    WINDOW_LEAST = 512, /* pages */
    WINDOW_FACTOR = 16, /* pages of the window for a page of the region */
};

struct region *region_first;

/* Memory that holds zeros and takes none until it is written. */
static void *zeroed(size_t bytes)
{
    void *const got = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return got == MAP_FAILED ? NULL : got;
}

static size_t map_bytes(const struct region *region)
{
    return (region->pages + 63) / 64 * sizeof(uint64_t);
}

static void free_state(struct region *region)
{
    struct region_state *const state = region->state;

    if (region->base)
        munmap((void *)region->base, region_slots(region) * TRAPLINE_PAGE_SIZE);
    if (state->slots)
        munmap(state->slots, region_slots(region) * sizeof(*state->slots));
    if (state->memory >= 0)
        close(state->memory);
    free(state->is_tracked);
    free(state->is_dirty);
    free(region);
}

static int map_memory(struct region *region)
{
    struct region_state *const state = region->state;
    const unsigned rights = region_rights(region);
    const int access = PROT_READ | PROT_WRITE | (rights & TRAPLINE_EXEC ? PROT_EXEC : 0);
    const size_t bytes = region->pages * TRAPLINE_PAGE_SIZE;

    state->memory = memfd_create("region", MFD_CLOEXEC);
    if (state->memory < 0 || ftruncate(state->memory, (off_t)bytes) != 0)
        return -TRAPLINE_ENOMEM;
    if (mmap((void *)region->base, bytes, access, MAP_SHARED | MAP_FIXED, state->memory, 0) ==
        MAP_FAILED)
        return -TRAPLINE_ENOMEM;
    for (size_t i = 0; i < region->pages; i++)
        state->slots[i] = (struct slot){.full = (uint8_t)rights,
                                        .access = (uint8_t)rights,
                                        .actual = (uint8_t)rights,
                                        .mapped = true,
                                        .page = (uint32_t)i};
    return region->mechanism != REGION_UFFD || region_uffd_create(region) ? 0 : -TRAPLINE_ENOMEM;
}

static int fill_region(struct region *region, size_t align)
{
    struct region_state *const state = region->state;
    const size_t window = region->pages * WINDOW_FACTOR;

    state->memory = -1;
    state->window = window > WINDOW_LEAST ? window : WINDOW_LEAST;
    state->is_tracked = calloc(1, map_bytes(region));
    state->is_dirty = calloc(1, map_bytes(region));
    state->slots = zeroed(region_slots(region) * sizeof(*state->slots));
    region->base = memory_reserve(region_slots(region), align);
    if (!state->is_tracked || !state->is_dirty || !state->slots || !region->base)
        return -TRAPLINE_ENOMEM;
    return map_memory(region);
}

static int prepare(enum region_mechanism mechanism)
{
    bool good = mechanism == REGION_MPROTECT;

    region_lock_init();
    if (mechanism == REGION_UFFD) {
        region_lock();
        good = region_uffd_begin();
        region_unlock();
    }
    return good ? 0 : -TRAPLINE_EOPNOTSUPP;
}

int region_create(struct region **region, size_t pages, size_t align,
                  enum region_mechanism mechanism)
{
    struct region *made;
    int result;

    if (pages == 0 || align == 0 || (align & (align - 1)) || mechanism >= REGION_MECHANISMS)
        return -TRAPLINE_EINVAL;
    result = prepare(mechanism);
    if (result != 0)
        return result;
    if (!memory_take(pages))
        return -TRAPLINE_ENOMEM;
    made = calloc(1, sizeof(*made) + sizeof(*made->state));
    if (made) {
        made->pages = pages;
        made->mechanism = mechanism;
        made->state = (struct region_state *)(made + 1);
        result = fill_region(made, align);
    }
    if (!made || result != 0) {
        if (made)
            free_state(made);
        memory_give(pages);
        return made ? result : -TRAPLINE_ENOMEM;
    }
    region_lock();
    made->state->next = region_first;
    region_first = made;
    region_unlock();
    *region = made;
    return 0;
}

void region_destroy(struct region *region)
{
    struct region **link = &region_first;

    if (region->state->sets || region->state->aliases) {
        fprintf(stderr, "region_destroy(%p): it has sets or aliases\n", (void *)region);
        abort();
    }
    region_lock();
    while (*link != region)
        link = &(*link)->state->next;
    *link = region->state->next;
    region_unlock();
    memory_give(region->pages);
    free_state(region);
}

void *region_alias_window(const struct region *region)
{
    return (void *)region_slot_address(region, region_window_slot(region));
}

size_t region_alias_window_pages(const struct region *region)
{
    return region->state->window;
}
