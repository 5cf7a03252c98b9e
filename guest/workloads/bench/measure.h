/* What report.c asks of measure.c, and measure.c of who counts. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "guest/workloads/bench/harness.h"

/* Time rounds rounds of an operation, then count in some more, and fill in its row. */
void bench_measure(const struct bench_op *op, void *ctx, unsigned rounds, struct figure *row);

/* Find out what reading the counters adds to them; comes first. */
void count_calibrate(void);

/* Run an operation, at most rounds times, and fill in its row's exits, flushes and IPIs. */
void count_rounds(const struct bench_op *op, void *ctx, unsigned rounds, struct figure *row);

static inline uint64_t less(uint64_t value, uint64_t reduction)
{
    return value > reduction ? value - reduction : 0;
}

#endif
