/* The stack protector's canary: see canary.c. */
#ifndef GUEST_RUNTIME_CANARY_H
#define GUEST_RUNTIME_CANARY_H

#include <stdint.h>

/* A new canary: random where the CPU has RDRAND, else made of the TSC. Its lowest byte is 0. */
uint64_t canary_make(void);

#endif
