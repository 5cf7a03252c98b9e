/*
 * The local APIC of a vCPU: registers, priorities, the timer's three modes, HLT, interrupts that
 * the vCPU sends itself, and one whose delivery meets a protected page. The same on every way in
 * which interrupts reach a guest.
 */
#include "except.h"

#include "guest/runtime/cpu.h"

#include <trapline/interrupt.h>
#include <trapline/timer.h>

enum {
    LOW = 0x41, /* vectors of three priority classes */
    MIDDLE = 0x52,
    HIGH = 0x93,
    LOG_MAX = 64,
    LVT_MASKED = 1 << 16,
    DIVIDE_BY_1 = 0xb,
    VECTORS = 256,
};

/* What came, in order. */
static volatile unsigned log_count;
static volatile uint8_t log_vector[LOG_MAX];
static volatile uint64_t log_time[LOG_MAX];

static unsigned nested; /* raised by LOW's handler, which then lets interrupts in */

static void note(unsigned vector)
{
    if (log_count < LOG_MAX) {
        log_vector[log_count] = (uint8_t)vector;
        log_time[log_count] = rdtsc();
    }
    log_count++;
    if (vector == LOW && nested) {
        apic_self_ipi(nested);
        interrupts_on();
        for (volatile int i = 0; i < 10; i++)
            ;
        interrupts_off();
    }
}

static void start_log(void)
{
    log_count = 0;
    nested = 0;
}

/* Wait, with interrupts on, for so many; false = they did not come. */
static bool wait_for(unsigned count)
{
    const uint64_t end = rdtsc() + tsc_hz();

    while (log_count < count && rdtsc() < end)
        ;
    return log_count >= count;
}

static int try_write(unsigned reg, uint64_t value)
{
    int vector;

    TRY(vector, "wrmsr", ,
        ARGS("c"(0x800 + reg), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))));
    return vector;
}

static void check_registers(void)
{
    const struct cpuid one = cpuid(1, 0);

    EXPECT(one.edx & 1u << 9);
    EXPECT(one.ecx & 1u << 21);
    EXPECT_EQ(one.ebx >> 24, 0);
    EXPECT_EQ(apic_read(APIC_ID), 0);
    EXPECT_EQ(apic_read(APIC_VERSION) & 0xff, 0x14);
    EXPECT_EQ(apic_read(APIC_VERSION) >> 16, 5);
    EXPECT_EQ(apic_read(APIC_LDR), 1);
    EXPECT_EQ(apic_read(APIC_SVR), 0x1ff);
    EXPECT_EQ(apic_read(APIC_TPR), 0);
    EXPECT_EQ(apic_read(APIC_PPR), 0);
    EXPECT_EQ(apic_read(APIC_LVT_TIMER), LVT_MASKED);
    for (unsigned i = 0; i < 8; i++) {
        EXPECT_EQ(apic_read(APIC_ISR + i), 0);
        EXPECT_EQ(apic_read(APIC_IRR + i), 0);
    }
    for (unsigned reg = APIC_LVT_THERMAL; reg <= APIC_LVT_ERROR; reg++) {
        check_at("LVT 0x%x", reg);
        EXPECT_EQ(apic_read(reg), LVT_MASKED);
        EXPECT_EQ(try_write(reg, 0x40), VECTOR_GP);
        EXPECT_EQ(try_write(reg, 0x400), VECTOR_GP); /* NMI */
        EXPECT_EQ(try_write(reg, LVT_MASKED), VECTOR_NONE);
    }
}

/* TPR and CR8 are one register. */
static void check_cr8(void)
{
    uint64_t value;

    for (uint64_t i = 0; i < 16; i++) {
        __asm__ volatile("mov %0, %%cr8" : : "r"(i));
        EXPECT_EQ(apic_read(APIC_TPR), i << 4);
        apic_write(APIC_TPR, (15 - i) << 4);
        __asm__ volatile("mov %%cr8, %0" : "=r"(value));
        EXPECT_EQ(value, 15 - i);
    }
    apic_write(APIC_TPR, 0);
    EXPECT_EQ(try_write(APIC_TPR, 0x100), VECTOR_GP);
    EXPECT_EQ(try_write(APIC_TPR, 1ul << 32), VECTOR_GP);
}

