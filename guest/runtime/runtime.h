/* What the parts of the runtime have to do with one another; no interface for guest programs. */
#ifndef GUEST_RUNTIME_RUNTIME_H
#define GUEST_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include <trapline/abi.h>

/* From the linker script and start.asm. */
extern char image_start[], text_end[], rodata_end[], image_end[];
extern char stack_guard[], stack_bottom[], stack_top[];
extern char exception_stack_guard[], exception_stack_bottom[], exception_stack_top[];

/* The start structure, copied out of the boot area. */
extern struct trapline_info runtime_info;

/* What main() and exit() are wrapped in: called by start.asm on the runtime's stack. */
noreturn void runtime_start(const struct trapline_info *info);

/* Fill in and load the IDT; vcpu_enter() came before, an exception is reported from here on. */
void cpu_init_tables(void);

/* Find out which vector registers CPUID shows, and switch on XSAVE. */
void cpu_find_vectors(void);

/* Initialise this vCPU's x87 and SSE, and AVX where it is shown. */
void cpu_init_vectors(void);

/* What an entry for forbidden accesses saves around the handler. */
enum trap_saving {
    TRAP_SAVES_LEAN, /* nothing */
    TRAP_SAVES_GENERAL,
    TRAP_SAVES_ALL,
    TRAP_SAVINGS
};

/*
 * Point the IDT's gate for forbidden accesses at the entry that saves this much, and that,
 * filtered, first tries again accesses that another vCPU may have allowed by now.
 */
void cpu_set_trap_gate(enum trap_saving saving, bool filtered);

/* Find out about the local APIC; interrupts stay off. */
void interrupt_init(void);

/* What a report of the calling vCPU begins with: nothing for vCPU 0, else "vCPU N: ". */
const char *vcpu_label(void);

/* From now on page faults go to page_fault.asm, which tells those of regions from the others. */
void cpu_set_page_fault_gate(void);

/*
 * Page faults go to an entry of the image, on the stack of the access, until this is called with
 * NULL, which gives the gate back. cpu_set_page_fault_gate() came before, and trap() and its kin
 * are not called in between.
 */
void cpu_borrow_page_fault_gate(void (*entry)(void));

/* The same for forbidden accesses; the entry releases the vCPU's struct trapline_trap_area. */
void cpu_borrow_trap_gate(void (*entry)(void));

/* From now on exceptions and interrupts may come from ring 3. */
void cpu_set_user_gates(void);

/*
 * Build page tables in the pages from first_page on and load them: all of RAM and the alias window
 * one to one, but neither page 0 nor the stacks' guard pages. vcpu_place() came before. Returns the
 * first page left free.
 */
uint64_t paging_init(const struct trapline_info *info, uint64_t first_page);

/* Give the allocators all of RAM but page 0 and [image_start, first_free). */
void memory_init(const struct trapline_info *info, uint64_t first_free);

/* Report forbidden accesses until trap() is called. */
void trap_init(void);

/* Register the calling vCPU's trap area with the hypervisor. */
void trap_register(void);

#endif
