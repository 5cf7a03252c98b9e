/* The steps of bringing a CPU up that the bootstrap processor and the others share. */
#ifndef TRAPLINE_HV_CPU_SETUP_H
#define TRAPLINE_HV_CPU_SETUP_H

#include <stdbool.h>

#include "hv/cpu.h"

/* Fill in a CPU's descriptor table and task state, and give it stacks; false = no memory. */
bool cpu_prepare(struct cpu *cpu);

/* Load the running CPU's descriptor tables, task register and GS base. */
void cpu_load_tables(struct cpu *cpu);

/* The rest, on the CPU itself: page tables, control registers, machine checks, local APIC. */
void cpu_enable(void);

#endif
