/*
 * Interrupts: doorbells of other vCPUs and guests, and those of the vCPU's local APIC where CPUID
 * shows an x2APIC. They are off when a vCPU starts.
 */
#ifndef TRAPLINE_INTERRUPT_H
#define TRAPLINE_INTERRUPT_H

#include <stdbool.h>

enum {
    INTERRUPT_FIRST = 32, /* vectors that may be used; those below are exceptions */
    INTERRUPT_LAST = 254, /* 255 is the APIC's spurious-interrupt vector, and ignored */
};

enum interrupt_flags {
    /*
     * The handler, with everything that it calls, uses no x87, SSE or AVX register, so that they
     * need not be saved around it: see TRAP_GENERAL_REGS and TRAP_GENERAL in vm.h.
     */
    INTERRUPT_GENERAL_REGS = 1u << 0,
};

typedef void interrupt_handler(unsigned vector);

/*
 * Call handler for each interrupt of a vector, INTERRUPT_FIRST to INTERRUPT_LAST, on whichever vCPU
 * it arrives. The handler runs on the stack of what it interrupts, with interrupts off; the end of
 * the interrupt is told to the APIC when it returns. handler NULL: the guest ends with a report, as
 * with vectors that never had a handler. flags: enum interrupt_flags.
 * Returns 0, or -EINVAL for another vector or an unknown flag.
 */
int interrupt_handle_with(unsigned vector, interrupt_handler *handler, unsigned flags);

/* The same with a handler that may use all registers. */
static inline int interrupt_handle(unsigned vector, interrupt_handler *handler)
{
    return interrupt_handle_with(vector, handler, 0);
}

/* Let interrupts in on the calling vCPU, or keep them waiting. */
static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/* Keep interrupts waiting; returns whether they were on, for interrupts_restore(). */
static inline bool interrupts_save(void)
{
    unsigned long flags;

    __asm__ volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags) : : "memory");
    return flags & 1u << 9;
}

static inline void interrupts_restore(bool on)
{
    if (on)
        interrupts_on();
}

#endif