/* What is pending with interrupts off comes, the highest first, when they are on. */
static void check_priority(void)
{
    start_log();
    apic_self_ipi(MIDDLE);
    apic_self_ipi(LOW);
    apic_self_ipi(HIGH);
    apic_self_ipi(HIGH); /* again: one */
    EXPECT_EQ(log_count, 0);
    EXPECT(apic_read(APIC_IRR + HIGH / 32) & 1u << HIGH % 32);
    interrupts_on();
    EXPECT(wait_for(3));
    interrupts_off();
    EXPECT_EQ(log_count, 3);
    EXPECT_EQ(log_vector[0], HIGH);
    EXPECT_EQ(log_vector[1], MIDDLE);
    EXPECT_EQ(log_vector[2], LOW);
    EXPECT_EQ(apic_read(APIC_IRR + HIGH / 32), 0);
    EXPECT_EQ(apic_read(APIC_ISR + HIGH / 32), 0);
}

static void check_task_priority(void)
{
    start_log();
    apic_write(APIC_TPR, 0x5f);
    apic_self_ipi(MIDDLE); /* of the same class: held back */
    apic_self_ipi(HIGH);
    interrupts_on();
    EXPECT(wait_for(1));
    for (volatile int i = 0; i < 100; i++)
        ;
    EXPECT_EQ(log_count, 1);
    EXPECT_EQ(log_vector[0], HIGH);
    apic_write(APIC_TPR, 0x4f);
    EXPECT(wait_for(2));
    interrupts_off();
    EXPECT_EQ(log_vector[1], MIDDLE);
    apic_write(APIC_TPR, 0);
}

/* A higher class interrupts a handler, its own class waits for the EOI. */
static void check_nesting(void)
{
    start_log();
    nested = HIGH;
    apic_self_ipi(LOW);
    interrupts_on();
    EXPECT(wait_for(2));
    EXPECT_EQ(log_vector[0], LOW);
    EXPECT_EQ(log_vector[1], HIGH);
    EXPECT_EQ(log_count, 2);
    interrupts_off();

    start_log();
    nested = LOW + 1;
    interrupt_handle(LOW + 1, note);
    apic_self_ipi(LOW);
    interrupts_on();
    EXPECT(wait_for(2));
    interrupts_off();
    EXPECT_EQ(log_vector[1], LOW + 1);
}

static void check_icr(void)
{
    static const struct {
        uint64_t value;
        bool comes;
    } good[] = {
        {LOW, true},
        {LOW | 1 << 14, true},
        {LOW | 1 << 18, true},       /* self */
        {LOW | 5ul << 32, false},    /* nobody */
        {LOW | 0xfful << 32, false}, /* not the broadcast of xAPIC mode */
        {LOW | 0xfffffffful << 32, true},
    };
    static const uint64_t bad[] = {
        LOW | 1 << 8,  LOW | 2 << 8,  LOW | 3 << 8,  1 << 14 | 4 << 8,   LOW | 5 << 8,
        LOW | 6 << 8,  LOW | 7 << 8,  LOW | 1 << 11, LOW | 1 << 12,      LOW | 1 << 13,
        LOW | 1 << 16, LOW | 1 << 17, LOW | 1 << 20, LOW | 0x80000000ul, 0xc0000 | 4 << 8,
    };

    for (unsigned i = 0; i < COUNT(good); i++) {
        check_at("ICR 0x%lx", good[i].value);
        start_log();
        interrupts_on();
        EXPECT_EQ(try_write(APIC_ICR, good[i].value), VECTOR_NONE);
        if (good[i].comes)
            EXPECT(wait_for(1));
        for (volatile int j = 0; j < 100; j++)
            ;
        interrupts_off();
        EXPECT_EQ(log_count, good[i].comes);
    }
    for (unsigned i = 0; i < COUNT(bad); i++) {
        check_at("ICR 0x%lx", bad[i]);
        EXPECT_EQ(try_write(APIC_ICR, bad[i]), VECTOR_GP);
    }
}

/* Illegal vectors are no interrupts, and the ESR says so. */
static void check_errors(void)
{
    apic_write(APIC_ESR, 0);
    EXPECT_EQ(try_write(APIC_ICR, 5), VECTOR_NONE);
    apic_write(APIC_ESR, 0);
    EXPECT_EQ(apic_read(APIC_ESR), 1 << 5);
    apic_write(APIC_ESR, 0);
    EXPECT_EQ(apic_read(APIC_ESR), 0);
    EXPECT_EQ(try_write(APIC_ESR, 1), VECTOR_GP);
    if (guest_info()->features & TRAPLINE_FEATURE_DIRECT)
        return; /* the CPU's own registers, and an emulated CPU forgives */
    EXPECT_EQ(try_write(APIC_SELF_IPI, 0x100), VECTOR_GP);
    EXPECT_EQ(try_write(APIC_EOI, 1), VECTOR_GP);
}

