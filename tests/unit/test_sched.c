/*
 * Which vCPU is next: shares, sleepers that wake up again and again, and what a wake does to the
 * one that runs. Time is the real TSC with milliseconds so long that what the test takes is
 * nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/channel.h"
#include "hv/cpu.h"
#include "hv/guest.h"
#include "hv/machine.h"
#include "hv/sched.h"
#include "hv/selftest.h"
#include "hv/summary.h"
#include "hv/vcpu.h"

enum {
    CPUS = 2,
    VCPUS = 4,
    TURNS = 3000,
};

#define MS    1000000000000ull
#define SLICE (SCHED_SLICE_MS * MS)
#define LEAD  (SCHED_LEAD_US * (MS / 1000))

uint64_t cpu_tsc_per_ms = MS;
atomic_uint guests_alive;

static struct handover_guest config;
static struct guest guest;
static struct cpu test_cpus[CPUS];
static struct vcpu vcpus[VCPUS];
static uint64_t ran[VCPUS];
static unsigned kicks, wakes, armed;

bool vcpu_is_runnable(struct vcpu *vcpu, uint64_t now)
{
    (void)now;
    return atomic_load(&vcpu->state) == VCPU_RUNNABLE;
}

void vcpu_load(struct vcpu *vcpu)
{
    vcpu->cpu->current = vcpu;
    vcpu->slice_start = rdtsc();
    vcpu->slice_end = vcpu->slice_start + SLICE;
}

void vcpu_arm_slice(struct vcpu *vcpu)
{
    assert_ptr_equal(vcpu, this_cpu()->current);
    armed++;
}

void vcpu_arm_timer(struct vcpu *vcpu)
{
    vcpu->slice_end = rdtsc() + SLICE;
}

void cpu_kick(struct cpu *cpu)
{
    assert_ptr_not_equal(cpu, this_cpu());
    kicks++;
}

void cpu_wake(struct cpu *cpu)
{
    wakes += atomic_load(&cpu->idle) != CPU_BUSY;
}

/* Not reached: somebody can always run, and the guest does not end. */
#define NEVER(head)                                                                                \
    head                                                                                           \
    {                                                                                              \
        fail_msg("%s", __func__);                                                                  \
        __builtin_trap();                                                                          \
    }

NEVER(void cpu_begin_idle(void))
NEVER(bool cpu_end_idle(void))
NEVER(void cpu_unblock_nmis(void))
NEVER(void selftest_idle(void))
NEVER(int summary_print(void))
NEVER(bool guest_run_again(struct guest *g __attribute__((unused))))
NEVER(void guest_release(struct guest *g __attribute__((unused))))
NEVER(void channel_guest_ends(struct guest *g __attribute__((unused))))
NEVER(void channel_guest_is_over(struct guest *g __attribute__((unused))))
NEVER(void vcpu_unload(struct vcpu *v __attribute__((unused))))
NEVER(void cpu_wait(uint64_t deadline __attribute__((unused))))
NEVER(noreturn void machine_stop(int failed __attribute__((unused))))
NEVER(noreturn void vmx_run(struct vmx_context *context __attribute__((unused))))
NEVER(void guest_stop(struct guest *g __attribute__((unused)),
                      const char *format __attribute__((unused)), ...))

void interrupt_prepare(struct vcpu *vcpu)
{
    (void)vcpu;
}

/* vCPUs on CPU 0, which runs this, and the last one of VCPUS on CPU 1 with others' help. */
static int set_up(void **state)
{
    (void)state;
    guest = (struct guest){.config = &config};
    atomic_store(&guest.state, GUEST_RUNNING);
    kicks = wakes = armed = 0;
    for (unsigned i = 0; i < CPUS; i++) {
        test_cpus[i] = (struct cpu){.index = i};
        test_cpus[i].self = &test_cpus[i];
    }
    syscall(SYS_arch_prctl, ARCH_SET_GS, &test_cpus[0]);
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i] = (struct vcpu){.guest = &guest, .index = i};
        atomic_store(&vcpus[i].state, VCPU_RUNNABLE);
        ran[i] = 0;
    }
    return 0;
}

static void add(unsigned cpu, unsigned vcpu)
{
    sched_add(&test_cpus[cpu], &vcpus[vcpu]);
}

/* The next one runs for some time. */
static struct vcpu *turn(uint64_t ticks)
{
    struct vcpu *vcpu = sched_next();

