/* What the code that starts the other CPUs shares between C and assembly. */
#ifndef TRAPLINE_HV_SMP_H
#define TRAPLINE_HV_SMP_H

#include <stdatomic.h>
#include <stdint.h>

#include "hv/cpu.h"

/*
 * The code for the page below 1 MiB, from where a CPU starts in real mode to 64-bit mode. The words
 * between are to be filled in in the copy: addresses there, the page tables to load (below 4 GiB),
 * and where to go in the end.
 */
extern char trampoline_begin[], trampoline_end[];
extern char trampoline_gdt[], trampoline_gdt_base[];
extern char trampoline_code32[], trampoline_jump32[];
extern char trampoline_code64[], trampoline_jump64[];
extern char trampoline_cr3[], trampoline_entry[];
extern char trampoline_enable_xd[]; /* 1 = clear IA32_MISC_ENABLE's XD bit first */

/* Where the trampoline goes: takes the ticket, the stack of smp_cpu, and calls smp_main(). */
extern char smp_entry[];

/*
 * The APIC identifier of the one CPU that may come up now, or one of the values above 32 bits. A
 * CPU that finds another's number there came too late and halts.
 */
#define SMP_TICKET_NONE    (1ull << 32)
#define SMP_TICKET_CLAIMED (2ull << 32)
extern _Atomic(uint64_t) smp_ticket;

/* What the CPU with the ticket becomes. */
extern struct cpu *smp_cpu;

void smp_main(struct cpu *cpu);

#endif
