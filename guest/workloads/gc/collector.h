/* Threads that scan what the mutators have not touched yet. */
#ifndef GC_COLLECTOR_H
#define GC_COLLECTOR_H

#include "guest/workloads/gc/heap.h"

/* Start the collectors on the vCPUs after the mutators'. Returns 0 or what thread_start() says. */
int gc_collectors_start(struct gc_heap *heap);

/* End them. */
void gc_collectors_end(struct gc_heap *heap);

#endif
