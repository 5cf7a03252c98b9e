/* The IDT, which all vCPUs share, and the vector registers. */
#include "guest/runtime/cpu.h"

#include <trapline/vm.h>

#include "guest/runtime/runtime.h"

enum {
    EXCEPTIONS = 32,
    VECTOR_PF = 14,
    FIRST_INTERRUPT = EXCEPTIONS,
    INTERRUPTS = 256 - EXCEPTIONS,
    INTERRUPT_STUB_BYTES = 16,
    GATE_INTERRUPT = 0x8e,
};

struct gate {
    uint64_t low;  /* offset 15:0 and 31:16, selector, IST, type */
    uint64_t high; /* offset 63:32 */
};

/* vectors.asm */
extern const uint64_t exception_vectors[EXCEPTIONS];
extern const char interrupt_stubs[INTERRUPTS][INTERRUPT_STUB_BYTES];
void trap_entry_lean(void);
void trap_entry_general(void);
void trap_entry_fxsave(void);
void trap_entry_xsave(void);
void trap_entry_lean_filtered(void);
void trap_entry_general_filtered(void);
void trap_entry_fxsave_filtered(void);
void trap_entry_xsave_filtered(void);

/* page_fault.asm */
void page_fault_entry_lean(void);
void page_fault_entry_general(void);
void page_fault_entry_fxsave(void);
void page_fault_entry_xsave(void);
void page_fault_entry_lean_user(void);
void page_fault_entry_general_user(void);
void page_fault_entry_fxsave_user(void);
void page_fault_entry_xsave_user(void);

/* user.asm, and what it reads: where the gates lead from ring 0, or where user mode is not in use.
 */
void user_page_fault_gate(void);
void user_trap_gate(void);
extern uint64_t kernel_trap_entry, kernel_page_fault_entry, user_page_fault_entry;
extern uint32_t trap_saving_now;

uint64_t kernel_trap_entry, kernel_page_fault_entry, user_page_fault_entry;
uint32_t trap_saving_now; /* enum trap_saving */

/* Read by vectors.asm. */
extern uint64_t xsave_size;
extern uint32_t xsave_mask;

uint64_t xsave_size; /* bytes, 0 = no XSAVE */
uint32_t xsave_mask;

static struct gate idt[EXCEPTIONS + INTERRUPTS] __attribute__((aligned(16)));

/* Other vCPUs may use the gate: of two entries of one image only the low half differs. */
static void set_gate(unsigned vector, uint64_t entry, uint8_t ist)
{
    volatile struct gate *const gate = &idt[vector];

    gate->high = entry >> 32;
    gate->low = (entry & 0xffff) | (uint64_t)TRAPLINE_SEL_CODE << 16 | (uint64_t)ist << 32 |
                (uint64_t)GATE_INTERRUPT << 40 | (entry >> 16 & 0xffff) << 48;
}

void cpu_init_tables(void)
{
    const struct table_pointer pointer = {sizeof(idt) - 1, (uint64_t)idt};

    for (unsigned vector = 0; vector < EXCEPTIONS; vector++)
        set_gate(vector, exception_vectors[vector], EXCEPTION_IST);
    for (unsigned i = 0; i < INTERRUPTS; i++)
        set_gate(FIRST_INTERRUPT + i, (uint64_t)interrupt_stubs[i], 0);
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

void cpu_find_vectors(void)
{
    if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_XSAVE))
        return;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    xsave_mask = usable_xcr0();
    write_xcr0(xsave_mask);
    xsave_size = cpuid(CPUID_XSAVE, 0).ebx;
}

void cpu_init_vectors(void)
{
    static const uint32_t mxcsr = 0x1f80; /* all exceptions masked, round to nearest */

    if (xsave_size)
        write_xcr0(xsave_mask);
    __asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
}

static bool regions_fault; /* page faults may be those of regions */
static bool user_mode;     /* exceptions may come from ring 3 */

/*
 * The page faults of regions arrive on the stack of the access, as TRAP does: handlers nest. An
 * overflow of the stack is then a double fault, which has a stack of its own.
 */
static void set_gates(void)
{
    static void (*const entries[][2])(void) = {
        [TRAP_SAVES_LEAN] = {page_fault_entry_lean, page_fault_entry_lean_user},
        [TRAP_SAVES_GENERAL] = {page_fault_entry_general, page_fault_entry_general_user},
        [TRAP_SAVES_ALL] = {page_fault_entry_fxsave, page_fault_entry_fxsave_user},
    };
    const bool xsave = trap_saving_now == TRAP_SAVES_ALL && xsave_size;

    kernel_page_fault_entry =
        (uint64_t)(xsave ? page_fault_entry_xsave : entries[trap_saving_now][0]);
    user_page_fault_entry =
        (uint64_t)(xsave ? page_fault_entry_xsave_user : entries[trap_saving_now][1]);
    if (regions_fault)
        set_gate(VECTOR_PF, user_mode ? (uint64_t)user_page_fault_gate : kernel_page_fault_entry,
                 0);
    set_gate(TRAPLINE_VECTOR_TRAP, user_mode ? (uint64_t)user_trap_gate : kernel_trap_entry, 0);
}

void cpu_set_trap_gate(enum trap_saving saving, bool filtered)
{
    static void (*const entries[][2])(void) = {
        [TRAP_SAVES_LEAN] = {trap_entry_lean, trap_entry_lean_filtered},
        [TRAP_SAVES_GENERAL] = {trap_entry_general, trap_entry_general_filtered},
        [TRAP_SAVES_ALL] = {trap_entry_fxsave, trap_entry_fxsave_filtered},
    };
    void (*entry)(void) = entries[saving][filtered];

    if (saving == TRAP_SAVES_ALL && xsave_size)
        entry = filtered ? trap_entry_xsave_filtered : trap_entry_xsave;
    kernel_trap_entry = (uint64_t)entry;
    trap_saving_now = saving;
    set_gates();
}

void cpu_set_page_fault_gate(void)
{
    regions_fault = true;
    set_gates();
}

void cpu_set_user_gates(void)
{
    user_mode = true;
    set_gates();
}

static void borrow_gate(unsigned vector, void (*entry)(void))
{
    if (entry)
        set_gate(vector, (uint64_t)entry, 0);
    else
        set_gates();
}

void cpu_borrow_page_fault_gate(void (*entry)(void))
{
    borrow_gate(VECTOR_PF, entry);
}

void cpu_borrow_trap_gate(void (*entry)(void))
{
    borrow_gate(TRAPLINE_VECTOR_TRAP, entry);
}
