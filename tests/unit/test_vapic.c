/* The virtual local APIC: registers, priorities, EOI order, ICR, timer (SDM chapter 10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/vapic.h"

enum {
    ID = 18, /* cluster 1, member 2 */
    VCPUS = 20,
    NOW = 1000000,
    MASKED = 1 << 16,
    PERIODIC = 1 << 17,
    DEADLINE = 2 << 17,
    DIVIDE_1 = 0xb,
};

#define ALL ((1u << VCPUS) - 1)

static struct vapic apic;
static uint32_t page[1024] __attribute__((aligned(4096)));

static int setup(void **state)
{
    (void)state;
    memset(page, 0xee, sizeof(page));
    vapic_init(&apic, page, ID, VCPUS, true);
    return 0;
}

static uint32_t msr(unsigned reg)
{
    return 0x800 + reg;
}

static bool write_at(unsigned reg, uint64_t value, uint64_t now)
{
    struct vapic_ipi ipi;
    bool good = vapic_write(&apic, msr(reg), value, now, &ipi);

    if (reg != VAPIC_ICR)
        assert_int_equal(ipi.targets, 0);
    return good;
}

static bool write(unsigned reg, uint64_t value)
{
    return write_at(reg, value, NOW);
}

static uint64_t read_at(unsigned reg, uint64_t now)
{
    uint64_t value = 0xdead;

    assert_true(vapic_read(&apic, msr(reg), now, &value));
    return value;
}

static uint64_t read(unsigned reg)
{
    return read_at(reg, NOW);
}

/* What each MSR of the range allows (table 10-6), and what it holds at first. */
static const struct {
    unsigned reg;
    bool readable;
    uint64_t first;
    uint64_t good; /* a value that may be written; NOTHING = none may */
    uint64_t bad;  /* one with a reserved bit */
} registers[] = {
#define NOTHING UINT64_MAX
    {0x02, true, ID, NOTHING, 0},
    {0x03, true, 0x50014, NOTHING, 0},
    {0x08, true, 0, 0xff, 0x100},
    {0x0a, true, 0, NOTHING, 0},
    {0x0b, false, 0, 0, 1},
    {0x0d, true, 0x10004, NOTHING, 0},
    {0x0f, true, 0x1ff, 0x1a0, 0x1000},
    {0x28, true, 0, 0, 1},
    {0x30, true, 0, 0x40fe, 0x1000},
    {0x32, true, MASKED, PERIODIC | 0xff, 1 << 19},
    {0x33, true, MASKED, MASKED | 0x4ff, MASKED | 1 << 12},
    {0x34, true, MASKED, MASKED | 0x4ff, MASKED | 1 << 12},
    {0x35, true, MASKED, MASKED | 0xa7ff, MASKED | 1 << 12},
    {0x36, true, MASKED, MASKED | 0xa7ff, MASKED | 1 << 12},
    {0x37, true, MASKED, MASKED | 0xff, MASKED | 0x100},
    {0x38, true, 0, 0xffffffff, 1ull << 32},
    {0x39, true, 0, NOTHING, 0},
    {0x3e, true, 0, 0xb, 4},
    {0x3f, false, 0, 0xff, 0x100},
};

static int entry_of(unsigned reg)
{
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        if (registers[i].reg == reg)
            return (int)i;
    }
    return -1;
}

static void test_which_registers_are_there(void **state)
{
    for (unsigned reg = 0; reg < 0x100; reg++) {
        int i = entry_of(reg);
        bool set = reg >= 0x10 && reg < 0x28; /* ISR, TMR, IRR */
        uint64_t value;

        setup(state);
        if (set || (i >= 0 && registers[i].readable))
            assert_int_equal(read(reg), set ? 0 : registers[i].first);
        else
            assert_false(vapic_read(&apic, msr(reg), NOW, &value));
        if (i >= 0 && registers[i].good != NOTHING) {
            assert_true(write(reg, registers[i].good));
            assert_false(write(reg, registers[i].bad));
            assert_false(write(reg, registers[i].good | 1ull << (reg == 0x30 ? 12 : 63)));
        } else {
            assert_false(write(reg, 0));
        }
        if (i >= 0 && registers[i].readable && registers[i].good != NOTHING && reg != 0x28)
            assert_int_equal(read(reg), registers[i].good);
    }
}

