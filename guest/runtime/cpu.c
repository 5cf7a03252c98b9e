/* GDT, TSS, IDT and the vector registers. */
#include "guest/runtime/cpu.h"

#include <trapline/vm.h>

#include "guest/runtime/runtime.h"

enum {
    EXCEPTIONS = 32,
    EXCEPTION_IST = 1, /* a stack of its own, so that an overflow of the normal one is reported */
    GATE_INTERRUPT = 0x8e,
    SEL_TSS = 0x18, /* two slots */
    TSS_AVAILABLE = 0x89,
};

#define GDT_CODE 0x00af9b000000ffffull /* 64-bit, CPL 0, accessed */
#define GDT_DATA 0x00cf93000000ffffull

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_base;
} __attribute__((packed));

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

/* vectors.asm */
extern const uint64_t exception_vectors[EXCEPTIONS];
void trap_entry_lean(void);
void trap_entry_general(void);
void trap_entry_fxsave(void);
void trap_entry_xsave(void);

/* Read by vectors.asm. */
extern uint64_t xsave_size;
extern uint32_t xsave_mask;

uint64_t xsave_size; /* bytes, 0 = no XSAVE */
uint32_t xsave_mask;

static uint64_t gdt[5] = {0, GDT_CODE, GDT_DATA};
static struct tss tss __attribute__((aligned(16)));
static struct gate idt[EXCEPTIONS] __attribute__((aligned(16)));

static void set_gate(unsigned vector, uint64_t entry, uint8_t ist)
{
    idt[vector] = (struct gate){
        .offset_low = (uint16_t)entry,
        .selector = TRAPLINE_SEL_CODE,
        .ist = ist,
        .type = GATE_INTERRUPT,
        .offset_middle = (uint16_t)(entry >> 16),
        .offset_high = (uint32_t)(entry >> 32),
    };
}

static void load_gdt(void)
{
    const struct table_pointer pointer = {sizeof(gdt) - 1, (uint64_t)gdt};
    const uint64_t base = (uint64_t)&tss;

    tss.ist[EXCEPTION_IST - 1] = (uint64_t)exception_stack_top;
    tss.io_map_base = sizeof(tss);
    gdt[SEL_TSS / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (uint64_t)TSS_AVAILABLE << 40 |
                       (base >> 24 & 0xff) << 56;
    gdt[SEL_TSS / 8 + 1] = base >> 32;

    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%ds\n\t"
                     "movl %2, %%es\n\t"
                     "movl %2, %%ss\n\t"
                     "movl %3, %%fs\n\t"
                     "movl %3, %%gs\n\t"
                     "ltr %w4"
                     :
                     : "m"(pointer), "i"(TRAPLINE_SEL_CODE), "r"(TRAPLINE_SEL_DATA), "r"(0),
                       "r"(SEL_TSS)
                     : "rax", "memory");
}

void cpu_init_tables(void)
{
    const struct table_pointer pointer = {sizeof(idt) - 1, (uint64_t)idt};

    load_gdt();
    for (unsigned vector = 0; vector < EXCEPTIONS; vector++)
        set_gate(vector, exception_vectors[vector], EXCEPTION_IST);
    __asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
}

/* The part of XCR0 that this CPU shows and the runtime knows. */
static uint32_t usable_xcr0(void)
{
    const uint32_t shown = cpuid(CPUID_XSAVE, 0).eax;
    uint32_t mask = shown & (XCR0_X87 | XCR0_SSE | XCR0_AVX);

    if ((mask & XCR0_AVX) && (shown & XCR0_AVX512) == XCR0_AVX512)
        mask |= XCR0_AVX512;
    return mask;
}

void cpu_init_vectors(void)
{
    static const uint32_t mxcsr = 0x1f80; /* all exceptions masked, round to nearest */
    const bool xsave = cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_XSAVE;

    if (xsave) {
        write_cr4(read_cr4() | CR4_OSXSAVE);
        xsave_mask = usable_xcr0();
        write_xcr0(xsave_mask);
        xsave_size = cpuid(CPUID_XSAVE, 0).ebx;
    }
    __asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
}

void cpu_set_trap_gate(unsigned trap_flags)
{
    void (*entry)(void) = xsave_size ? trap_entry_xsave : trap_entry_fxsave;

    if (trap_flags & TRAP_LEAN)
        entry = trap_entry_lean;
    else if (trap_flags & TRAP_GENERAL_REGS)
        entry = trap_entry_general;
    set_gate(TRAPLINE_VECTOR_TRAP, (uint64_t)entry, 0);
}
