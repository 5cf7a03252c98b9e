#include "hv/selftest.h"

/* Into the guard page: a #PF that cannot be delivered, so a #DF on a stack of its own. */
static void overflow_stack(void)
{
    __asm__ volatile("1: push %rax\n\tjmp 1b");
}

void selftest_root(const struct handover *handover)
{
    if (handover->selftest == HANDOVER_SELFTEST_EXCEPTION)
        __builtin_trap();
    if (handover->selftest == HANDOVER_SELFTEST_STACK)
        overflow_stack();
}
