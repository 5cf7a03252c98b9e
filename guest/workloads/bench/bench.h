/* The microbenchmarks of Trapline: the families of operations. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <trapline/trapline.h>

#include "guest/workloads/bench/harness.h"

void bench_basic(void);
void bench_protn(void);
void bench_dirty(void);
void bench_map2(void);
void bench_vmpup(void);
void bench_view(void);
void bench_space(void);
void bench_regions(void);
void bench_user(void);
void bench_sweep(void);
void bench_dirty_sweep(void);
void bench_limit(void);
void bench_cost(void);
void bench_smp(void);

#endif