static void check_base(void)
{
    uint32_t low, high;
    int vector;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x1b));
    EXPECT_EQ(low, 0xfee00d00);
    EXPECT_EQ(high, 0);
    TRY(vector, "wrmsr", , ARGS("c"(0x1b), "a"(low), "d"(high)));
    EXPECT_EQ(vector, VECTOR_NONE);
    for (unsigned bit = 0; bit < 32; bit++) {
        check_at("bit %u", bit);
        TRY(vector, "wrmsr", , ARGS("c"(0x1b), "a"(low ^ 1u << bit), "d"(high)));
        EXPECT_EQ(vector, VECTOR_GP);
    }
}

/* The time from start to the n-th interrupt is n intervals, and not one tick less. */
static void check_periodic(void)
{
    const uint64_t interval = 20000;
    uint64_t start;
    unsigned late = 0;

    timer_start_periodic(LOW, interval);
    timer_stop(); /* the rate is known now */
    start_log();
    interrupts_on();
    start = ticks();
    EXPECT_EQ(timer_start_periodic(LOW, interval), 0);
    EXPECT(wait_for(20));
    timer_stop();
    interrupts_off();
    for (unsigned i = 0; i < 20; i++) {
        EXPECT(log_time[i] >= start + (i + 1) * interval);
        late += log_time[i] > start + (i + 1) * interval + interval / 4;
    }
    EXPECT(late <= 4); /* when it had to wait for the CPU */
    EXPECT_EQ(timer_start_periodic(LOW, 0), -TRAPLINE_EINVAL);
}

static void check_one_shot(void)
{
    uint64_t start, before, after;

    apic_write(APIC_DIVIDE, 0); /* by 2 */
    apic_write(APIC_LVT_TIMER, MIDDLE);
    start_log();
    interrupts_on();
    start = ticks();
    apic_write(APIC_INITIAL_COUNT, 10000);
    before = apic_read(APIC_CURRENT_COUNT);
    after = apic_read(APIC_CURRENT_COUNT);
    EXPECT(before <= 10000 && after < before);
    EXPECT(wait_for(1));
    EXPECT(log_time[0] >= start + 15000);
    EXPECT_EQ(apic_read(APIC_CURRENT_COUNT), 0);
    for (volatile int i = 0; i < 100000; i++)
        ;
    EXPECT_EQ(log_count, 1);
    interrupts_off();
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

static void check_deadline(void)
{
    uint64_t deadline;

    start_log();
    interrupts_on();
    for (unsigned i = 0; i < 10; i++) {
        deadline = ticks() + 5000 + 1000 * i;
        EXPECT_EQ(timer_start_deadline(MIDDLE, deadline), 0);
        EXPECT(wait_for(i + 1));
        EXPECT(log_time[i] + 100 >= deadline);
    }
    EXPECT_EQ(timer_start_deadline(MIDDLE, 1), 0); /* long past */
    EXPECT(wait_for(11));
    timer_stop();
    interrupts_off();
    EXPECT_EQ(log_count, 11);
}

/* HLT ends by an interrupt that was pending, by one that comes, and not before. */
static void check_halt(void)
{
    uint64_t deadline;

    start_log();
    apic_self_ipi(LOW);
    wait_for_interrupt();
    EXPECT_EQ(log_count, 1);
    interrupts_off();
    for (unsigned i = 0; i < 10; i++) {
        deadline = ticks() + 10000 + 100000 * i;
        EXPECT_EQ(timer_start_deadline(LOW, deadline), 0);
        wait_for_interrupt();
        EXPECT_EQ(log_count, i + 2);
        EXPECT(log_time[i + 1] + 100 >= deadline);
        interrupts_off();
    }
    timer_stop();
}

static void check_doorbell(void)
{
    start_log();
    interrupts_on();
    EXPECT_EQ(hypercall2(TRAPLINE_HC_DOORBELL, 0, LOW), 0);
    EXPECT(wait_for(1));
    EXPECT_EQ(hypercall2(TRAPLINE_HC_DOORBELL, 0, 15), -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_DOORBELL, 0, 0), -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_DOORBELL, 0, 256), -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_DOORBELL, 0, 1ul << 32 | LOW), -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_DOORBELL, guest_info()->vcpus, LOW), -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_DOORBELL, ~0ul, LOW), -TRAPLINE_EINVAL);
    interrupts_off();
    EXPECT_EQ(log_count, 1);
}

