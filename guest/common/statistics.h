/* Order statistics of measured values. */
#ifndef GUEST_COMMON_STATISTICS_H
#define GUEST_COMMON_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/* Sort ascending, in place, without more memory. */
void sort_values(uint64_t *values, size_t count);

/* The median of sorted values: the middle one, or the mean of the middle two. count is not 0. */
double median_of(const uint64_t *sorted, size_t count);

/* The nearest-rank percentile: the smallest value that percent % of all do not exceed; 1 to 100. */
uint64_t percentile_of(const uint64_t *sorted, size_t count, unsigned percent);

#endif
