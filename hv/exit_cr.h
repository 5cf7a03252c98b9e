/* Guest accesses to control-register bits that the hypervisor owns. */
#ifndef TRAPLINE_HV_EXIT_CR_H
#define TRAPLINE_HV_EXIT_CR_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* The current vCPU's CR0 and CR4 as it reads them: its own bits, and the shadow for the others. */
uint64_t exit_cr0(void);
uint64_t exit_cr4(void);

/* Handle a control-register exit; true: the vCPU goes on. */
bool exit_cr_access(struct vcpu *vcpu);

#endif
