/* What waiting needs of a vCPU. */
#ifndef GUEST_RUNTIME_PARK_H
#define GUEST_RUNTIME_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include <trapline/hypercall.h>

#include "guest/runtime/vcpu.h"

/* The calling vCPU's index, without a call. */
static inline unsigned own_index(void)
{
    return vcpu_self()->index;
}

/*
 * Park until vcpu_unpark() or ticks of the TSC have passed (0 = no limit); an unpark that came
 * before is not lost. Returns whether it was unparked; a token may be left over from an earlier
 * wait.
 */
static inline bool vcpu_park(uint64_t ticks)
{
    return hypercall2(TRAPLINE_HC_PARK, ticks, 0) == 1;
}

static inline void vcpu_unpark(unsigned vcpu)
{
    hypercall2(TRAPLINE_HC_UNPARK, vcpu, 0);
}

#endif