static void test_identifier(void **state)
{
    (void)state;
    for (unsigned id = 0; id < 32; id++) {
        vapic_init(&apic, page, id, 32, true);
        assert_int_equal(read(VAPIC_ID), id);
        assert_int_equal(read(VAPIC_LDR), (id / 16) << 16 | 1u << id % 16);
        assert_int_equal(vapic_base(&apic), 0xfee00c00 | (id == 0 ? 0x100 : 0));
    }
}

static void test_local_interrupts_stay_masked(void **state)
{
    (void)state;
    for (unsigned reg = 0x33; reg <= 0x37; reg++) {
        assert_false(write(reg, 0x40));
        assert_int_equal(read(reg), MASKED);
    }
    assert_true(write(VAPIC_LVT_TIMER, 0x40));
}

/* The priority of everything, from the definition (10.8.3). */
static int model_deliverable(const bool *irr, const bool *isr, unsigned tpr)
{
    int request = -1, service = -1;
    unsigned ppr_class;

    for (int v = 0; v < 256; v++) {
        request = irr[v] ? v : request;
        service = isr[v] ? v : service;
    }
    ppr_class = tpr / 16;
    if (service >= 0 && (unsigned)service / 16 > ppr_class)
        ppr_class = (unsigned)service / 16;
    return request >= 0 && (unsigned)request / 16 > ppr_class ? request : -1;
}

static void test_priorities_random(void **state)
{
    bool irr[256] = {false}, isr[256] = {false};
    unsigned tpr = 0, delivered = 0;

    (void)state;
    srand(1);
    for (unsigned step = 0; step < 200000; step++) {
        unsigned vector = 16 + (unsigned)rand() % 240;
        int expected = model_deliverable(irr, isr, tpr), top = -1;

        assert_int_equal(vapic_deliverable(&apic), expected);
        for (int v = 0; v < 256; v++)
            top = isr[v] ? v : top;
        assert_int_equal(vapic_in_service(&apic), top);
        /* 10.8.3.1, table 10-5 */
        assert_int_equal(read(VAPIC_PPR),
                         top < 0 || tpr / 16 >= (unsigned)top / 16 ? tpr : (unsigned)top / 16 * 16);
        switch (rand() % 6) {
        case 0:
            vapic_post(&apic, vector);
            assert_true(vapic_collect(&apic));
            irr[vector] = true;
            break;
        case 1:
            assert_true(write(VAPIC_SELF_IPI, vector));
            irr[vector] = true;
            break;
        case 2:
            tpr = (unsigned)rand() % 256;
            if (rand() % 2) {
                assert_true(write(VAPIC_TPR, tpr));
            } else {
                tpr &= 0xf0;
                vapic_set_cr8(&apic, tpr / 16);
            }
            assert_int_equal(vapic_cr8(&apic), tpr / 16);
            assert_int_equal(read(VAPIC_TPR), tpr);
            break;
        case 3:
        case 4:
            if (expected >= 0) {
                vapic_accept(&apic, (unsigned)expected);
                irr[expected] = false;
                isr[expected] = true;
                delivered++;
                if (rand() % 8 == 0) { /* its delivery met a protected page */
                    vapic_put_back(&apic, (unsigned)expected);
                    irr[expected] = true;
                    isr[expected] = false;
                }
            }
            break;
        case 5:
            assert_true(write(VAPIC_EOI, 0));
            if (top >= 0)
                isr[top] = false;
            break;
        }
        for (unsigned i = 0; i < 8; i++) {
            for (unsigned bit = 0; bit < 32; bit++) {
                assert_int_equal(page[(0x20 + i) * 4] >> bit & 1, irr[i * 32 + bit]);
                assert_int_equal(page[(0x10 + i) * 4] >> bit & 1, isr[i * 32 + bit]);
            }
        }
    }
    assert_true(delivered > 1000);
}

