/* What report.c asks of measure.c. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "guest/workloads/bench/bench.h"

/* Time rounds rounds of an operation, then count in some more, and fill in its row. */
void bench_measure(const struct bench_op *op, void *ctx, unsigned rounds, struct figure *row);

#endif
