/* Time: see time.h; tsc_hz() is the home's. */
#include <trapline/time.h>

uint64_t ticks_to_ns(uint64_t count)
{
    const uint64_t hz = tsc_hz();
    const uint64_t ns_per_second = 1000000000;

    return hz ? count / hz * ns_per_second + count % hz * ns_per_second / hz : 0;
}

uint64_t ns(void)
{
    return ticks_to_ns(ticks());
}
