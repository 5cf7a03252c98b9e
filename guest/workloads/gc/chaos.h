/* Disorder: random waits between the steps of mutators and collectors, to meet what is rare. */
#ifndef GC_CHAOS_H
#define GC_CHAOS_H

#include "guest/common/random.h"
#include "guest/workloads/gc/heap.h"

enum {
    GC_CHAOS_SHARE = 32,     /* one step in so many is disturbed */
    GC_CHAOS_SPINS = 400,    /* at most */
    GC_CHAOS_PARK = 1 << 14, /* ticks, at most */
};

/* Wait a little, or not, if the heap's options ask for it. */
static inline void gc_chaos(const struct gc_heap *heap, struct gc_worker *worker)
{
    uint64_t spins;

    if (!heap->options.chaos || random_below(&worker->random, GC_CHAOS_SHARE) != 0)
        return;
    if (random_below(&worker->random, 2) == 0) {
        thread_park(1 + random_below(&worker->random, GC_CHAOS_PARK));
        return;
    }
    for (spins = random_below(&worker->random, GC_CHAOS_SPINS); spins; spins--)
        __builtin_ia32_pause();
}

#endif
