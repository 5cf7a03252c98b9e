/* Threads beside the measured one: started, kept running, ended. */
/* What spins may be met by interrupt handlers that keep to the general registers. */
#pragma GCC target("general-regs-only")

#include "guest/workloads/bench/others.h"
#include "guest/workloads/bench/bench.h"

atomic_uint others_running;
atomic_bool others_stopped;

void others_spin(void *argument)
{
    (void)argument;
    others_arrive();
    while (others_go_on())
        __builtin_ia32_pause();
}

void others_start(unsigned count, thread_function *function)
{
    atomic_store(&others_stopped, false);
    atomic_store(&others_running, 0);
    for (unsigned i = 1; i <= count; i++)
        bench_expect(thread_start(i, function, NULL) == 0, "others", "a thread starts");
    while (atomic_load(&others_running) < count)
        thread_park(OTHERS_SETTLE_TICKS);
    thread_park(OTHERS_SETTLE_TICKS);
}

void others_stop(unsigned count)
{
    atomic_store(&others_stopped, true);
    for (unsigned i = 1; i <= count; i++) {
        thread_unpark(i);
        thread_join(i);
    }
}
