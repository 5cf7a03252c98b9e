/*
 * Interrupts between the vCPUs of a guest, by ICR and by DOORBELL: to one, to all others, to one in
 * HLT, to one that keeps them waiting; each arrives where it was sent, and none is lost. Also the
 * other vCPUs' timers.
 */
#include "except.h"
#include "threads.h"

#include "guest/runtime/cpu.h"

#include <trapline/interrupt.h>
#include <trapline/timer.h>

enum {
    BALL = 0x61, /* vectors */
    BELL = 0x72,
    TICK = 0x83,
    ROUNDS = 200,
    TICKS = 10,
};

static atomic_uint seen[VCPUS_MAX][256]; /* by vCPU and vector */
static atomic_uint ready, over;

static void note(unsigned vector)
{
    atomic_fetch_add(&seen[vcpu_index()][vector], 1);
}

static void clear(void)
{
    memset(seen, 0, sizeof(seen));
    atomic_store(&ready, 0);
    atomic_store(&over, 0);
}

static unsigned count(unsigned vcpu, unsigned vector)
{
    return atomic_load(&seen[vcpu][vector]);
}

/* Takes what comes, awake. */
static void stay_awake(void *argument)
{
    (void)argument;
    interrupts_on();
    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&over))
        nap();
    interrupts_off();
}

/* Takes what comes, in HLT: TICK ends it. */
static void sleep_on(void *argument)
{
    const unsigned self = vcpu_index();

    (void)argument;
    atomic_fetch_add(&ready, 1);
    while (!count(self, TICK)) {
        wait_for_interrupt();
        interrupts_off();
    }
}

static void check_numbers(void)
{
    EXPECT_EQ(apic_read(APIC_ID), vcpu_index());
    EXPECT_EQ(apic_read(APIC_LDR), 1u << vcpu_index());
}

static void number(void *argument)
{
    (void)argument;
    check_at("vCPU %u", vcpu_index());
    check_numbers();
}

static void check_ids(void)
{
    check_numbers();
    threads_start(number, NULL);
    threads_join();
}

static void send(unsigned vcpu, unsigned vector, bool doorbell)
{
    if (doorbell)
        EXPECT_EQ(thread_doorbell(vcpu, vector), 0);
    else
        apic_send(vcpu, vector);
}

/* One at a time: each arrives, once, and nowhere else. */
static void one_by_one(thread_function *function, bool doorbell)
{
    clear();
    threads_start(function, NULL);
    WAIT_UNTIL(atomic_load(&ready) == vcpu_count() - 1);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (unsigned i = 1; i < vcpu_count(); i++) {
            send(i, BALL, doorbell);
            WAIT_UNTIL(count(i, BALL) >= round);
            EXPECT_EQ(count(i, BALL), round);
        }
    }
    apic_write(APIC_ICR, 3 << 18 | TICK); /* all but self */
    atomic_store(&over, 1);
    WAIT_UNTIL(count(vcpu_count() - 1, TICK));
    threads_join();
    for (unsigned i = 0; i < vcpu_count(); i++) {
        EXPECT_EQ(count(i, BALL), i ? ROUNDS : 0);
        EXPECT_EQ(count(i, TICK), i ? 1 : 0);
    }
}

static void check_awake_icr(void)
{
    one_by_one(stay_awake, false);
}

static void check_awake_doorbell(void)
{
    one_by_one(stay_awake, true);
}

static void check_asleep_icr(void)
{
    one_by_one(sleep_on, false);
}

static void check_asleep_doorbell(void)
{
    one_by_one(sleep_on, true);
}

/* Interrupts off: what was sent meanwhile comes when they are on, once for each vector. */
static void keep_waiting(void *argument)
{
    const unsigned self = vcpu_index();

    (void)argument;
    atomic_fetch_add(&ready, 1);
    WAIT_UNTIL(atomic_load(&over));
    if (count(self, BALL) || count(self, BELL))
        check_failed(__LINE__, "vCPU %u took an interrupt with interrupts off", self);
    interrupts_on();
    WAIT_UNTIL(count(self, BALL) && count(self, BELL));
    interrupts_off();
}

static void check_kept(void)
{
    clear();
    threads_start(keep_waiting, NULL);
    WAIT_UNTIL(atomic_load(&ready) == vcpu_count() - 1);
    for (unsigned i = 1; i < vcpu_count(); i++) {
        send(i, BALL, false);
        send(i, BELL, true);
        send(i, BALL, true);
    }
    atomic_store(&over, 1);
    threads_join();
    for (unsigned i = 1; i < vcpu_count(); i++) {
        EXPECT_EQ(count(i, BALL), 1);
        EXPECT_EQ(count(i, BELL), 1);
    }
}

/* A ball goes round all vCPUs, sent on by interrupt handlers while everybody is in HLT. */
static void pass_on(unsigned vector)
{
    const unsigned self = vcpu_index();

    if (atomic_fetch_add(&seen[self][vector], 1) < ROUNDS)
        send((self + 1) % vcpu_count(), vector, self & 1);
}

static void play(void *argument)
{
    const unsigned self = vcpu_index();

    (void)argument;
    atomic_fetch_add(&ready, 1);
    while (count(self, BELL) < ROUNDS) {
        wait_for_interrupt();
        interrupts_off();
    }
}

static void check_round(void)
{
    clear();
    interrupt_handle(BELL, pass_on);
    threads_start(play, NULL);
    WAIT_UNTIL(atomic_load(&ready) == vcpu_count() - 1);
    send(1, BELL, false);
    play(NULL);
    threads_join();
    for (unsigned i = 0; i < vcpu_count(); i++)
        EXPECT(count(i, BELL) >= ROUNDS);
    interrupt_handle(BELL, note);
}

/* Each vCPU's timer is its own. */
static void tick(void *argument)
{
    const unsigned self = vcpu_index();

    (void)argument;
    timer_start_periodic(TICK, 20000 + 5000 * self);
    while (count(self, TICK) < TICKS) {
        wait_for_interrupt();
        interrupts_off();
    }
    timer_stop();
}

static void check_timers(void)
{
    const uint64_t start = ticks();

    clear();
    threads_start(tick, NULL);
    tick(NULL);
    threads_join();
    EXPECT(ticks() - start >= TICKS * (20000 + 5000ul * (vcpu_count() - 1)));
    for (unsigned i = 0; i < vcpu_count(); i++)
        EXPECT(count(i, TICK) >= TICKS);
}

static const struct check checks[] = {
    {"identifiers", check_ids},
    {"ICR to running vCPUs", check_awake_icr},
    {"DOORBELL to running vCPUs", check_awake_doorbell},
    {"ICR to vCPUs in HLT", check_asleep_icr},
    {"DOORBELL to vCPUs in HLT", check_asleep_doorbell},
    {"interrupts kept waiting", check_kept},
    {"round all vCPUs", check_round},
    {"a timer each", check_timers},
};

int main(void)
{
    printf("interrupts: %s\n",
           guest_info()->features & TRAPLINE_FEATURE_DIRECT ? "direct" : "virtual");
    interrupt_handle(BALL, note);
    interrupt_handle(BELL, note);
    interrupt_handle(TICK, note);
    return RUN_CHECKS(checks);
}
