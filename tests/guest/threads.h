/* Several vCPUs in a check: start a function on all the others, wait without a spin for ever. */
#ifndef TRAPLINE_TESTS_THREADS_H
#define TRAPLINE_TESTS_THREADS_H

#include "suite.h"

enum {
    VCPUS_MAX = 32,
    NAP_TICKS = 3000, /* while waiting for others, which may want this CPU */
};

/* Run function on every other vCPU; argument is the same for all. */
static inline void threads_start(thread_function *function, void *argument)
{
    for (unsigned i = 1; i < vcpu_count(); i++)
        EXPECT_EQ(thread_start(i, function, argument), 0);
}

static inline void threads_join(void)
{
    for (unsigned i = 1; i < vcpu_count(); i++)
        EXPECT_EQ(thread_join(i), 0);
}

/* Give way to others for some time. */
static inline void nap(void)
{
#if __STDC_HOSTED__
    thread_park(NAP_TICKS);
#else
    hypercall2(TRAPLINE_HC_PARK, NAP_TICKS, 0);
#endif
}

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        while (!(condition))                                                                       \
            nap();                                                                                 \
    } while (0)

/* A fixed sequence of numbers, one for each vCPU. */
struct random {
    uint64_t state;
};

static inline uint32_t random_below(struct random *random, uint32_t limit)
{
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random->state >> 32) * limit >> 32);
}

#endif
