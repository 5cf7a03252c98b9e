/* What the other vCPUs have cached of page tables; in a guest of one vCPU there are none. */
#ifndef GUEST_RUNTIME_REGION_SHOOTDOWN_H
#define GUEST_RUNTIME_REGION_SHOOTDOWN_H

#include <trapline/hypercall.h>

#include "guest/runtime/region_lock.h"

/*
 * No vCPU but this one goes on with a translation of before. By a hypercall, which reaches those
 * with interrupts off, in handlers, too, and sends nothing to those that do not run.
 */
static inline void region_flush_others(void)
{
    if (__builtin_expect(region_shared, 0))
        hypercall2(TRAPLINE_HC_SHOOTDOWN, 0, 0);
}

#endif
