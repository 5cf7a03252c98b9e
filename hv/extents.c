#include "hv/extents.h"

#include <string.h>

static void remove_entry(struct extents *set, size_t i)
{
    memmove(&set->list[i], &set->list[i + 1], (set->count - i - 1) * sizeof(set->list[0]));
    set->count--;
}

static void insert_entry(struct extents *set, size_t i, uint64_t base, uint64_t size)
{
    memmove(&set->list[i + 1], &set->list[i], (set->count - i) * sizeof(set->list[0]));
    set->list[i] = (struct extent){.base = base, .size = size};
    set->count++;
}

enum extents_result extents_take(struct extents *set, uint64_t bytes, uint64_t align,
                                 uint64_t *base)
{
    for (size_t i = 0; i < set->count; i++) {
        struct extent *e = &set->list[i];
        uint64_t skip = -e->base & (align - 1);

        if (skip >= e->size || e->size - skip < bytes)
            continue;
        uint64_t rest = e->size - skip - bytes;
        if (skip && rest) {
            if (set->count == set->capacity)
                return EXTENTS_FULL;
            insert_entry(set, i + 1, e->base + skip + bytes, rest);
        }
        *base = e->base + skip;
        if (skip) {
            e->size = skip;
        } else if (rest) {
            e->base += bytes;
            e->size = rest;
        } else {
            remove_entry(set, i);
        }
        set->bytes -= bytes;
        return EXTENTS_OK;
    }
    return EXTENTS_NONE;
}

/* The index of the first extent that begins at or above base. */
static size_t find_above(const struct extents *set, uint64_t base)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->list[middle].base < base)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum extents_result extents_put(struct extents *set, uint64_t base, uint64_t bytes)
{
    size_t i = find_above(set, base);
    struct extent *below = i > 0 ? &set->list[i - 1] : NULL;
    struct extent *above = i < set->count ? &set->list[i] : NULL;

    if (bytes == 0 || base + bytes < base)
        return EXTENTS_OVERLAP;
    if ((below && below->base + below->size > base) || (above && above->base < base + bytes))
        return EXTENTS_OVERLAP;

    bool joins_below = below && below->base + below->size == base;
    bool joins_above = above && above->base == base + bytes;

    if (joins_below) {
        below->size += bytes;
        if (joins_above) {
            below->size += above->size;
            remove_entry(set, i);
        }
    } else if (joins_above) {
        above->base = base;
        above->size += bytes;
    } else {
        if (set->count == set->capacity)
            return EXTENTS_FULL;
        insert_entry(set, i, base, bytes);
    }
    set->bytes += bytes;
    return EXTENTS_OK;
}

void extents_move(struct extents *set, struct extent *list, size_t capacity)
{
    memcpy(list, set->list, set->count * sizeof(list[0]));
    set->list = list;
    set->capacity = capacity;
}
