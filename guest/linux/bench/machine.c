#include "guest/linux/bench/machine.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "guest/linux/bench/bench.h"

static struct {
    pthread_t threads[CPU_SETSIZE];
    unsigned count;
    atomic_uint running;
    atomic_bool stopped;
} spinners;

/* The CPUs that the process had at its start. */
static cpu_set_t allowed;

unsigned vcpu_count(void)
{
    return (unsigned)CPU_COUNT(&allowed);
}

/* The set of the one CPU that comes at this place among those allowed. */
static cpu_set_t cpu_at(unsigned place)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && place-- == 0) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    return one;
}

void machine_begin(void)
{
    cpu_set_t first;

    bench_expect(sched_getaffinity(0, sizeof(allowed), &allowed) == 0, "start",
                 "the kernel says which CPUs there are");
    first = cpu_at(0);
    bench_expect(sched_setaffinity(0, sizeof(first), &first) == 0, "start",
                 "the program stays on its first CPU");
}

static void *spin(void *argument)
{
    (void)argument;
    atomic_fetch_add(&spinners.running, 1);
    while (!atomic_load_explicit(&spinners.stopped, memory_order_relaxed))
        __builtin_ia32_pause();
    return NULL;
}

static void start_one(unsigned place)
{
    const cpu_set_t cpu = cpu_at(place);
    pthread_attr_t attributes;
    bool good = pthread_attr_init(&attributes) == 0 &&
                pthread_attr_setaffinity_np(&attributes, sizeof(cpu), &cpu) == 0 &&
                pthread_create(&spinners.threads[place], &attributes, spin, NULL) == 0;

    bench_expect(good, "others", "a thread starts on a CPU of its own");
    pthread_attr_destroy(&attributes);
}

void spinners_start(unsigned count)
{
    atomic_store(&spinners.stopped, false);
    atomic_store(&spinners.running, 0);
    for (unsigned i = 1; i <= count; i++)
        start_one(i);
    spinners.count = count;
    while (atomic_load(&spinners.running) < count)
        sched_yield();
}

void spinners_stop(void)
{
    atomic_store(&spinners.stopped, true);
    for (unsigned i = 1; i <= spinners.count; i++)
        pthread_join(spinners.threads[i], NULL);
    spinners.count = 0;
}
