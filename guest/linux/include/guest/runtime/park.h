/* What waiting needs of a vCPU, which is a thread of the process here: see guest/linux/vcpu.c. */
#ifndef GUEST_RUNTIME_PARK_H
#define GUEST_RUNTIME_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include <trapline/thread.h>

static inline unsigned own_index(void)
{
    return vcpu_index();
}

/*
 * Park until vcpu_unpark() or ticks of the TSC have passed (0 = no limit); an unpark that came
 * before is not lost. Returns whether it was unparked; a token may be left over from an earlier
 * wait.
 */
bool vcpu_park(uint64_t ticks);
void vcpu_unpark(unsigned vcpu);

#endif