/* Interrupts nest by class and end in the reverse order. */
static void test_eoi_order(void **state)
{
    static const uint8_t nest[] = {0x31, 0x42, 0x90, 0xff};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        vapic_raise_own(&apic, nest[i]);
        assert_int_equal(vapic_deliverable(&apic), nest[i]);
        vapic_accept(&apic, nest[i]);
        vapic_raise_own(&apic, nest[i] & 0xf0 ? nest[i] | 0x0f : nest[i]);
        if (nest[i] != (nest[i] | 0x0f)) /* of its own class: it waits for the EOI */
            assert_int_equal(vapic_deliverable(&apic), VAPIC_NONE);
    }
    for (int i = 3; i >= 0; i--) {
        assert_int_equal(vapic_in_service(&apic), nest[i]);
        assert_true(write(VAPIC_EOI, 0));
    }
    assert_int_equal(vapic_in_service(&apic), VAPIC_NONE);
    assert_true(write(VAPIC_EOI, 0)); /* one too many does nothing */
    assert_int_equal(vapic_deliverable(&apic), 0xff);
}

static void test_posting(void **state)
{
    (void)state;
    assert_false(vapic_collect(&apic));
    assert_false(vapic_has_posted(&apic));
    for (unsigned vector = 16; vector < 256; vector++) {
        assert_true(vapic_post(&apic, vector));
        assert_false(vapic_post(&apic, vector));
        assert_true(vapic_has_posted(&apic));
        assert_true(vapic_collect(&apic));
        assert_false(vapic_has_posted(&apic));
        assert_int_equal(vapic_requested(&apic), vector);
    }
}

static void test_software_disabled(void **state)
{
    (void)state;
    vapic_raise_own(&apic, 0x50);
    assert_true(write(VAPIC_LVT_TIMER, 0x60));
    assert_true(write(VAPIC_SVR, 0xff));
    assert_int_equal(read(VAPIC_LVT_TIMER), MASKED | 0x60);
    assert_true(write(VAPIC_LVT_TIMER, 0x61)); /* the mask cannot be taken away */
    assert_int_equal(read(VAPIC_LVT_TIMER), MASKED | 0x61);
    vapic_post(&apic, 0x70);
    assert_false(vapic_collect(&apic));
    assert_false(vapic_has_posted(&apic));
    assert_true(write(VAPIC_SELF_IPI, 0x71));
    assert_int_equal(vapic_deliverable(&apic), 0x50); /* what was pending stays */
    assert_true(write(VAPIC_SVR, 0x1ff));
    assert_true(write(VAPIC_LVT_TIMER, 0x61));
    assert_int_equal(read(VAPIC_LVT_TIMER), 0x61);
}

static const struct {
    uint64_t value;
    bool good;
    uint32_t targets;
    uint32_t error;
} commands[] = {
    {0x40, true, 1, 0},                               /* to vCPU 0 */
    {0x4040, true, 1, 0},                             /* with the level bit, as all do */
    {0xc040, true, 1, 0},                             /* the trigger mode means nothing */
    {5ull << 32 | 0xff, true, 1 << 5, 0},             /* */
    {(VCPUS - 1ull) << 32 | 0x10, true, 1u << 19, 0}, /* the lowest vector, the last vCPU */
    {(uint64_t)VCPUS << 32 | 0x40, true, 0, 0},       /* nobody there */
    {0x100ull << 32 | 0x40, true, 0, 0},              /* */
    {0xffffffffull << 32 | 0x40, true, ALL, 0},       /* broadcast */
    {0x40040, true, 1u << ID, 0},                     /* self */
    {7ull << 32 | 0x40040, true, 1u << ID, 0},        /* its destination means nothing */
    {0x80040, true, ALL, 0},                          /* all */
    {0xc0040, true, ALL & ~(1u << ID), 0},            /* all but self */
    {0xc0840, true, ALL & ~(1u << ID), 0},            /* nor the destination mode */
    {0x0f, true, 0, 1 << 5},                          /* illegal vectors */
    {0xc0000, true, 0, 1 << 5},                       /* */
    {0x840, false, 0, 0},                             /* logical destination */
    {0x140, false, 0, 0},                             /* lowest priority */
    {0x200, false, 0, 0},                             /* SMI */
    {0x340, false, 0, 0},                             /* reserved */
    {0x400, false, 0, 0},                             /* NMI */
    {0xc0400, false, 0, 0},                           /* */
    {0x500, false, 0, 0},                             /* INIT */
    {0x8500, false, 0, 0},                            /* INIT level de-assert */
    {0x608, false, 0, 0},                             /* start-up */
    {0x740, false, 0, 0},                             /* ExtINT */
    {0x1040, false, 0, 0},                            /* reserved bits */
    {0x2040, false, 0, 0},                            /* */
    {0x10040, false, 0, 0},                           /* */
    {0x20040, false, 0, 0},                           /* */
    {0x100040, false, 0, 0},                          /* */
    {0x80000040, false, 0, 0},                        /* */
};

