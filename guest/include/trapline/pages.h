/* Whole pages, for use with the primitives. */
#ifndef TRAPLINE_PAGES_H
#define TRAPLINE_PAGES_H

#include <stddef.h>

/*
 * Allocate count pages that follow one another, zeroed, the first aligned to align pages (a power
 * of two). Nothing but the caller's data lies in them, so they may be protected; the allocator
 * never touches them until pages_free(). Returns NULL when there is no such piece.
 */
void *pages_alloc(size_t count, size_t align);

/*
 * Give back pages of pages_alloc(), all of a piece or some of it. They must allow reading and
 * writing again: the next owner finds them as they are.
 */
void pages_free(void *first, size_t count);

/* Pages that are free now, in all; and the bytes of the guest's RAM. */
size_t pages_available(void);
size_t ram_size(void);

#endif
