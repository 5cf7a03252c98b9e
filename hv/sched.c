#include "hv/sched.h"

#include "hv/channel.h"
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
    vcpu->served = cpu->served;
    if (cpu->queue) {
        vcpu->next = cpu->queue->next;
        cpu->queue->next = vcpu;
    } else {
        vcpu->next = vcpu;
    }
    cpu->queue = vcpu; /* the tail: the next one to run is its successor */
    cpu->vcpu_count++;
}

/* Take the successor of a vCPU out of this CPU's circle. */
static void unlink_after(struct cpu *cpu, struct vcpu *before)
{
    struct vcpu *gone = before->next;

    before->next = gone->next;
    if (cpu->queue == gone)
        cpu->queue = gone == before ? NULL : before;
    cpu->vcpu_count--;
}

void sched_hand_over(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;
    struct vcpu *first;

    if (cpu == this_cpu()) {
        sched_add(cpu, vcpu);
        return;
    }
    first = atomic_load(&cpu->arrivals);
    do
        vcpu->next = first;
    while (!atomic_compare_exchange_weak(&cpu->arrivals, &first, vcpu));
    cpu_wake(cpu);
}

/* Queue what other CPUs have handed over to this one. */
static void take_arrivals(struct cpu *cpu)
{
    struct vcpu *vcpu = atomic_load(&cpu->arrivals);

    if (!vcpu)
        return;
    vcpu = atomic_exchange(&cpu->arrivals, NULL);
    while (vcpu) {
        struct vcpu *next = vcpu->next;

        sched_add(cpu, vcpu);
        vcpu = next;
    }
}

/*
 * The guest of this vCPU has ended. The CPU that lets the guest's last one go gives its memory
 * back and makes it anew, if it is to run again; the last guest's closes the machine's run.
 */
static void retire(struct vcpu *vcpu)
{
    struct guest *guest = vcpu->guest;
    uint64_t start;

    vcpu_unload(vcpu);
    if (atomic_fetch_sub(&guest->vcpus_left, 1) != 1)
        return;
    start = rdtsc();
    channel_guest_ends(guest);
    guest_release(guest);
    guest->end_ticks += rdtsc() - start;
    if (guest_run_again(guest)) {
        for (unsigned i = 0; i < guest->vcpu_count; i++)
            sched_hand_over(guest->vcpus[i]);
        return;
    }
    channel_guest_is_over(guest);
    if (atomic_fetch_sub(&guests_alive, 1) == 1)
        machine_stop(summary_print());
}

/* What a vCPU is taken to have had: no less than a slice behind who is served now. */
static uint64_t served(const struct cpu *cpu, const struct vcpu *vcpu)
{
    uint64_t slice = SCHED_SLICE_MS * cpu_tsc_per_ms;
    uint64_t least = cpu->served > slice ? cpu->served - slice : 0;

    return vcpu->served > least ? vcpu->served : least;
}

/*
 * Of those that can run the one that was served least, of several the first after the tail; it
 * becomes the tail. NULL = none can.
 */
static struct vcpu *pick(struct cpu *cpu)
{
    uint64_t now = rdtsc();
    struct vcpu *best = NULL, *before;

    take_arrivals(cpu);
    before = cpu->queue;
    for (unsigned left = cpu->vcpu_count; left; left--) {
        struct vcpu *vcpu = before->next;

        if (vcpu->guest->state != GUEST_RUNNING) {
            unlink_after(cpu, before);
            retire(vcpu);
            continue;
        }
        before = vcpu;
        if (vcpu_is_runnable(vcpu, now) && (!best || served(cpu, vcpu) < served(cpu, best)))
            best = vcpu;
    }
    if (!best)
        return NULL;
    best->served = served(cpu, best);
    if (best->served > cpu->served)
        cpu->served = best->served;
    cpu->queue = best;
    return best;
}

uint64_t sched_next_deadline(const struct cpu *cpu)
{
    const struct vcpu *vcpu = cpu->queue;
    uint64_t first = 0;

    for (unsigned left = cpu->vcpu_count; left; left--) {
        if (vcpu->wake_at && atomic_load(&vcpu->state) == VCPU_SLEEPING &&
            (!first || vcpu->wake_at < first))
            first = vcpu->wake_at;
        vcpu = vcpu->next;
    }
    return first;
}

/*
 * Idle until there is a vCPU to run. Who makes one runnable does so first and then looks at idle;
 * here it is the other way round, so that one of the two sees the other.
 */
static struct vcpu *wait_for_work(struct cpu *cpu)
{
    struct vcpu *vcpu;

    selftest_idle();
    cpu_unblock_nmis(); /* an NMI exit leaves them blocked, and an NMI may be what ends all this */
    for (;;) {
        cpu_begin_idle();
        vcpu = pick(cpu);
        if (!vcpu)
            cpu_wait(sched_next_deadline(cpu));
        /* What somebody woke it for may have come behind the look. */
        if (!cpu_end_idle() && vcpu)
            return vcpu;
    }
}

/*
 * How far the running vCPU is ahead of another one of its CPU, in ticks. From another CPU what is
 * read may be a little old, which makes a turn end early or late and nothing else.
 */
static int64_t lead(const struct cpu *cpu, const struct vcpu *running, const struct vcpu *vcpu)
{
    return (int64_t)(running->served + (rdtsc() - running->slice_start) - served(cpu, vcpu));
}

void sched_woken(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;
    struct vcpu *running, *by = this_cpu()->current;
    int64_t most = SCHED_LEAD_US * (int64_t)cpu_tsc_per_ms / 1000, ahead;
    uint64_t end;

    cpu_wake(cpu);
    if (atomic_load(&cpu->idle) != CPU_BUSY)
        return;
    running = *(struct vcpu *volatile *)&cpu->current;
    if (!running || running == vcpu || cpu->vcpu_count < 2)
        return;
    ahead = lead(cpu, running, vcpu);
    if (cpu == this_cpu()) {
        end = rdtsc() + (ahead < most ? (uint64_t)(most - ahead) : 0);
        if (end < running->slice_end) {
            running->slice_end = end;
            vcpu_arm_slice(running);
        }
    } else if (ahead > 0 && !atomic_exchange(&cpu->called, true)) {
        cpu_kick(cpu);
        if (by)
            by->stats.ipis++;
    }
}

bool sched_is_called(struct vcpu *vcpu)
{
    if (!atomic_load(&vcpu->cpu->called))
        return false;
    sched_charge(vcpu);
    vcpu_arm_timer(vcpu);
    return true;
}

struct vcpu *sched_next(void)
{
    struct cpu *cpu = this_cpu();
    struct vcpu *vcpu;

    atomic_store(&cpu->called, false);
    vcpu = pick(cpu);
    if (!vcpu)
        vcpu = wait_for_work(cpu);
    vcpu_load(vcpu);
    interrupt_prepare(vcpu);
    return vcpu;
}

void sched_charge(struct vcpu *vcpu)
{
    uint64_t now = rdtsc(), spent = now - vcpu->slice_start;
    uint64_t used = atomic_fetch_add(&vcpu->guest->time_used, spent) + spent;

    vcpu->slice_start = now;
    vcpu->served += spent;
    if (vcpu->time_limit && used > vcpu->time_limit)
        guest_stop(vcpu->guest, "it ran for its time_limit of %llu ms",
                   (unsigned long long)vcpu->guest->config->time_limit_ms);
}

void sched_run(void)
{
    vmx_run(&sched_next()->context);
}
