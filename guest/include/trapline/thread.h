/*
 * Threads: one for each of the guest's vCPUs. main() runs on vCPU 0; thread_start() gives another
 * vCPU a function to run. Memory is shared by all; <stdatomic.h> works as in any C program.
 *
 * A TRAP handler, an interrupt handler and exit() are the whole guest's, whichever vCPU meets them.
 * malloc() and its kin, pages_alloc(), printf() and the calls of vm.h may be made by all vCPUs at
 * once. When main() returns the guest ends, with all its threads.
 *
 * What waits spins for a short while and then parks its vCPU, so that vCPUs that share a CPU get on
 * with one another. Nothing here may be waited for in an interrupt handler; what wakes others up
 * (unlocking, signalling, thread_unpark()) may be done there.
 */
#ifndef TRAPLINE_THREAD_H
#define TRAPLINE_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The calling vCPU's index, from 0, and how many the guest has, at most 32. */
unsigned vcpu_index(void);
unsigned vcpu_count(void);

typedef void thread_function(void *argument);

/*
 * Run function(argument) on vCPU vcpu, 1 to vcpu_count() - 1, with a stack of 64 KiB that has a
 * guard page; x87, SSE and AVX are initialised and interrupts are off. When the function returns
 * the vCPU parks until it gets another thread. Returns 0, -EINVAL (no such vCPU, or 0), -EEXIST (it
 * has a thread that was not joined yet), or what the hypervisor said to VCPU_START.
 */
int thread_start(unsigned vcpu, thread_function *function, void *argument);

/*
 * Wait for the end of the thread of a vCPU, which is free for another one then.
 * Returns 0, -EINVAL (no such vCPU, or the calling one) or -ENOENT (it has no thread).
 */
int thread_join(unsigned vcpu);

/* The thread that calls this, named by its vCPU; main() is 0. */
static inline unsigned thread_self(void)
{
    return vcpu_index();
}

/*
 * Park the calling vCPU until thread_unpark() is called for it or ticks of the TSC have passed (0 =
 * no limit). An unpark that came since the last park returned is not lost: this one returns at once
 * then. Several count as one. Returns whether it was unparked.
 */
bool thread_park(uint64_t ticks);

/* End the park of a vCPU, or the next one. Returns 0 or -EINVAL (no such vCPU). */
int thread_unpark(unsigned vcpu);

/* Have an interrupt arrive at a vCPU: see interrupt.h. Returns 0 or what DOORBELL said. */
int thread_doorbell(unsigned vcpu, unsigned vector);

/* A lock; all zero is unlocked. Not recursive; unlocked by who locked it. */
struct mutex {
    atomic_uint state;
    atomic_uint waiters; /* a bit for each vCPU that may be parked */
};

void mutex_lock(struct mutex *mutex);
bool mutex_try_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

/* A condition to wait for; all zero is one that nobody waits for. */
struct condition {
    atomic_uint waiters;
};

/*
 * Unlock the mutex, wait for a signal, and lock it again: every signal sent after the unlock
 * counts. A waiter is woken by signals alone, each of which wakes one.
 */
void condition_wait(struct condition *condition, struct mutex *mutex);

/* Wake one waiter, or all; nothing happens when there is none. */
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

/* A meeting point of count threads, which may be used again and again. */
struct barrier {
    unsigned count;
    atomic_uint arrived;
    atomic_uint sense; /* counts the meetings */
    atomic_uint waiters;
};

void barrier_init(struct barrier *barrier, unsigned count);

/* Wait until count threads have come. Returns true in one of them, the last to come. */
bool barrier_wait(struct barrier *barrier);

#endif
