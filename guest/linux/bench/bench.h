/* The microbenchmarks of Linux: the families of operations, named as Trapline's. */
#ifndef LINUX_BENCH_BENCH_H
#define LINUX_BENCH_BENCH_H

#include "guest/workloads/bench/harness.h"

void bench_basic(void);
void bench_protn(void);
void bench_dirty(void);
void bench_dirty_sweep(void);
void bench_map2(void);
void bench_vmpup(void);
void bench_sweep(void);
void bench_shootdown(void);

#endif
