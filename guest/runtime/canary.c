/*
 * The stack protector: what code has that was compiled with -fstack-protector, as a distribution's
 * libraries are. It compares a word of its frame with the canary at %fs:0x28 before it returns.
 */
#include "guest/runtime/canary.h"

#include <stdbool.h>
#include <stdnoreturn.h>

#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/time.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/runtime.h"

enum {
    RDRAND_TRIES = 10, /* SDM volume 1, 7.3.17.1 */
};

#define TSC_MULTIPLIER                                                                             \
    0x9e3779b97f4a7c15ull  /* 2^64 divided by the golden ratio: spreads all bits */
#define STRING_END 0xffull /* the byte that an overrunning string would copy first */

static bool rdrand(uint64_t *value)
{
    bool valid = false;

    for (int i = 0; i < RDRAND_TRIES && !valid; i++)
        __asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(valid));
    return valid;
}

uint64_t canary_make(void)
{
    uint64_t value;

    if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_RDRAND) || !rdrand(&value))
        value = rdtsc() * TSC_MULTIPLIER;
    return value & ~STRING_END;
}

/* Called by the compiler's code: a function's stack was overrun, so it cannot return. */
noreturn void __stack_chk_fail(void);

noreturn void __stack_chk_fail(void)
{
    printf("guest: %sa function wrote beyond its stack frame\n", vcpu_label());
    abort();
}
