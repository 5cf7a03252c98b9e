/* Mutators that stand: while a leader, one of them, turns the spaces over or checks the heap. */
#ifndef GC_STOP_H
#define GC_STOP_H

#include "guest/workloads/gc/heap.h"

/*
 * Have all mutators but the calling one stand, if the phase is still the one that was expected.
 * Returns whether they do, which is until gc_resume(); otherwise another mutator had the same idea,
 * and it is over.
 */
bool gc_stop(struct gc_mutator *mutator, enum gc_phase expected);
void gc_resume(struct gc_mutator *mutator);

/* Wake the collectors, and wait until none of them is at work. */
void gc_collectors_wake(struct gc_heap *heap);
void gc_collectors_rest(struct gc_heap *heap);

#endif
