#include "hv/exception.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/apic.h"
#include "hv/backtrace.h"
#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/interrupt.h"
#include "hv/machine.h"
#include "vmx/x86.h"

enum {
    IDT_VECTORS = 256,
    STUB_BYTES = 16,
    FIRST_INTERRUPT = 32,
    FIRST_LEGAL = 16,      /* what the local APIC takes for an interrupt's vector (SDM 10.5.2) */
    GATE_INTERRUPT = 0x8e, /* present, DPL 0, 64-bit interrupt gate */
};

struct idt_gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

struct descriptor_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern char exception_stubs[];

static struct idt_gate idt[IDT_VECTORS] __attribute__((aligned(16)));

static const char *const names[FIRST_INTERRUPT] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM no math device",
    "#DF double fault",
    "coprocessor segment overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack fault",
    "#GP general protection",
    "#PF page fault",
    "reserved",
    "#MF x87 error",
    "#AC alignment check",
    "#MC machine check",
    "#XM SIMD error",
    "#VE virtualization exception",
    "#CP control protection",
};

static uint8_t stack_for(unsigned vector)
{
    switch (vector) {
    case VECTOR_DF: return IST_DOUBLE_FAULT;
    case VECTOR_NMI: return IST_NMI;
    case VECTOR_MC: return IST_MACHINE_CHECK;
    default: return IST_NONE;
    }
}

static void fill_idt(void)
{
    for (unsigned v = 0; v < IDT_VECTORS; v++) {
        uint64_t stub = (uint64_t)exception_stubs + v * STUB_BYTES;
        idt[v] = (struct idt_gate){
            .offset_low = (uint16_t)stub,
            .selector = SEL_CODE,
            .ist = stack_for(v),
            .type = GATE_INTERRUPT,
            .offset_middle = (uint16_t)(stub >> 16),
            .offset_high = (uint32_t)(stub >> 32),
        };
    }
}

void exception_load_idt(void)
{
    struct descriptor_register idtr = {.limit = sizeof(idt) - 1, .base = (uint64_t)idt};

    if (idt[0].type == 0)
        fill_idt();
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

static void print_frame(const struct exception_frame *f)
{
    kprintf("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    kprintf("rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
    kprintf("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
    kprintf("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
    kprintf("rip %016lx cs %04lx ss %04lx rflags %08lx\n", f->rip, f->cs, f->ss, f->rflags);
    kprintf("cr0 %08lx cr2 %016lx cr3 %016lx cr4 %08lx efer %04lx\n", read_cr0(), read_cr2(),
            read_cr3(), read_cr4(), rdmsr(MSR_IA32_EFER));
}

static noreturn void die(const struct exception_frame *frame)
{
    const char *name = frame->vector < FIRST_INTERRUPT ? names[frame->vector] : NULL;

    if (!cpu_stop_others()) {
        /* It happened while this CPU was reporting another one. */
        kprintf("trapline: exception %lu at %016lx while stopping\n", frame->vector, frame->rip);
        machine_stop(1);
    }
    kprintf("\ntrapline: exception %lu (%s), error code %lx, in root mode on CPU %u (APIC id %u)\n",
            frame->vector, name ? name : "reserved", frame->error, this_cpu()->index,
            this_cpu()->apic_id);
    print_frame(frame);
    backtrace_print(frame->rip, frame->rbp);
    machine_stop(1);
}

/*
 * Guests that have the APIC for themselves may leave interrupts pending whose vectors are those of
 * exceptions. They come where interrupts are on, which are few places in root mode.
 */
static bool is_interrupt(const struct exception_frame *frame)
{
    return frame->vector >= FIRST_INTERRUPT ||
           (frame->vector >= FIRST_LEGAL && (frame->rflags & RFLAGS_IF) &&
            apic_in_service((uint8_t)frame->vector));
}

static void handle_nmi(void)
{
    cpu_handle_nmi();
    if (this_cpu()->current)
        interrupt_nmi(this_cpu()->current);
}

void exception_entry(struct exception_frame *frame)
{
    if (is_interrupt(frame))
        cpu_handle_interrupt((unsigned)frame->vector);
    else if (frame->vector == VECTOR_NMI)
        handle_nmi();
    else if (frame->vector == VECTOR_MC)
        cpu_handle_machine_check();
    else
        die(frame);
}
