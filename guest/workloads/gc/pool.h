/* The free pages of the to-space, and who may have them. */
#ifndef GC_POOL_H
#define GC_POOL_H

#include "guest/workloads/gc/heap.h"

/* All pages of a new, empty to-space are free. While all stand. */
void gc_pool_reset(struct gc_heap *heap);

/* Take pages for copies. Returns the first one; the program ends when there are too few. */
uint32_t gc_pool_take_copy(struct gc_heap *heap, uint32_t pages, bool large);

/*
 * Take up to pages pages for new objects, all of them for a large one. Returns how many, which is 0
 * when what the cycle, or the next one, may have to copy would not find room any more.
 */
uint32_t gc_pool_take_new(struct gc_heap *heap, uint32_t pages, bool large, uint32_t *first);

/* Whether a page may be left partly empty. */
bool gc_pool_spares(struct gc_heap *heap);

/* Bytes of small objects were copied to a page that is closed now. */
void gc_pool_paid(struct gc_heap *heap, uint32_t bytes);

/* The cycle is over: nothing is owed any more. */
void gc_pool_settle(struct gc_heap *heap);

/* The pages that are free: the first one, and how many. */
uint32_t gc_pool_free(const struct gc_heap *heap, uint32_t *first);

/* Pages that the cycle may yet have to copy to. */
size_t gc_pool_owed(const struct gc_heap *heap);

/* Pages in use, and those that new objects may have yet while the cycle goes on. */
size_t gc_pool_used(const struct gc_heap *heap);
size_t gc_pool_allowance(const struct gc_heap *heap);

#endif
