/*
 * A vCPU that has its CPU's own local APIC: its timer, self-IPI, EOI and interrupts take no exit.
 *
 * It is the only vCPU of that CPU, in x2APIC mode. What reaches beyond the CPU exits and is
 * checked: ICR, identifiers, the mode. The hypervisor keeps what it needs on such a CPU: NMIs,
 * which nothing in the APIC holds back, and the preemption timer. Its own interrupts are not sent
 * there.
 */
#ifndef TRAPLINE_HV_DIRECT_H
#define TRAPLINE_HV_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* The vCPU takes this CPU's APIC over, empty but for what was posted; nothing if it has it. */
void direct_attach(struct vcpu *vcpu);

/* It leaves: no interrupt of its own or for it comes from here on. */
void direct_detach(struct vcpu *vcpu);

/* Send it the interrupts that are posted, if it has its APIC. True: an IPI to another CPU. */
bool direct_send_posted(struct vcpu *vcpu);

/* Registers that exit and are not those of the virtual APIC. False: #GP. */
bool direct_write_spurious(struct vcpu *vcpu, uint64_t value);
bool direct_write_errors(struct vcpu *vcpu, uint64_t value);

/* End the interrupt whose delivery failed, and have it come again. */
void direct_put_back(unsigned vector);

#endif
