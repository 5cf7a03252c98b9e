/* Time from the TSC. */
#ifndef TRAPLINE_TIME_H
#define TRAPLINE_TIME_H

#include <stdint.h>

/* The time-stamp counter as it is, not ordered with the instructions around it. */
static inline uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* The time-stamp counter, after everything before it and before everything after it. */
static inline uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* Ticks per second. */
uint64_t tsc_hz(void);

/* Nanoseconds since the TSC was 0, and ticks as nanoseconds. */
uint64_t ns(void);
uint64_t ticks_to_ns(uint64_t count);

#endif
