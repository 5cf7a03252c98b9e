/* The figures of a run. */
#ifndef ZPAGE_REPORT_H
#define ZPAGE_REPORT_H

#include <stdint.h>

/* What a run took, for the comparison with another one. */
struct report {
    uint64_t ticks, accesses, loads;
    uint64_t transfers; /* to and from the store */
};

/* The figures of the run that has just ended, its space still open, as rows of that mode. */
void report_print(const char *mode, const struct report *run);

/* When compression is worth it, by two runs of the same. */
void report_compare(const struct report *compressed, const struct report *plain);

#endif
