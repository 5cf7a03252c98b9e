/* What the two ways to notice a heap's end cost, and from when on the guard page is the cheaper. */
#ifndef OVERFLOW_MEASURE_H
#define OVERFLOW_MEASURE_H

#include "guest/workloads/overflow/program.h"

/* Of one program. */
struct measured {
    double allocation[2]; /* ticks for an object, collections left out: [1] with checks */
    double guard;         /* ticks for moving the guard page, a collection */
    struct heap_counts counts[2];
    struct program_result result[2];
};

/*
 * Run a program on all vCPUs, on each in its heap; the results are vCPU 0's. Returns 0 or what
 * heaps_create() returns; verify, in options, compares all results with what is expected, and ends
 * the program when they differ.
 */
int measure_program(const struct program *program, const struct heap_options *options,
                    uint64_t rounds, struct measured *measured);

/* Ticks from an allocation that meets the guard page until it goes on elsewhere; a figure. */
int measure_trap(const struct heap_options *options, double *trap);

#endif