    vcpu->slice_start -= ticks;
    sched_charge(vcpu);
    ran[vcpu->index] += ticks;
    return vcpu;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void test_equal_shares(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        add(0, i);
    for (unsigned i = 0; i < TURNS; i++)
        turn(i % 7 == 0 ? SLICE / 3 : SLICE);
    assert_true(distance(ran[0], ran[1]) <= SLICE + MS);
    assert_true(distance(ran[0], ran[2]) <= SLICE + MS);
}

/* One that sleeps for a fraction of a slice at a time cuts the others' turns short, and no more. */
static void test_short_sleeps_starve_nobody(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        add(0, i);
    for (unsigned i = 0; i < TURNS; i++) {
        atomic_store(&vcpus[0].state, VCPU_RUNNABLE);
        if (i > 4) /* the others had their turns: it is behind them */
            assert_ptr_equal(turn(SLICE / 1000), &vcpus[0]);
        atomic_store(&vcpus[0].state, VCPU_SLEEPING);
        assert_ptr_not_equal(turn(SLICE / 20), &vcpus[0]);
    }
    assert_true(ran[1] > 0 && ran[2] > 0);
    assert_true(distance(ran[1], ran[2]) <= SLICE);
}

static void test_sleep_is_not_saved_up(void **state)
{
    uint64_t before;

    (void)state;
    add(0, 0);
    add(0, 1);
    atomic_store(&vcpus[1].state, VCPU_SLEEPING);
    for (unsigned i = 0; i < 100; i++)
        turn(SLICE);
    atomic_store(&vcpus[1].state, VCPU_RUNNABLE);
    assert_ptr_equal(turn(SLICE / 100), &vcpus[1]);
    before = ran[0];
    for (unsigned i = 0; i < 20; i++)
        turn(SLICE);
    assert_true(ran[0] - before >= 9 * SLICE);
    assert_true(ran[1] >= 9 * SLICE);
}

/* A new vCPU begins where the others are. */
static void test_newcomer(void **state)
{
    (void)state;
    add(0, 0);
    for (unsigned i = 0; i < 100; i++)
        turn(SLICE);
    add(0, 1);
    ran[0] = 0;
    for (unsigned i = 0; i < 20; i++)
        turn(SLICE);
    assert_true(distance(ran[0], ran[1]) <= 2 * SLICE);
}

static void test_wake_on_this_cpu(void **state)
{
    struct vcpu *running;
    uint64_t end;

    (void)state;
    add(0, 0);
    add(0, 1);
    atomic_store(&vcpus[1].state, VCPU_SLEEPING);
    for (unsigned i = 0; i < 10; i++)
        turn(SLICE);
    running = sched_next();
    assert_ptr_equal(running, &vcpus[0]);
    end = running->slice_end;
    atomic_store(&vcpus[1].state, VCPU_RUNNABLE);
    sched_woken(&vcpus[1]); /* a slice behind: at once */
    assert_int_equal(armed, 1);
    assert_true(running->slice_end <= rdtsc() && running->slice_end < end);
    assert_int_equal(kicks, 0);

    /* Level with it: after the lead that it may have. */
    vcpus[1].served = running->served;
    running->slice_start = rdtsc();
    running->slice_end = end;
    sched_woken(&vcpus[1]);
    assert_int_equal(armed, 2);
    assert_true(distance(running->slice_end, rdtsc() + LEAD) < LEAD / 10);

    /* Far ahead itself: not within the slice. */
    vcpus[1].served = running->served + 2 * SLICE;
    running->slice_end = end = rdtsc() + SLICE;
    sched_woken(&vcpus[1]);
    assert_int_equal(running->slice_end, end);
    sched_woken(running);
    assert_int_equal(armed, 2);
}

static void test_wake_on_another_cpu(void **state)
{
    struct vcpu *running = &vcpus[2], *by = &vcpus[0];

    (void)state;
    add(0, 0);
    add(1, 2);
    add(1, 3);
    assert_ptr_equal(sched_next(), by);
    test_cpus[1].current = running;
    running->slice_start = rdtsc() - MS;

    sched_woken(&vcpus[3]);
    sched_woken(&vcpus[3]); /* one NMI until it has looked */
    assert_int_equal(kicks, 1);
    assert_int_equal(by->stats.ipis, 1);
    assert_true(sched_is_called(running));
    assert_true(running->served >= MS);
    syscall(SYS_arch_prctl, ARCH_SET_GS, &test_cpus[1]);
    assert_ptr_equal(sched_next(), &vcpus[3]);
    assert_false(sched_is_called(&vcpus[3]));
    syscall(SYS_arch_prctl, ARCH_SET_GS, &test_cpus[0]);

    test_cpus[1].current = running;
    running->slice_start = rdtsc();
    vcpus[3].served = running->served + 2 * SLICE;
    sched_woken(&vcpus[3]); /* it has had more */
    assert_int_equal(kicks, 1);
    atomic_store(&test_cpus[1].idle, CPU_HALTING);
    sched_woken(&vcpus[3]);
    assert_int_equal(kicks, 1);
    assert_int_equal(wakes, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_equal_shares, set_up),
        cmocka_unit_test_setup(test_short_sleeps_starve_nobody, set_up),
        cmocka_unit_test_setup(test_sleep_is_not_saved_up, set_up),
        cmocka_unit_test_setup(test_newcomer, set_up),
        cmocka_unit_test_setup(test_wake_on_this_cpu, set_up),
        cmocka_unit_test_setup(test_wake_on_another_cpu, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
