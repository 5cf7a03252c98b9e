/*
 * What the old generation remembers: the places that were written since the last collection, by one
 * of three ways (enum barrier_kind). After a collection no old object points to a young one.
 */
#ifndef GENERATIONAL_REMEMBER_H
#define GENERATIONAL_REMEMBER_H

#include "guest/workloads/generational/heap.h"

/* Returns 0, -ENOMEM or what the region's calls return. The heap's memory is there already. */
int remember_create(struct heap *heap);
void remember_destroy(struct heap *heap);

/* Call heap_scan() for all places below limit that were written, and forget them. */
void remember_visit(struct heap *heap, char *limit);

/* After a minor collection: from here on writes count, up to heap->top. */
void remember_restart(struct heap *heap);

/* Before a major collection, which writes everywhere; and after it, in the other half. */
void remember_suspend(struct heap *heap);
void remember_resume(struct heap *heap);

#endif
