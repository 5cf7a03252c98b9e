/* Exceptions of the CPU that nobody expects: report and end the guest. */
#include <trapline/abi.h>
#include <trapline/hypercall.h>
#include <trapline/process.h>
#include <trapline/stdio.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/vcpu.h"

enum {
    VECTOR_DF = 8, /* what an overflow becomes when page faults have no stack of their own */
    VECTOR_PF = 14,
};

/* As vectors.asm pushes it. */
struct exception_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

static const char *const names[] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM no coprocessor",
    "#DF double fault",
    "coprocessor overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack segment",
    "#GP general protection",
    "#PF page fault",
    "reserved",
    "#MF x87 error",
    "#AC alignment",
    "#MC machine check",
    "#XM SIMD error",
    "#VE virtualization",
    "#CP control protection",
};

noreturn void exception_report(const struct exception_frame *frame);

noreturn void exception_report(const struct exception_frame *frame)
{
    static unsigned reporter; /* 1 + the index of the vCPU that reports, 0 = none */
    const struct vcpu_local *const self = vcpu_self();
    const unsigned mark = self->index + 1;
    unsigned before = 0;
    const uint64_t cr2 = read_cr2();
    const size_t vector = frame->vector;

    if (!__atomic_compare_exchange_n(&reporter, &before, mark, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        if (before == mark)
            exit(EXIT_EXCEPTION + (int)vector);
        for (;;) /* the other one ends the guest */
            hypercall2(TRAPLINE_HC_PARK, 0, 0);
    }
    if ((vector == VECTOR_PF || vector == VECTOR_DF) && cr2 >= (uint64_t)self->stack_guard &&
        cr2 < (uint64_t)self->stack_bottom)
        printf("guest: %sstack overflow\n", self->label);
    printf("guest: %sexception %zu (%s), error %#lx, rip %#lx, cr2 %#lx\n", self->label, vector,
           vector < sizeof(names) / sizeof(names[0]) ? names[vector] : "reserved", frame->error,
           frame->rip, cr2);
    printf("  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", frame->rax, frame->rbx, frame->rcx,
           frame->rdx);
    printf("  rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", frame->rsi, frame->rdi, frame->rbp,
           frame->rsp);
    printf("  r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", frame->r8, frame->r9, frame->r10,
           frame->r11);
    printf("  r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", frame->r12, frame->r13, frame->r14,
           frame->r15);
    printf("  rflags %lx cs %lx ss %lx\n", frame->rflags, frame->cs, frame->ss);
    exit(EXIT_EXCEPTION + (int)vector);
}
