/* Threads that scan what the mutators have not touched yet. */
#ifndef GC_COLLECTOR_H
#define GC_COLLECTOR_H

#include "guest/workloads/gc/heap.h"

/* Start the heap's collectors on the vCPUs after the mutators', or end them. Returns 0 or an errno
 * value.
 */
int gc_collectors_start(struct gc_heap *heap);
void gc_collectors_end(struct gc_heap *heap);

#endif
