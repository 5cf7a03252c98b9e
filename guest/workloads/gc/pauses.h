/* When a mutator could not go on, and what follows from that: the utilisation of its time. */
#ifndef GC_PAUSES_H
#define GC_PAUSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gc_pause_kind {
    GC_PAUSE_STOP,  /* at a flip, or in a collection while all stand */
    GC_PAUSE_TRAP,  /* in the handler */
    GC_PAUSE_PACE,  /* collecting at an allocation, as a part of it */
    GC_PAUSE_STALL, /* waiting for memory until the cycle ended */
    GC_PAUSE_KINDS
};

struct gc_pause {
    uint64_t start, end; /* ticks */
    enum gc_pause_kind kind;
};

/* A log of pauses in the order of time. What finds no place is counted. */
struct gc_pauses {
    struct gc_pause *pause;
    size_t count, capacity, lost;
};

bool gc_pauses_create(struct gc_pauses *pauses, size_t capacity);
void gc_pauses_destroy(struct gc_pauses *pauses);

/* Add one that began at start and ends now; ticks of it. */
uint64_t gc_pauses_add(struct gc_pauses *pauses, enum gc_pause_kind kind, uint64_t start);

/* How many of a kind there are; their ticks go to ticks[], which has room for all. */
size_t gc_pauses_of(const struct gc_pauses *pauses, enum gc_pause_kind kind, uint64_t *ticks);

/* The longest of all, in ticks, or 0. */
uint64_t gc_pauses_longest(const struct gc_pauses *pauses);

/*
 * The minimum mutator utilisation (Cheng and Blelloch, PLDI 2001): of all intervals of window ticks
 * between start and end, the least share that was the mutator's, in percent. An interval longer
 * than the run is cut to it.
 */
double gc_pauses_utilisation(const struct gc_pauses *pauses, uint64_t start, uint64_t end,
                             uint64_t window);

#endif
