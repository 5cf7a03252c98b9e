/*
 * Series of measured values and the result rows that they become: the lines "@json {...}" that
 * tools/runner collects, with the fields that guests' figures have.
 */
#ifndef TRAPLINE_HV_SERIES_H
#define TRAPLINE_HV_SERIES_H

#include <stdint.h>

enum {
    SERIES_MAX = 1000,
};

struct series {
    unsigned count;
    uint64_t values[SERIES_MAX]; /* ticks */
};

struct series_row {
    const char *name;
    const char *per;               /* what an operation is: "op", "page" */
    unsigned ops;                  /* operations in one value, at least 1 */
    unsigned exits, flushes, ipis; /* in one operation */
};

/* Add a value in ticks. A full series takes no more. */
static inline void series_add(struct series *series, uint64_t ticks)
{
    if (series->count < SERIES_MAX)
        series->values[series->count++] = ticks;
}

/* The median of at least one value: of an even number the lower one in the middle. Sorts them. */
uint64_t series_median(struct series *series);

/*
 * Print the row of at least one value: minimum, median, and the 99th percentile by nearest rank,
 * each divided by row->ops. less: ticks to take off each value, which none gets below 0 by. Sorts
 * the values.
 */
void series_print(struct series *series, const struct series_row *row, uint64_t less);

#endif
