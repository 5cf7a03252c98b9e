/*
 * A guest that uses its APIC to take more than its share: interrupts for others, an APIC that it
 * must not have, floods of interrupts, priorities that hold everything back, and remains for who
 * comes next on its CPU, which is itself in its next run.
 */
#include "except.h"

#include "guest/runtime/cpu.h"

#include <trapline/interrupt.h>
#include <trapline/timer.h>

enum {
    FIRST_VECTOR = 16,
    VECTORS = 256,
    OWN = 0x70,
    STRAY = 0xf0,
    LVT_MASKED = 1 << 16,
    LVT_PERIODIC = 1 << 17,
    DIVIDE_BY_1 = 0xb,
    WAIT_TICKS = 200000,
    DELIVERY_MODES = 8,
    SHORTHANDS = 4,
};

static volatile unsigned strays;

static void stray(unsigned vector)
{
    (void)vector;
    strays++;
}

static int try_write(uint32_t msr, uint64_t value)
{
    int vector;

    TRY(vector, "wrmsr", , ARGS("c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))));
    return vector;
}

/* Nothing is left of who had the CPU before: nothing pending, in service, armed or masked off. */
static void check_fresh(void)
{
    for (unsigned i = 0; i < 8; i++) {
        EXPECT_EQ(apic_read(APIC_IRR + i), 0);
        EXPECT_EQ(apic_read(APIC_ISR + i), 0);
    }
    EXPECT_EQ(apic_read(APIC_TPR), 0);
    EXPECT_EQ(apic_read(APIC_SVR), 0x1ff);
    EXPECT_EQ(apic_read(APIC_LVT_TIMER), LVT_MASKED);
    EXPECT_EQ(apic_read(APIC_CURRENT_COUNT), 0);
    for (unsigned vector = INTERRUPT_FIRST; vector <= INTERRUPT_LAST; vector++)
        interrupt_handle(vector, stray);
    interrupts_on();
    for (const uint64_t end = rdtsc() + WAIT_TICKS; rdtsc() < end;)
        ;
    interrupts_off();
    EXPECT_EQ(strays, 0);
}

/* Whatever is not a fixed interrupt for a vCPU of this guest: #GP, or nobody hears it. */
static void check_icr(void)
{
    for (unsigned mode = 0; mode < DELIVERY_MODES; mode++) {
        for (unsigned shorthand = 0; shorthand < SHORTHANDS; shorthand++) {
            for (uint64_t destination = 1; destination < 5; destination++) {
                const uint64_t command =
                    destination << 32 | shorthand << 18 | 1 << 14 | mode << 8 | (mode ? 8 : STRAY);

                check_at("ICR 0x%lx", command);
                EXPECT_EQ(try_write(0x830, command), mode ? VECTOR_GP : VECTOR_NONE);
                EXPECT_EQ(try_write(0x830, command | 1 << 15), mode ? VECTOR_GP : VECTOR_NONE);
                if (shorthand == 0) /* a logical destination */
                    EXPECT_EQ(try_write(0x830, command | 1 << 11), VECTOR_GP);
            }
        }
    }
}

/* NMI, SMI, INIT and ExtINT by the local vector table, and unmasking what it has. */
static void check_lvt(void)
{
    for (unsigned reg = APIC_LVT_THERMAL; reg <= APIC_LVT_ERROR; reg++) {
        for (unsigned mode = 0; mode < DELIVERY_MODES; mode++) {
            check_at("LVT 0x%x, mode %u", reg, mode);
            EXPECT_EQ(try_write(0x800 + reg, mode << 8 | STRAY), VECTOR_GP);
        }
    }
    EXPECT_EQ(try_write(0x82f, 0x400), VECTOR_GP); /* CMCI is not there */
    /* An error, with its LVT entry as it is. */
    apic_write(APIC_SELF_IPI, 3);
    apic_write(APIC_ICR, 1 << 18 | 2);
}

/* The APIC off, back to xAPIC mode, or somewhere else. */
static void check_base(void)
{
    static const uint64_t values[] = {0,          0xfee00000, 0xfee00800,         0xfee00100,
                                      0xfee00400, 0xfee00900, 0x1000 | 0xd00,     0xfee00c00,
                                      0xfee00d01, 0,          0x100000fee00d00ul, ~0ul};

    for (size_t i = 0; i < COUNT(values); i++) {
        check_at("APIC base 0x%lx", values[i]);
        EXPECT_EQ(try_write(0x1b, values[i]), VECTOR_GP);
    }
}

/* Every register, with values of all kinds; what it takes is its own business. */
static void check_registers(void)
{
    uint64_t value = 1;

    for (unsigned round = 0; round < 40; round++) {
        for (unsigned reg = 0; reg < 0x100; reg++) {
            value = value * 6364136223846793005u + 1442695040888963407u;
            /* no interrupts with the vectors of exceptions, which only it would feel */
            if (reg != APIC_SELF_IPI && reg != APIC_ICR)
                try_write(0x800 + reg, reg == APIC_LVT_TIMER ? LVT_MASKED : value >> round);
        }
    }
    timer_stop();
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_TPR, 0);
}

/* Leave everything behind that there is: all vectors pending, many in service, the timer running.
 */
static void leave_remains(void)
{
    apic_write(APIC_TPR, 0);
    for (unsigned vector = FIRST_VECTOR; vector < VECTORS; vector++)
        apic_self_ipi(vector);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | OWN);
    apic_write(APIC_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_INITIAL_COUNT, 500);
    apic_write(APIC_TPR, 0xff);
    apic_write(APIC_SVR, 0x110);
}

