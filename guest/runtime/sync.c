/* General registers only, so that locks may be used in handlers that save no others. */
#pragma GCC target("general-regs-only")

/*
 * Locks, conditions and barriers. Each has a set of waiters, a bit for each vCPU. Who waits sets
 * its bit, looks again at what it waits for, and parks until that has come; who brings it about
 * does so first, then looks at the set and unparks. One of the two sees the other. A token of
 * UNPARK may be left over from an earlier wait, so every park is in a loop.
 */
#include <trapline/thread.h>

#include "guest/runtime/park.h"
#include "guest/runtime/sync.h"

enum {
    LOCK_SPINS = 200, /* looks at a lock or a condition before parking */
    MEETING_SPINS = 1000,
};

enum mutex_state {
    MUTEX_FREE,
    MUTEX_LOCKED,
    MUTEX_CONTENDED, /* locked, and the set of waiters may not be empty */
};

static unsigned own_bit(void)
{
    return 1u << vcpu_index();
}

void sync_wait_while(atomic_uint *word, unsigned value, atomic_uint *waiters)
{
    for (unsigned i = 0; i < MEETING_SPINS; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value)
            return;
        __builtin_ia32_pause();
    }
    atomic_fetch_or(waiters, own_bit());
    while (atomic_load(word) == value)
        vcpu_park(0);
    atomic_fetch_and(waiters, ~own_bit());
}

void sync_wake_all(atomic_uint *waiters)
{
    unsigned left = atomic_load(waiters) ? atomic_exchange(waiters, 0) : 0;

    while (left) {
        vcpu_unpark((unsigned)__builtin_ctz(left));
        left &= left - 1;
    }
}

/* Of a set that is not empty, the first after the calling vCPU, so that all have their turn. */
static unsigned choose(unsigned set)
{
    const unsigned after = set & ~(own_bit() | (own_bit() - 1));

    return (unsigned)__builtin_ctz(after ? after : set);
}

bool mutex_try_lock(struct mutex *mutex)
{
    unsigned expected = MUTEX_FREE;

    return atomic_compare_exchange_strong_explicit(&mutex->state, &expected, MUTEX_LOCKED,
                                                   memory_order_acquire, memory_order_relaxed);
}

void mutex_lock(struct mutex *mutex)
{
    if (mutex_try_lock(mutex))
        return;
    for (unsigned i = 0; i < LOCK_SPINS; i++) {
        if (atomic_load_explicit(&mutex->state, memory_order_relaxed) == MUTEX_FREE &&
            mutex_try_lock(mutex))
            return;
        __builtin_ia32_pause();
    }
    atomic_fetch_or(&mutex->waiters, own_bit());
    while (atomic_exchange(&mutex->state, MUTEX_CONTENDED) != MUTEX_FREE)
        vcpu_park(0);
    atomic_fetch_and(&mutex->waiters, ~own_bit());
}

/*
 * A waiter that was woken takes the lock as contended, so that its own unlocking wakes the next.
 * When the one chosen has its lock already, the same holds.
 */
void mutex_unlock(struct mutex *mutex)
{
    if (atomic_exchange(&mutex->state, MUTEX_FREE) == MUTEX_CONTENDED) {
        const unsigned set = atomic_load(&mutex->waiters);

        if (set)
            vcpu_unpark(choose(set));
    }
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    const unsigned bit = own_bit();

    atomic_fetch_or(&condition->waiters, bit);
    mutex_unlock(mutex);
    for (unsigned i = 0; i < LOCK_SPINS && atomic_load(&condition->waiters) & bit; i++)
        __builtin_ia32_pause();
    while (atomic_load(&condition->waiters) & bit)
        vcpu_park(0);
    mutex_lock(mutex);
}

void condition_signal(struct condition *condition)
{
    unsigned set = atomic_load(&condition->waiters);

    while (set) {
        const unsigned vcpu = choose(set);

        if (atomic_compare_exchange_weak(&condition->waiters, &set, set & ~(1u << vcpu))) {
            vcpu_unpark(vcpu);
            return;
        }
    }
}

void condition_broadcast(struct condition *condition)
{
    sync_wake_all(&condition->waiters);
}

void barrier_init(struct barrier *barrier, unsigned count)
{
    barrier->count = count;
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->sense, 0);
    atomic_init(&barrier->waiters, 0);
}

bool barrier_wait(struct barrier *barrier)
{
    const unsigned sense = atomic_load(&barrier->sense);

    if (atomic_fetch_add(&barrier->arrived, 1) + 1 < barrier->count) {
        sync_wait_while(&barrier->sense, sense, &barrier->waiters);
        return false;
    }
    atomic_store(&barrier->arrived, 0);
    atomic_store(&barrier->sense, sense + 1);
    sync_wake_all(&barrier->waiters);
    return true;
}