static void test_icr(void **state)
{
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct vapic_ipi ipi;

        setup(state);
        assert_int_equal(vapic_write(&apic, 0x830, commands[i].value, NOW, &ipi), commands[i].good);
        assert_int_equal(ipi.targets, commands[i].targets);
        if (ipi.targets)
            assert_int_equal(ipi.vector, commands[i].value & 0xff);
        assert_int_equal(read(VAPIC_ICR), commands[i].good ? commands[i].value : 0);
        assert_int_equal(read(VAPIC_ESR), 0); /* shown after a write to it */
        assert_true(write(VAPIC_ESR, 0));
        assert_int_equal(read(VAPIC_ESR), commands[i].error);
        assert_true(write(VAPIC_ESR, 0));
        assert_int_equal(read(VAPIC_ESR), 0);
        assert_int_equal(vapic_requested(&apic), VAPIC_NONE); /* the caller's to do */
    }
}

/* No value for the ICR reaches more than the guest's own vCPUs. */
static void test_icr_random(void **state)
{
    (void)state;
    srand(2);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t value = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand();
        unsigned vcpus = 1 + (unsigned)rand() % 32, id = (unsigned)rand() % vcpus;
        uint64_t allowed = (1ull << vcpus) - 1;
        struct vapic_ipi ipi;
        uint32_t error;
        bool good = vapic_decode_icr(value, id, vcpus, &ipi, &error);

        assert_int_equal(ipi.targets & ~allowed, 0);
        if (good) {
            assert_int_equal(value >> 8 & 7, 0);
            assert_int_equal(value & 0xfff33000, 0);
        }
        if (good && ipi.targets)
            assert_in_range(ipi.vector, 16, 255);
    }
}

static void test_self_ipi(void **state)
{
    (void)state;
    for (unsigned vector = 0; vector < 256; vector++) {
        assert_true(write(VAPIC_SELF_IPI, vector));
        assert_int_equal(vapic_requested(&apic), vector < 16 ? VAPIC_NONE : (int)vector);
        assert_int_equal(apic.errors, vector < 16 ? 1 << 5 : 0);
        if (vector < 16)
            write(VAPIC_ESR, 0);
    }
    assert_int_equal(read(VAPIC_ESR), 1 << 5);
}

/* The divide configuration register's values and what they divide by (figure 10-10). */
static const struct {
    uint32_t value, divisor;
} divisors[] = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};

static void test_one_shot(void **state)
{
    for (unsigned i = 0; i < sizeof(divisors) / sizeof(divisors[0]); i++) {
        uint64_t divisor = divisors[i].divisor, end = NOW + 100 * divisor;

        setup(state);
        assert_true(write(VAPIC_DIVIDE, divisors[i].value));
        assert_true(write(VAPIC_LVT_TIMER, 0x40));
        assert_int_equal(vapic_timer_next(&apic), VAPIC_NEVER);
        assert_true(write(VAPIC_INITIAL_COUNT, 100));
        assert_int_equal(vapic_timer_next(&apic), end);
        assert_int_equal(read_at(VAPIC_CURRENT_COUNT, NOW), 100);
        assert_int_equal(read_at(VAPIC_CURRENT_COUNT, NOW + divisor), 99);
        assert_int_equal(read_at(VAPIC_CURRENT_COUNT, end - 1), 1);
        assert_int_equal(read_at(VAPIC_CURRENT_COUNT, end), 0);
        assert_false(vapic_timer_run(&apic, end - 1));
        assert_int_equal(vapic_requested(&apic), VAPIC_NONE);
        assert_true(vapic_timer_run(&apic, end));
        assert_int_equal(vapic_requested(&apic), 0x40);
        assert_false(vapic_timer_run(&apic, end + 1000000)); /* once */
        assert_int_equal(read_at(VAPIC_CURRENT_COUNT, end + 5), 0);
        assert_int_equal(read(VAPIC_INITIAL_COUNT), 100);
    }
}

