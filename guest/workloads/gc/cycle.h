/* A cycle of the collector: its flip, its end, and when it is time for the next one. */
#ifndef GC_CYCLE_H
#define GC_CYCLE_H

#include "guest/workloads/gc/heap.h"

/* Turn the spaces over; with GC_STOP collect all, too. Returns false when another mutator did. */
bool gc_cycle_begin(struct gc_mutator *mutator);

/* Begin a cycle, or check the heap after one, if it is time for that. */
void gc_cycle_turn(struct gc_mutator *mutator);

/* A mutator does its share of the cycle, for so many new pages, if the collectors lag behind. */
void gc_cycle_share(struct gc_mutator *mutator, uint32_t pages);

/* Wait for the end of the cycle, and collect meanwhile. */
void gc_cycle_wait(struct gc_mutator *mutator);

/* What a mutator has put on its page counts from now on, and it needs a new one. */
void gc_retire(struct gc_mutator *mutator);

#endif
