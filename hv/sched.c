#include "hv/sched.h"

#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/guest.h"
#include "hv/machine.h"
#include "hv/selftest.h"
#include "hv/summary.h"
#include "hv/vcpu.h"
#include "vmx/x86.h"

void sched_add(struct cpu *cpu, struct vcpu *vcpu)
{
    vcpu->cpu = cpu;
    if (cpu->queue) {
        vcpu->next = cpu->queue->next;
        cpu->queue->next = vcpu;
    } else {
        vcpu->next = vcpu;
    }
    cpu->queue = vcpu; /* the tail: the next one to run is its successor */
}

/* Take the successor of the tail out of this CPU's circle. */
static void unlink_next(struct cpu *cpu)
{
    struct vcpu *gone = cpu->queue->next;

    if (gone == cpu->queue)
        cpu->queue = NULL;
    else
        cpu->queue->next = gone->next;
}

static noreturn void idle(void)
{
    selftest_idle();
    cpu_unblock_nmis(); /* an NMI exit leaves them blocked, and an NMI is what ends this */
    for (;;)
        __asm__ volatile("cli; hlt");
}

/*
 * A guest has ended on this CPU: give its memory back. Who ends the last one closes the machine's
 * run.
 */
static void retire(struct vcpu *vcpu)
{
    struct guest *guest = vcpu->guest;

    guest_release(guest);
    if (atomic_fetch_sub(&guests_alive, 1) == 1)
        machine_stop(summary_print());
}

struct vcpu *sched_next(void)
{
    struct cpu *cpu = this_cpu();

    while (cpu->queue) {
        struct vcpu *vcpu = cpu->queue->next;

        if (vcpu->guest->state == GUEST_RUNNING) {
            cpu->queue = vcpu;
            vcpu_load(vcpu);
            return vcpu;
        }
        unlink_next(cpu);
        retire(vcpu);
    }
    idle();
}

void sched_charge(struct vcpu *vcpu)
{
    uint64_t now = rdtsc();

    vcpu->time_used += now - vcpu->slice_start;
    vcpu->slice_start = now;
    if (vcpu->time_limit && vcpu->time_used > vcpu->time_limit)
        guest_stop(vcpu->guest, "it ran for its time_limit of %llu ms",
                   (unsigned long long)vcpu->guest->config->time_limit_ms);
}

void sched_run(void)
{
    vmx_run(&sched_next()->context);
}