/* In the handler of a class below those of the others: they are in service when it ends. */
static void keep_in_service(unsigned vector)
{
    static unsigned depth;

    if (++depth < 10) {
        apic_self_ipi(vector + 0x10);
        interrupts_on();
        for (volatile int i = 0; i < 50; i++)
            ;
        interrupts_off();
    }
    leave_remains();
    exit(EXIT_SUCCESS);
}

static const struct check checks[] = {
    {"a fresh APIC", check_fresh},      {"ICR", check_icr},
    {"local vector table", check_lvt},  {"APIC base", check_base},
    {"all registers", check_registers},
};

/* Interrupts as fast as they come, and a handler that does nothing. */
static void storm(void)
{
    interrupt_handle(OWN, stray);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | OWN);
    apic_write(APIC_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_INITIAL_COUNT, 1);
    interrupts_on();
    for (;;) {
        apic_self_ipi(OWN);
        apic_self_ipi(OWN + 0x10);
    }
}

/* Deaf to everything, with vectors of exceptions pending. */
static void deaf(void)
{
    leave_remains();
    for (;;)
        __asm__ volatile("pause");
}

/* Asleep, with a priority that lets nothing wake it. */
static void asleep(void)
{
    leave_remains();
    apic_write(APIC_SVR, 0x1ff);
    interrupts_on();
    for (;;)
        __asm__ volatile("hlt");
}

int main(int argc, char **argv)
{
    const char *const way = argc > 1 ? argv[1] : "";
    int result;

    except_init();
    if (strcmp(way, "storm") == 0) {
        interrupt_handle(OWN + 0x10, stray);
        storm();
    } else if (strcmp(way, "deaf") == 0) {
        deaf();
    } else if (strcmp(way, "asleep") == 0) {
        asleep();
    }
    result = RUN_CHECKS(checks);
    if (result != EXIT_SUCCESS)
        return result;
    interrupt_handle(0x20, keep_in_service);
    for (unsigned vector = 0x30; vector < 0xf0; vector += 0x10)
        interrupt_handle(vector, keep_in_service);
    apic_self_ipi(0x20);
    interrupts_on();
    for (;;)
        ;
}
