#include "hv/selftest.h"

#include <stdbool.h>

#include "hv/cpu.h"

enum {
    NMIS = 2000,
    NMI_PAUSE_US = 50,
};

static bool send_nmis;

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
    send_nmis = handover->selftest == HANDOVER_SELFTEST_NMI;
}

void selftest_idle(void)
{
    for (unsigned i = 0; send_nmis && i < NMIS; i++) {
        for (unsigned other = 0; other < cpu_count; other++) {
            if (cpus[other] != this_cpu())
                cpu_kick(cpus[other]);
        }
        cpu_delay_us(NMI_PAUSE_US);
    }
}
