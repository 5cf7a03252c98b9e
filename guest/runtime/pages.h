/* Whole pages: a bitmap that lies apart from them, so that they may be protected. */
#ifndef GUEST_RUNTIME_PAGES_H
#define GUEST_RUNTIME_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pages {
    uint64_t *used;   /* a bit a page; pages are named by their number */
    size_t count;     /* pages that the bitmap covers */
    size_t available; /* of them free */
};

/* Bytes of bitmap for count pages. */
static inline size_t pages_map_bytes(size_t count)
{
    return (count + 63) / 64 * sizeof(uint64_t);
}

/* Start with all count pages in use; used: pages_map_bytes(count) bytes. */
void pages_init(struct pages *pages, uint64_t *used, size_t count);

/*
 * Find and take count free pages in a row, the first a multiple of align (a power of two).
 * Returns false when there are none, or count is 0, or align is no power of two.
 */
bool pages_take(struct pages *pages, size_t count, size_t align, size_t *first);

/* Make count pages free. Returns false, and changes nothing, when one is free already or outside.
 */
bool pages_release(struct pages *pages, size_t first, size_t count);

#endif
