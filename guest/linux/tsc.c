/* The rate of the TSC, measured against the kernel's clock. */
#include <stdatomic.h>
#include <time.h>

#include <trapline/time.h>

#include "guest/linux/linux.h"

#define NS_PER_SECOND  1000000000ull
#define MEASURE_FOR_NS 20000000ull /* an error of the clocks of 200 ns is 10 ppm of that */

static struct {
    uint64_t ticks, ns;
} started;

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

void time_init(void)
{
    started.ticks = ticks();
    started.ns = clock_ns();
}

/* The first call decides, so that all say the same. */
uint64_t tsc_hz(void)
{
    static _Atomic uint64_t decided;
    uint64_t expected = 0, hz = atomic_load(&decided), elapsed;

    if (hz)
        return hz;
    do
        elapsed = clock_ns() - started.ns;
    while (elapsed < MEASURE_FOR_NS);
    hz = (uint64_t)((double)(ticks() - started.ticks) * NS_PER_SECOND / (double)elapsed);
    return atomic_compare_exchange_strong(&decided, &expected, hz) ? hz : expected;
}
