/* Sets of a region's pages; what keys do for them is in region_key.c. */
/* Some calls are made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include <trapline/memory.h>
#include <trapline/string.h>

#include "guest/runtime/region.h"

static struct region_set *new_set(struct region *region, void *const *pages, size_t count)
{
    struct region_set *const set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->region = region;
    set->count = count;
    set->pages = malloc(count * sizeof(*set->pages));
    set->strayed = malloc(count * sizeof(*set->strayed));
    if (!set->pages || !set->strayed) {
        free(set->pages);
        free(set->strayed);
        free(set);
        return NULL;
    }
    memcpy(set->pages, pages, count * sizeof(*set->pages));
    return set;
}

static void free_set(struct region_set *set)
{
    free(set->pages);
    free(set->strayed);
    free(set);
}

/* Whether a page is in a set of its region, or twice in this list. */
static bool taken(const struct region *region, void *const *pages, size_t which)
{
    for (const struct region_set *set = region->state->sets; set; set = set->next)
        for (size_t i = 0; i < set->count; i++)
            if (set->pages[i] == pages[which])
                return true;
    for (size_t i = 0; i < which; i++)
        if (pages[i] == pages[which])
            return true;
    return false;
}

int region_set_create(struct region_set **set, struct region *region, void *const *pages,
                      size_t count)
{
    struct region_set *made;
    int result = 0;

    if (count == 0 || count > region->pages)
        return -TRAPLINE_EINVAL;
    for (size_t i = 0; i < count; i++) {
        if ((uint64_t)pages[i] % TRAPLINE_PAGE_SIZE)
            return -TRAPLINE_EINVAL;
        if (region_index(region, pages[i]) >= region->pages)
            return -TRAPLINE_ENOENT;
    }
    made = new_set(region, pages, count);
    if (!made)
        return -TRAPLINE_ENOMEM;
    region_lock();
    for (size_t i = 0; i < count && result == 0; i++)
        result = taken(region, pages, i) ? -TRAPLINE_EINVAL : 0;
    if (result == 0)
        result = region_set_begin(made);
    if (result == 0) {
        made->next = region->state->sets;
        region->state->sets = made;
    }
    region_unlock();
    if (result != 0) {
        free_set(made);
        return result;
    }
    *set = made;
    return 0;
}

void region_set_destroy(struct region_set *set)
{
    struct region_set **link = &set->region->state->sets;

    region_lock();
    region_set_end(set);
    while (*link != set)
        link = &(*link)->next;
    *link = set->next;
    region_unlock();
    free_set(set);
}

int region_set_protn(struct region_set *set, unsigned access)
{
    return region_protn(set->region, set->pages, set->count, access);
}
