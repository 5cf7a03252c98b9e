/* One lock for all regions over page tables; with one vCPU it comes to nothing. */
#ifndef GUEST_RUNTIME_REGION_LOCK_H
#define GUEST_RUNTIME_REGION_LOCK_H

#include <stdbool.h>

#include <trapline/home.h>

/* The guest has several vCPUs. */
extern bool region_shared;

/* Find that out: before anything else of this. */
void region_lock_init(void);

/*
 * Take the lock. Who has it may take it again: a handler that came in the middle of a call works on
 * regions as in a guest of one vCPU. Who waits for long gives way to others on its CPU.
 */
TRAP_LEAN_HANDLER void region_lock_shared(void);
TRAP_LEAN_HANDLER void region_unlock_shared(void);

static inline void region_lock(void)
{
    if (__builtin_expect(region_shared, 0))
        region_lock_shared();
}

static inline void region_unlock(void)
{
    if (__builtin_expect(region_shared, 0))
        region_unlock_shared();
}

#endif
