/* A spinlock for short sections; interrupts are always off in root mode. */
#ifndef TRAPLINE_HV_LOCK_H
#define TRAPLINE_HV_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>

struct spinlock {
    atomic_uint held; /* 0 or 1 */
};

/* Take the lock if it is free. */
static inline bool spin_try_lock(struct spinlock *lock)
{
    bool was_held;

    __asm__ volatile("lock btsl $0, %0" : "+m"(lock->held), "=@ccc"(was_held) : : "memory");
    return !was_held;
}

/* Take the lock, spinning with PAUSE until it is free. */
static inline void spin_lock(struct spinlock *lock)
{
    while (!spin_try_lock(lock)) {
        while (atomic_load_explicit(&lock->held, memory_order_relaxed))
            __builtin_ia32_pause();
    }
}

/* Give the lock back; the caller holds it. */
static inline void spin_unlock(struct spinlock *lock)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

#endif
