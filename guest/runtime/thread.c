/* Threads, one a vCPU: see thread.h. */
#include <trapline/thread.h>

#include <trapline/hypercall.h>
#include <trapline/process.h>
#include <trapline/time.h>

#include "guest/runtime/runtime.h"
#include "guest/runtime/sync.h"
#include "guest/runtime/vcpu.h"

enum thread_state {
    THREAD_NONE,
    THREAD_STARTING, /* its start is being written */
    THREAD_RUNNING,
    THREAD_DONE,
};

enum park_state {
    PARK_NOT,
    PARK_TOKEN, /* thread_unpark() came, and no thread_park() has taken it */
    PARK_PARKED,
};

enum {
    RETURN_ADDRESS = 8, /* bytes below the stack's top, as if the function had been called */
};

/* The vCPU's own threads, one after the other, for ever. */
static noreturn void vcpu_main(struct vcpu_local *local)
{
    vcpu_enter(local);
    cpu_init_vectors();
    interrupt_init();
    trap_register();
    for (;;) {
        while (atomic_load(&local->thread_state) != THREAD_RUNNING)
            hypercall2(TRAPLINE_HC_PARK, 0, 0);
        local->thread_function(local->thread_argument);
        atomic_store(&local->thread_state, THREAD_DONE);
        sync_wake_all(&local->joiners);
    }
}

int thread_start(unsigned vcpu, thread_function *function, void *argument)
{
    unsigned state = THREAD_NONE;
    struct vcpu_local *local;
    int64_t result;

    if (vcpu == 0 || vcpu >= vcpu_count())
        return -TRAPLINE_EINVAL;
    local = vcpu_local(vcpu);
    if (!atomic_compare_exchange_strong(&local->thread_state, &state, THREAD_STARTING))
        return -TRAPLINE_EEXIST;
    local->thread_function = function;
    local->thread_argument = argument;
    atomic_store(&local->thread_state, THREAD_RUNNING);
    if (local->started) {
        result = hypercall2(TRAPLINE_HC_UNPARK, vcpu, 0);
    } else {
        result = hypercall(TRAPLINE_HC_VCPU_START, vcpu, (uint64_t)vcpu_main,
                           (uint64_t)local->stack_top - RETURN_ADDRESS, (uint64_t)local)
                     .rax;
        local->started = result == 0;
    }
    if (result < 0)
        atomic_store(&local->thread_state, THREAD_NONE);
    return (int)result;
}

int thread_join(unsigned vcpu)
{
    struct vcpu_local *local;
    unsigned state;

    if (vcpu >= vcpu_count() || vcpu == vcpu_index())
        return -TRAPLINE_EINVAL;
    local = vcpu_local(vcpu);
    if (vcpu == 0 || atomic_load(&local->thread_state) == THREAD_NONE)
        return -TRAPLINE_ENOENT;
    while ((state = atomic_load(&local->thread_state)) == THREAD_STARTING ||
           state == THREAD_RUNNING)
        sync_wait_while(&local->thread_state, state, &local->joiners);
    return atomic_compare_exchange_strong(&local->thread_state, &state, THREAD_NONE)
               ? 0
               : -TRAPLINE_ENOENT;
}

bool thread_park(uint64_t ticks)
{
    atomic_uint *const state = &vcpu_self()->park_state;
    const uint64_t start = rdtsc();
    unsigned expected = PARK_NOT;

    if (atomic_compare_exchange_strong(state, &expected, PARK_PARKED)) {
        uint64_t spent = 0;

        while (atomic_load(state) == PARK_PARKED && (ticks == 0 || spent < ticks)) {
            hypercall2(TRAPLINE_HC_PARK, ticks ? ticks - spent : 0, 0);
            spent = rdtsc() - start;
        }
    }
    return atomic_exchange(state, PARK_NOT) == PARK_TOKEN;
}

int thread_unpark(unsigned vcpu)
{
    if (vcpu >= vcpu_count())
        return -TRAPLINE_EINVAL;
    if (atomic_exchange(&vcpu_local(vcpu)->park_state, PARK_TOKEN) == PARK_PARKED)
        hypercall2(TRAPLINE_HC_UNPARK, vcpu, 0);
    return 0;
}

int thread_doorbell(unsigned vcpu, unsigned vector)
{
    return (int)hypercall2(TRAPLINE_HC_DOORBELL, vcpu, vector);
}
