/* A program with stray accesses whose every detail is known, to see what red zones say of them. */
#ifndef OVERFLOW_STRAYS_H
#define OVERFLOW_STRAYS_H

#include "guest/workloads/overflow/redzones.h"

struct strays_options {
    enum region_mechanism mechanism;
    uint64_t sample; /* one block of so many has guard pages; 0 = none, and there are no strays */
    uint64_t strays, seed;
    bool verify;
    enum mistake mistake;
};

/* Returns false for what could not be run and, with verify, for a stray that was not told exactly.
 */
bool strays_run(const struct strays_options *options);

#endif
