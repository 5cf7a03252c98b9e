/* The interrupt descriptor table and what happens on an exception or interrupt in root mode. */
#ifndef TRAPLINE_HV_EXCEPTION_H
#define TRAPLINE_HV_EXCEPTION_H

#include <stdint.h>

/* Which stack of the TSS an exception switches to; the numbers of the IDT's IST field. */
enum exception_stack {
    IST_NONE = 0,
    IST_DOUBLE_FAULT,
    IST_NMI,
    IST_MACHINE_CHECK,
    IST_COUNT
};

/* What the stubs push, from the lowest address on. */
struct exception_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector;
    uint64_t error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Load the IDT, which all CPUs share, on this CPU; the first call fills it. */
void exception_load_idt(void);

/* Called by the stubs. */
void exception_entry(struct exception_frame *frame);

#endif
