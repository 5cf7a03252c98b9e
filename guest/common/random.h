/* A small generator of pseudo-random numbers, the same on every machine: xorshift64 (Marsaglia). */
#ifndef GUEST_COMMON_RANDOM_H
#define GUEST_COMMON_RANDOM_H

#include <stdint.h>

/* The state is the last number; it must not be 0 at first. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A number below limit, which is not 0. */
static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return random_next(state) % limit;
}

#endif
