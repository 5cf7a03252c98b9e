/*
 * The calling vCPU's local APIC: its timer, and interrupts from one vCPU to another. Handlers are
 * registered by interrupt_handle() of interrupt.h. The contract is in docs/ABI.md, Interrupts.
 */
#ifndef TRAPLINE_TIMER_H
#define TRAPLINE_TIMER_H

#include <stdint.h>

/* Registers of the local APIC by their x2APIC number: MSR 800H + number (SDM table 10-6). */
enum apic_register {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_PPR = 0x0a,
    APIC_EOI = 0x0b,
    APIC_LDR = 0x0d,
    APIC_SVR = 0x0f,
    APIC_ISR = 0x10,
    APIC_TMR = 0x18,
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_ICR = 0x30,
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_THERMAL = 0x33,
    APIC_LVT_PERFORMANCE = 0x34,
    APIC_LVT_LINT0 = 0x35,
    APIC_LVT_LINT1 = 0x36,
    APIC_LVT_ERROR = 0x37,
    APIC_INITIAL_COUNT = 0x38,
    APIC_CURRENT_COUNT = 0x39,
    APIC_DIVIDE = 0x3e,
    APIC_SELF_IPI = 0x3f,
};

static inline void apic_write(enum apic_register reg, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(0x800u + reg), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

static inline uint64_t apic_read(enum apic_register reg)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x800u + reg) : "memory");
    return (uint64_t)high << 32 | low;
}

/* End the interrupt being handled; the runtime does so itself behind every handler. */
static inline void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

/* Interrupt the calling vCPU, and another one of this guest. vector: INTERRUPT_FIRST and up. */
static inline void apic_self_ipi(unsigned vector)
{
    apic_write(APIC_SELF_IPI, vector);
}

static inline void apic_send(unsigned vcpu, unsigned vector)
{
    apic_write(APIC_ICR, (uint64_t)vcpu << 32 | vector);
}

/*
 * Interrupt the calling vCPU every ticks ticks of the TSC. Where the timer counts at another rate,
 * that is measured at the first call, for about 4 ms. A period that is too short for the hypervisor
 * is longer: see ABI.md.
 * Returns 0, or -EINVAL for ticks 0 or more than the timer can count.
 */
int timer_start_periodic(unsigned vector, uint64_t ticks);

/*
 * Interrupt the calling vCPU once, when the TSC reaches tsc; at once if it has. Returns 0, or
 * -EINVAL when that is farther away than the timer can count.
 */
int timer_start_deadline(unsigned vector, uint64_t tsc);

/* No more interrupts of the timer; one that is pending still comes. */
void timer_stop(void);

/* Sleep till an interrupt comes. Called with interrupts off, returns with them on and it handled.
 */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti\n\thlt" : : : "memory");
}

#endif
