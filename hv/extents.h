/*
 * A set of address ranges as a sorted list of extents, touching ones merged: the core of the page
 * allocator, without memory or locks of its own.
 */
#ifndef TRAPLINE_HV_EXTENTS_H
#define TRAPLINE_HV_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extent {
    uint64_t base; /* bytes */
    uint64_t size; /* bytes, not 0 */
};

struct extents {
    struct extent *list; /* sorted by base, neither overlapping nor touching */
    size_t count;
    size_t capacity;
    uint64_t bytes; /* the sum of all sizes */
};

enum extents_result {
    EXTENTS_OK = 0,
    EXTENTS_NONE,    /* no piece that large and aligned */
    EXTENTS_FULL,    /* the list has no room for one more entry */
    EXTENTS_OVERLAP, /* part of the range is in the set already, or it is empty or wraps around */
};

/*
 * Take the lowest piece of bytes bytes (not 0) at a multiple of align (a power of two) out of the
 * set. With align 1, or a multiple of which every extent's base is one, it never returns
 * EXTENTS_FULL. On EXTENTS_OK *base is its address; otherwise nothing has changed.
 */
enum extents_result extents_take(struct extents *set, uint64_t bytes, uint64_t align,
                                 uint64_t *base);

/* Put a range into the set. On an error nothing has changed. */
enum extents_result extents_put(struct extents *set, uint64_t base, uint64_t bytes);

/* Move to a larger list; the caller gives the old one back. capacity: entries, at least set->count.
 */
void extents_move(struct extents *set, struct extent *list, size_t capacity);

#endif
