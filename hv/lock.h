/* A spinlock for short sections; interrupts are always off in root mode. */
#ifndef TRAPLINE_HV_LOCK_H
#define TRAPLINE_HV_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>

struct spinlock {
    atomic_bool held;
};

/* Take the lock, spinning with PAUSE until it is free. */
static inline void spin_lock(struct spinlock *lock)
{
    while (atomic_exchange_explicit(&lock->held, true, memory_order_acquire)) {
        while (atomic_load_explicit(&lock->held, memory_order_relaxed))
            __builtin_ia32_pause();
    }
}

/* Take the lock if it is free. */
static inline bool spin_try_lock(struct spinlock *lock)
{
    return !atomic_exchange_explicit(&lock->held, true, memory_order_acquire);
}

/* Give the lock back; the caller holds it. */
static inline void spin_unlock(struct spinlock *lock)
{
    atomic_store_explicit(&lock->held, false, memory_order_release);
}

#endif
