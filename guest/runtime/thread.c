/* Threads, one a vCPU: see thread.h. */
#include <trapline/thread.h>

#include <trapline/abi.h>
#include <trapline/time.h>

#include "guest/runtime/park.h"
#include "guest/runtime/sync.h"
#include "guest/runtime/thread.h"

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

noreturn void thread_loop(struct thread_slot *slot)
{
    for (;;) {
        while (atomic_load(&slot->state) != THREAD_RUNNING)
            vcpu_park(0);
        slot->function(slot->argument);
        thread_ended();
        atomic_store(&slot->state, THREAD_DONE);
        sync_wake_all(&slot->joiners);
    }
}

int thread_start(unsigned vcpu, thread_function *function, void *argument)
{
    unsigned state = THREAD_NONE;
    struct thread_slot *slot;
    int result = 0;

    if (vcpu == 0 || vcpu >= vcpu_count())
        return -TRAPLINE_EINVAL;
    slot = thread_slot(vcpu);
    if (!atomic_compare_exchange_strong(&slot->state, &state, THREAD_STARTING))
        return -TRAPLINE_EEXIST;
    slot->function = function;
    slot->argument = argument;
    atomic_store(&slot->state, THREAD_RUNNING);
    if (slot->started) {
        vcpu_unpark(vcpu);
    } else {
        result = vcpu_start(vcpu);
        slot->started = result == 0;
    }
    if (result < 0)
        atomic_store(&slot->state, THREAD_NONE);
    return result;
}

int thread_join(unsigned vcpu)
{
    struct thread_slot *slot;
    unsigned state;

    if (vcpu >= vcpu_count() || vcpu == vcpu_index())
        return -TRAPLINE_EINVAL;
    slot = thread_slot(vcpu);
    if (vcpu == 0 || atomic_load(&slot->state) == THREAD_NONE)
        return -TRAPLINE_ENOENT;
    while ((state = atomic_load(&slot->state)) == THREAD_STARTING || state == THREAD_RUNNING)
        sync_wait_while(&slot->state, state, &slot->joiners);
    return atomic_compare_exchange_strong(&slot->state, &state, THREAD_NONE) ? 0 : -TRAPLINE_ENOENT;
}

bool thread_park(uint64_t ticks)
{
    atomic_uint *const state = &thread_slot(vcpu_index())->park_state;
    const uint64_t start = rdtsc();
    unsigned expected = PARK_NOT;

    if (atomic_compare_exchange_strong(state, &expected, PARK_PARKED)) {
        uint64_t spent = 0;

        while (atomic_load(state) == PARK_PARKED && (ticks == 0 || spent < ticks)) {
            vcpu_park(ticks ? ticks - spent : 0);
            spent = rdtsc() - start;
        }
    }
    return atomic_exchange(state, PARK_NOT) == PARK_TOKEN;
}

int thread_unpark(unsigned vcpu)
{
    if (vcpu >= vcpu_count())
        return -TRAPLINE_EINVAL;
    if (atomic_exchange(&thread_slot(vcpu)->park_state, PARK_TOKEN) == PARK_PARKED)
        vcpu_unpark(vcpu);
    return 0;
}
