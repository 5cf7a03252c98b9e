/*
 * Regions over page tables in a guest of several vCPUs: one lock for all of them, and what the
 * other vCPUs have cached. In a guest of one vCPU both come to nothing.
 */
#ifndef GUEST_RUNTIME_REGION_LOCK_H
#define GUEST_RUNTIME_REGION_LOCK_H

#include <stdbool.h>

#include <trapline/hypercall.h>
#include <trapline/vm.h>

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
