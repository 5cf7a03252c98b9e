/* Everything about a vCPU that stopped, for the person at the console. */
#ifndef TRAPLINE_HV_DUMP_H
#define TRAPLINE_HV_DUMP_H

struct vcpu;

/*
 * Print the exit, the registers, segments and control registers of the vCPU whose VMCS is current,
 * and the walks of the guest's page tables and of the EPT for the address at fault.
 */
void dump_vcpu(const struct vcpu *vcpu);

#endif
