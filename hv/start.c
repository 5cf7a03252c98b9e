/* From a machine that is set up to guests that run. */
#include "hv/start.h"

#include <stdatomic.h>

#include "hv/channel.h"
#include "hv/console.h"
#include "hv/costs.h"
#include "hv/cpu.h"
#include "hv/disk.h"
#include "hv/guest.h"
#include "hv/interrupt.h"
#include "hv/machine.h"
#include "hv/modes.h"
#include "hv/sched.h"
#include "hv/selftest.h"
#include "hv/summary.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/x86.h"

enum {
    READY_TIMEOUT_MS = 1000,
};

/* How far a CPU is; set by itself. */
static const char *volatile problem[HANDOVER_MAX_CPUS];
static atomic_uint cpus_ready;
static atomic_bool guests_ready;

static void enter_root(void)
{
    problem[this_cpu()->index] = vmx_enable();
    atomic_fetch_add(&cpus_ready, 1);
}

static void start_other(void)
{
    enter_root();
    while (!atomic_load_explicit(&guests_ready, memory_order_acquire))
        __builtin_ia32_pause();
    sched_run();
}

/* All CPUs that came up are in VMX root, or it is known why not. */
static unsigned enter_root_everywhere(const struct handover *handover)
{
    uint64_t deadline;
    unsigned usable = 0;

    cpu_start_others(handover, start_other);
    enter_root();
    deadline = rdtsc() + READY_TIMEOUT_MS * cpu_tsc_per_ms;
    while (atomic_load(&cpus_ready) < cpu_count && rdtsc() < deadline)
        __builtin_ia32_pause();
    for (unsigned i = 0; i < cpu_count; i++) {
        if (problem[i])
            kprintf("trapline: CPU %u cannot enter VMX operation: %s; it runs no guests\n", i,
                    problem[i]);
        else
            usable++;
    }
    return usable;
}

/* The CPU for a vCPU: what the configuration says, else the usable CPUs in turn. */
static struct cpu *place(const struct handover_guest *config, unsigned vcpu)
{
    static unsigned turn;

    if (config->cpu_count) {
        unsigned index = config->cpus[vcpu % config->cpu_count];

        if (index < cpu_count && !problem[index])
            return cpus[index];
        kprintf("trapline: cannot start: guest %s: cpus names CPU %u, which %s\n", config->name,
                index, index < cpu_count ? "runs no guests" : "does not exist");
        machine_stop(1);
    }
    while (problem[turn % cpu_count])
        turn++;
    return cpus[turn++ % cpu_count];
}

static void print_guest(const struct guest *guest)
{
    kprintf("trapline: guest %s: %llu MiB, %u vCPU%s on CPU %u", guest->config->name,
            (unsigned long long)(guest->ram_size >> 20), guest->vcpu_count,
            guest->vcpu_count > 1 ? "s" : "", guest->vcpus[0]->cpu->index);
    for (unsigned v = 1; v < guest->vcpu_count; v++)
        kprintf(", %u", guest->vcpus[v]->cpu->index);
    kprintf("%s%s\n", guest->config->args[0] ? ", args: " : "", guest->config->args);
}

/* Make the guests and queue their vCPUs. */
static void create_guests(const struct handover *handover)
{
    if (!channels_init(handover->guest_count)) {
        kprintf("trapline: cannot start: no memory for channels\n");
        machine_stop(1);
    }
    summary_begin();
    guest_count = handover->guest_count;
    for (unsigned i = 0; i < handover->guest_count; i++) {
        struct guest *guest = guest_create(&handover->guests[i], i);

        if (!guest) {
            kprintf("trapline: cannot start: guest %s\n", handover->guests[i].name);
            machine_stop(1);
        }
        guests[i] = guest;
        for (unsigned v = 0; v < guest->vcpu_count; v++)
            sched_add(place(guest->config, v), guest->vcpus[v]);
    }
    for (unsigned i = 0; i < guest_count; i++) {
        const char *why = interrupt_choose(guests[i]);

        if (why) {
            kprintf("trapline: cannot start: guest %s: interrupts = direct: %s\n",
                    guests[i]->config->name, why);
            machine_stop(1);
        }
        print_guest(guests[i]);
    }
    atomic_store(&guests_alive, guest_count);
}

void hv_start(const struct handover *handover)
{
    unsigned usable;

    vmx_setup_init(handover);
    modes_print();
    usable = enter_root_everywhere(handover);
    if (!usable) {
        kprintf("trapline: cannot start: no CPU can enter VMX operation\n");
        machine_stop(1);
    }
    kprintf("trapline: %u of %u CPUs in VMX root\n", usable, cpu_count);
    selftest_root(handover);
    if (handover->measure == HANDOVER_MEASURE_COSTS && !problem[0])
        costs_measure();
    disk_init(handover);
    create_guests(handover);
    atomic_store_explicit(&guests_ready, true, memory_order_release);
    if (problem[0]) {
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    sched_run();
}
