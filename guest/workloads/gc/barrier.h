/* The read barrier: what a touch of a page that was not scanned yet brings about. */
#ifndef GC_BARRIER_H
#define GC_BARRIER_H

#include "guest/workloads/gc/heap.h"

/* Register the handler, for this heap. Returns 0 or what region_trap() says. */
int gc_barrier_start(struct gc_heap *heap);
void gc_barrier_end(void);

#endif
