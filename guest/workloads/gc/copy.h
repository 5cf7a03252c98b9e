/* Forwarding: an object of the from-space gets its place in the to-space, once. */
#ifndef GC_COPY_H
#define GC_COPY_H

#include "guest/workloads/gc/heap.h"

/*
 * Where an object is in the to-space; it is copied there if nobody has yet. NULL, and an object
 * that is in the to-space already, stay what they are. On any number of threads at once.
 */
void *gc_forward(struct gc_heap *heap, struct gc_worker *worker, void *object);

/*
 * Take a page that some worker fills away from it, to scan it; it is then worker's own page, still
 * filled by its copies, and in state SCANNING. Returns whether it was there to be taken.
 */
bool gc_adopt(struct gc_heap *heap, struct gc_worker *worker, uint32_t page);

/* Bytes in a page that worker fills or filled, which may grow while it copies. */
uint32_t gc_filled(struct gc_heap *heap, struct gc_worker *worker, uint32_t page);

/* No more copies to a page that worker has adopted. Returns whether it was worker's still. */
bool gc_close(struct gc_heap *heap, struct gc_worker *worker, uint32_t page);

#endif
