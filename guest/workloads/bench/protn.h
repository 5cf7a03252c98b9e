/* What sweep.c asks of protn.c. */
#ifndef BENCH_PROTN_H
#define BENCH_PROTN_H

#include "guest/workloads/bench/bench.h"

/*
 * Check and measure PROTN of pages pages from page on, without any right, in one call; they are
 * given back after each round. region: whose they are, NULL = the hypervisor is called directly.
 */
void protn_measure_range(const char *name, struct region *region, char *page, size_t pages,
                         unsigned rounds);

#endif
