/* A vCPU's thread: see thread.c. */
#ifndef GUEST_RUNTIME_THREAD_H
#define GUEST_RUNTIME_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdnoreturn.h>

#include <trapline/thread.h>

enum {
    VCPUS_MAX = 32,
};

struct thread_slot {
    atomic_uint park_state;
    atomic_uint state;
    atomic_uint joiners; /* a bit for each vCPU that waits for the end of the thread */
    bool started;        /* the vCPU was */
    thread_function *function;
    void *argument;
};

/* That of a vCPU, which is less than vcpu_count(). */
struct thread_slot *thread_slot(unsigned vcpu);

/* Start a vCPU, which calls thread_loop(). Returns 0 or a negative errno value. */
int vcpu_start(unsigned vcpu);

/* What the home has to do on the vCPU whose thread's function has returned. */
void thread_ended(void);

/* A vCPU's own threads, one after the other, for ever. */
noreturn void thread_loop(struct thread_slot *slot);

#endif
