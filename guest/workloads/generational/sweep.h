/*
 * What a barrier costs by how many stores there are to a page that is written at all between two
 * collections; and from how many on one that works by pages beats the marking of cards.
 */
#ifndef GENERATIONAL_SWEEP_H
#define GENERATIONAL_SWEEP_H

#include "guest/workloads/generational/heap.h"

enum {
    SWEEP_STEPS = 10, /* 1, 2, 4, ... stores to a page */
};

struct sweep {
    double page[SWEEP_STEPS]; /* ticks for a page: its stores, and its part of the collection */
    uint64_t first, store;    /* ticks: a page's first store after a collection, a later one */
};

/* Measure a barrier, printing figures. Returns 0 or what heap_create() returns. */
int sweep_run(const struct heap_options *options, const char *mode, struct sweep *result);

/* Print from how many stores to a page on a barrier is cheaper than cards. */
void sweep_compare(const struct sweep *sweep, enum barrier_kind barrier, const struct sweep *cards,
                   const char *mode);

extern const char *const barrier_names[];

#endif