static void test_periodic(void **state)
{
    uint64_t end = NOW + 10000;

    (void)state;
    write(VAPIC_DIVIDE, DIVIDE_1);
    write(VAPIC_LVT_TIMER, PERIODIC | 0x40);
    write(VAPIC_INITIAL_COUNT, 10000);
    for (unsigned i = 0; i < 5; i++, end += 10000) {
        assert_int_equal(vapic_timer_next(&apic), end);
        assert_int_equal(read_at(VAPIC_CURRENT_COUNT, end - 3), 3);
        assert_false(vapic_timer_run(&apic, end - 1));
        assert_true(vapic_timer_run(&apic, end));
        vapic_accept(&apic, 0x40);
        write(VAPIC_EOI, 0);
        assert_int_equal(read_at(VAPIC_CURRENT_COUNT, end), 10000);
    }
    /* Periods that nobody looked at are one interrupt, and the phase is kept. */
    assert_true(vapic_timer_run(&apic, end + 34567));
    assert_int_equal(vapic_timer_next(&apic), end + 40000);
    assert_int_equal(read_at(VAPIC_CURRENT_COUNT, end + 45001), 4999);
    write(VAPIC_INITIAL_COUNT, 0);
    assert_int_equal(vapic_timer_next(&apic), VAPIC_NEVER);
    assert_int_equal(read_at(VAPIC_CURRENT_COUNT, end + 50000), 0);
}

/* A storm is bounded: the guest goes on between two interrupts. */
static void test_shortest_period(void **state)
{
    (void)state;
    write(VAPIC_DIVIDE, DIVIDE_1);
    write(VAPIC_LVT_TIMER, PERIODIC | 0x40);
    write(VAPIC_INITIAL_COUNT, 1);
    assert_int_equal(vapic_timer_next(&apic), NOW + VAPIC_PERIOD_MIN);
    assert_true(vapic_timer_run(&apic, NOW + VAPIC_PERIOD_MIN));
    assert_int_equal(vapic_timer_next(&apic), NOW + 2 * VAPIC_PERIOD_MIN);
}

static void test_longest_count(void **state)
{
    (void)state;
    write(VAPIC_DIVIDE, 0xa); /* by 128 */
    write(VAPIC_LVT_TIMER, 0x40);
    write(VAPIC_INITIAL_COUNT, 0xffffffff);
    assert_int_equal(vapic_timer_next(&apic), NOW + 0xffffffffull * 128);
    assert_int_equal(read(VAPIC_CURRENT_COUNT), 0xffffffff);
}

static void test_divide_while_counting(void **state)
{
    (void)state;
    write(VAPIC_DIVIDE, DIVIDE_1);
    write(VAPIC_LVT_TIMER, 0x40);
    write(VAPIC_INITIAL_COUNT, 1000);
    assert_true(write_at(VAPIC_DIVIDE, 0x1, NOW + 400));
    assert_int_equal(read_at(VAPIC_CURRENT_COUNT, NOW + 400), 600);
    assert_int_equal(vapic_timer_next(&apic), NOW + 400 + 4 * 600);
}

static void test_masked_timer(void **state)
{
    (void)state;
    write(VAPIC_DIVIDE, DIVIDE_1);
    write(VAPIC_INITIAL_COUNT, 1000);
    assert_int_equal(vapic_timer_next(&apic), VAPIC_NEVER);
    assert_int_equal(read_at(VAPIC_CURRENT_COUNT, NOW + 10), 990); /* it counts all the same */
    assert_false(vapic_timer_run(&apic, NOW + 1000));
    assert_int_equal(vapic_requested(&apic), VAPIC_NONE);
    write(VAPIC_LVT_TIMER, 0x40);
    assert_int_equal(vapic_timer_next(&apic), VAPIC_NEVER); /* that one is lost */
}

