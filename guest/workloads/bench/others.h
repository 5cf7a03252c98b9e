/* Other vCPUs of the guest that do something while an operation is measured. */
#ifndef BENCH_OTHERS_H
#define BENCH_OTHERS_H

#include <stdatomic.h>
#include <stdbool.h>

#include <trapline/trapline.h>

enum {
    OTHERS_SETTLE_TICKS = 50000, /* in which threads that have ended park */
};

extern atomic_uint others_running;
extern atomic_bool others_stopped;

/*
 * Run function(NULL) on vCPUs 1 to count and have the rest parked; returns when all have called
 * others_arrive(). count is less than vcpu_count(). The functions return soon after others_go_on()
 * says so.
 */
void others_start(unsigned count, thread_function *function);

/* End the threads that others_start() began; those that are parked are woken. */
void others_stop(unsigned count);

/* A thread that does nothing but run. */
void others_spin(void *argument);

static inline void others_arrive(void)
{
    atomic_fetch_add(&others_running, 1);
}

static inline bool others_go_on(void)
{
    return !atomic_load_explicit(&others_stopped, memory_order_relaxed);
}

#endif