/* A second IDT of which the upper vectors' gates are on a page of their own. */
static char idt_pages[2 * PAGE] __attribute__((aligned(PAGE)));
static volatile unsigned idt_faults;

static void give_back(struct trapline_fault *fault)
{
    idt_faults++;
    EXPECT_EQ(log_count, 0); /* the trap goes first */
    unprot(trap_page(fault));
}

/* The gate of an interrupt is on a protected page: TRAP, and then the interrupt. */
static void check_protected_gate(void)
{
    struct descriptor_table own, runtime;
    char *const table = idt_pages + PAGE - VECTORS / 2 * sizeof(struct idt_gate);

    /* Bochs forgets which event it delivers when that is a virtual interrupt. */
    if ((guest_info()->features & TRAPLINE_FEATURE_APICV) &&
        !(guest_info()->features & TRAPLINE_FEATURE_DIRECT))
        return;
    __asm__ volatile("sidt %0" : "=m"(runtime));
    memcpy(table, (void *)runtime.base, VECTORS * sizeof(struct idt_gate));
    own = (struct descriptor_table){runtime.limit, (uint64_t)table};
    trap(give_back, 0);
    for (unsigned round = 0; round < 5; round++) {
        start_log();
        idt_faults = 0;
        __asm__ volatile("lidt %0" : : "m"(own) : "memory");
        EXPECT_EQ(prot1(idt_pages + PAGE, TRAPLINE_NONE), 0);
        apic_self_ipi(HIGH);
        interrupts_on();
        EXPECT(wait_for(1));
        interrupts_off();
        __asm__ volatile("lidt %0" : : "m"(runtime) : "memory");
        EXPECT_EQ(idt_faults, 1);
        EXPECT_EQ(log_count, 1);
        EXPECT_EQ(log_vector[0], HIGH);
        EXPECT_EQ(apic_read(APIC_ISR + HIGH / 32), 0);
    }
    trap(NULL, 0);
}

/* Interrupts come in the middle of a long call, and it ends as if they had not. */
static void check_long_call(void)
{
    enum {
        PAGES = 3000
    };
    static void *list[PAGES];
    char *const pages = pages_alloc(PAGES, 1);

    start_log();
    for (unsigned i = 0; i < PAGES; i++)
        list[i] = pages + (i * 7 % PAGES) * PAGE;
    timer_start_periodic(LOW, 5000);
    interrupts_on();
    for (unsigned i = 0; i < 10; i++) {
        EXPECT_EQ(protn(list, PAGES, TRAPLINE_READ), 0);
        EXPECT_EQ(unprot_range(pages, PAGES), 0);
    }
    timer_stop();
    interrupts_off();
    EXPECT(log_count > 3);
    pages_free(pages, PAGES);
}

/* A software-disabled APIC takes nothing, and keeps what it had. */
static void check_disabled(void)
{
    start_log();
    apic_self_ipi(LOW);
    apic_write(APIC_SVR, 0xff);
    EXPECT_EQ(apic_read(APIC_SVR), 0xff);
    apic_write(APIC_SVR, 0x1ff);
    interrupts_on();
    EXPECT(wait_for(1));
    interrupts_off();
    EXPECT_EQ(log_count, 1);
    EXPECT_EQ(try_write(APIC_SVR, 0x3ff), VECTOR_GP);
}

static const struct check checks[] = {
    {"registers", check_registers},
    {"CR8 is the TPR", check_cr8},
    {"priority", check_priority},
    {"task priority", check_task_priority},
    {"nesting", check_nesting},
    {"ICR", check_icr},
    {"errors", check_errors},
    {"APIC base", check_base},
    {"one-shot timer", check_one_shot},
    {"periodic timer", check_periodic},
    {"deadline", check_deadline},
    {"HLT", check_halt},
    {"doorbell", check_doorbell},
    {"interrupt through a protected page", check_protected_gate},
    {"interrupts in a long call", check_long_call},
    {"software-disabled", check_disabled},
};

int main(void)
{
    const uint32_t features = guest_info()->features;

    printf("interrupts: %s%s\n",
           features & TRAPLINE_FEATURE_DIRECT  ? "direct"
           : features & TRAPLINE_FEATURE_APICV ? "apicv"
                                               : "injected",
           cpuid(1, 0).ecx & 1u << 24 ? "" : ", no TSC deadline");
    except_init();
    interrupt_handle(LOW, note);
    interrupt_handle(MIDDLE, note);
    interrupt_handle(HIGH, note);
    return RUN_CHECKS(checks);
}