static void test_illegal_timer_vector(void **state)
{
    (void)state;
    write(VAPIC_DIVIDE, DIVIDE_1);
    write(VAPIC_LVT_TIMER, 0x0f);
    write(VAPIC_INITIAL_COUNT, 1000);
    assert_int_equal(vapic_timer_next(&apic), VAPIC_NEVER);
    assert_false(vapic_timer_run(&apic, NOW + 1000));
    write(VAPIC_ESR, 0);
    assert_int_equal(read(VAPIC_ESR), 1 << 6);
}

static void test_deadline(void **state)
{
    (void)state;
    vapic_deadline_write(&apic, NOW + 500); /* means nothing in the other modes */
    assert_int_equal(vapic_deadline_read(&apic), 0);
    write(VAPIC_LVT_TIMER, DEADLINE | 0x40);
    write(VAPIC_INITIAL_COUNT, 77); /* nor this in this one */
    assert_int_equal(read(VAPIC_INITIAL_COUNT), 0);
    assert_int_equal(vapic_timer_next(&apic), VAPIC_NEVER);
    vapic_deadline_write(&apic, NOW + 500);
    assert_int_equal(vapic_deadline_read(&apic), NOW + 500);
    assert_int_equal(vapic_timer_next(&apic), NOW + 500);
    assert_int_equal(read_at(VAPIC_CURRENT_COUNT, NOW + 100), 0);
    assert_false(vapic_timer_run(&apic, NOW + 499));
    assert_true(vapic_timer_run(&apic, NOW + 500));
    assert_int_equal(vapic_requested(&apic), 0x40);
    assert_int_equal(vapic_deadline_read(&apic), 0);
    vapic_deadline_write(&apic, 5); /* in the past: at once */
    assert_int_equal(vapic_timer_next(&apic), 5);
    vapic_accept(&apic, 0x40);
    assert_true(vapic_timer_run(&apic, NOW + 501));
    vapic_deadline_write(&apic, NOW + 900);
    vapic_deadline_write(&apic, 0); /* disarmed */
    assert_int_equal(vapic_timer_next(&apic), VAPIC_NEVER);
    vapic_deadline_write(&apic, NOW + 900);
    write(VAPIC_LVT_TIMER, 0x40); /* another mode disarms it, too */
    assert_int_equal(vapic_timer_next(&apic), VAPIC_NEVER);
    write(VAPIC_LVT_TIMER, DEADLINE | 0x40);
    assert_int_equal(vapic_deadline_read(&apic), 0);
}

static void test_no_deadline_mode(void **state)
{
    (void)state;
    vapic_init(&apic, page, 0, 1, false);
    assert_false(write(VAPIC_LVT_TIMER, DEADLINE | 0x40));
    assert_false(write(VAPIC_LVT_TIMER, 3 << 17 | 0x40));
    assert_true(write(VAPIC_LVT_TIMER, PERIODIC | 0x40));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_which_registers_are_there, setup),
        cmocka_unit_test_setup(test_identifier, setup),
        cmocka_unit_test_setup(test_local_interrupts_stay_masked, setup),
        cmocka_unit_test_setup(test_priorities_random, setup),
        cmocka_unit_test_setup(test_eoi_order, setup),
        cmocka_unit_test_setup(test_posting, setup),
        cmocka_unit_test_setup(test_software_disabled, setup),
        cmocka_unit_test_setup(test_icr, setup),
        cmocka_unit_test_setup(test_icr_random, setup),
        cmocka_unit_test_setup(test_self_ipi, setup),
        cmocka_unit_test_setup(test_one_shot, setup),
        cmocka_unit_test_setup(test_periodic, setup),
        cmocka_unit_test_setup(test_shortest_period, setup),
        cmocka_unit_test_setup(test_longest_count, setup),
        cmocka_unit_test_setup(test_divide_while_counting, setup),
        cmocka_unit_test_setup(test_masked_timer, setup),
        cmocka_unit_test_setup(test_illegal_timer_vector, setup),
        cmocka_unit_test_setup(test_deadline, setup),
        cmocka_unit_test_setup(test_no_deadline_mode, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
