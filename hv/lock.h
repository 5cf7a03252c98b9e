/*
 * A spinlock for short sections; interrupts are always off in root mode. Those who wait get it in
 * the order in which they came, and nobody who comes later gets it before them, but by
 * spin_try_lock(): so a wait ends after as many sections as there are CPUs.
 */
#ifndef TRAPLINE_HV_LOCK_H
#define TRAPLINE_HV_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>

struct spinlock {
    atomic_uint held; /* 0 or 1 */
    atomic_uint tail; /* tickets given to those who wait */
    atomic_uint head; /* the ticket whose owner is next */
};

/* Take the lock if it is free. */
static inline bool spin_try_lock(struct spinlock *lock)
{
    bool was_held;

    __asm__ volatile("lock btsl $0, %0" : "+m"(lock->held), "=@ccc"(was_held) : : "memory");
    return !was_held;
}

/* Take the lock if it is free and nobody waits for it. */
static inline bool spin_try_turn(struct spinlock *lock)
{
    return atomic_load_explicit(&lock->tail, memory_order_relaxed) ==
               atomic_load_explicit(&lock->head, memory_order_relaxed) &&
           spin_try_lock(lock);
}

/* Take the lock after all who wait for it. */
static inline void spin_queue(struct spinlock *lock)
{
    unsigned ticket = atomic_fetch_add(&lock->tail, 1);

    while (atomic_load_explicit(&lock->head, memory_order_acquire) != ticket)
        __builtin_ia32_pause();
    while (!spin_try_lock(lock)) {
        while (atomic_load_explicit(&lock->held, memory_order_relaxed))
            __builtin_ia32_pause();
    }
    atomic_store_explicit(&lock->head, ticket + 1, memory_order_release);
}

/* Take the lock, spinning with PAUSE until it is free. */
static inline void spin_lock(struct spinlock *lock)
{
    if (!spin_try_turn(lock))
        spin_queue(lock);
}

/* Give the lock back; the caller holds it. */
static inline void spin_unlock(struct spinlock *lock)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

#endif
