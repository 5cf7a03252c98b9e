/*
 * The heap: blocks with boundary tags in free lists by size, over memory that is added as needed.
 * Allocation is constant time but for the search of one list; freeing is constant time.
 */
#ifndef GUEST_RUNTIME_HEAP_H
#define GUEST_RUNTIME_HEAP_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HEAP_ALIGN = 16,
    HEAP_OVERHEAD = 96, /* added memory needs this much more than its largest block */
    HEAP_BINS = 64,
};

struct heap_block;

struct heap {
    struct heap_block
        *bins[HEAP_BINS]; /* free blocks of at least 2^i and less than 2^(i+1) bytes */
};

/* Give memory to the heap. Returns false when it is too small to be of use. */
bool heap_add(struct heap *heap, void *memory, size_t bytes);

/* Allocate size bytes at a multiple of align, a power of two. NULL = no block is large enough. */
void *heap_alloc(struct heap *heap, size_t size, size_t align);

/* Bytes that may be used at memory, at least what was asked for. */
size_t heap_usable(const void *memory);

/*
 * Free what heap_alloc() returned. Returns false, and changes nothing, when memory is no block in
 * use or the end of it was overwritten.
 */
bool heap_free(struct heap *heap, void *memory);

#endif
