/* vCPUs: threads of the process, as many as the environment's VCPUS says. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <trapline/abi.h>
#include <trapline/time.h>

#include "guest/linux/linux.h"
#include "guest/runtime/park.h"
#include "guest/runtime/thread.h"

enum {
    NS_PER_SECOND = 1000000000,
};

static struct vcpu {
    struct thread_slot thread;
    atomic_uint token; /* vcpu_unpark() came */
} vcpus[VCPUS_MAX];

static unsigned count = 1;
static _Thread_local unsigned own;

void vcpu_init(void)
{
    const char *const text = getenv("VCPUS");
    char *end;
    unsigned long wanted;

    if (!text || !*text)
        return;
    wanted = strtoul(text, &end, 10);
    if (*end || wanted < 1 || wanted > VCPUS_MAX) {
        fprintf(stderr, "VCPUS=%s: a number from 1 to %d is wanted\n", text, VCPUS_MAX);
        exit(EXIT_FAILURE);
    }
    count = (unsigned)wanted;
}

unsigned vcpu_index(void)
{
    return own;
}

unsigned vcpu_count(void)
{
    return count;
}

struct thread_slot *thread_slot(unsigned vcpu)
{
    return &vcpus[vcpu].thread;
}

void thread_ended(void)
{
}

static void *vcpu_main(void *vcpu)
{
    own = (unsigned)((struct vcpu *)vcpu - vcpus);
    thread_loop(&vcpus[own].thread);
}

int vcpu_start(unsigned vcpu)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, vcpu_main, &vcpus[vcpu]) != 0)
        return -TRAPLINE_ENOMEM;
    pthread_detach(thread);
    return 0;
}

bool vcpu_park(uint64_t ticks)
{
    atomic_uint *const token = &vcpus[own].token;
    const uint64_t limit = ticks_to_ns(ticks);
    const struct timespec timeout = {(time_t)(limit / NS_PER_SECOND),
                                     (long)(limit % NS_PER_SECOND)};

    while (atomic_exchange(token, 0) == 0) {
        if (syscall(SYS_futex, token, FUTEX_WAIT_PRIVATE, 0, ticks ? &timeout : NULL) != 0 &&
            errno == ETIMEDOUT)
            return atomic_exchange(token, 0) != 0;
    }
    return true;
}

void vcpu_unpark(unsigned vcpu)
{
    if (atomic_exchange(&vcpus[vcpu].token, 1) == 0)
        syscall(SYS_futex, &vcpus[vcpu].token, FUTEX_WAKE_PRIVATE, 1);
}

int thread_doorbell(unsigned vcpu, unsigned vector)
{
    (void)vcpu;
    (void)vector;
    return -TRAPLINE_EOPNOTSUPP;
}
