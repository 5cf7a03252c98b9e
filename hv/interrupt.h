/*
 * How interrupts reach a vCPU. Its virtual APIC (vapic.h) is served in one of three ways:
 *
 *   injected  by software: exits for the APIC's registers, injection at VM entry;
 *   APICv     by the CPU: virtual-interrupt delivery on the virtual-APIC page (SDM chapter 29);
 *   direct    the CPU's own APIC is the vCPU's, see direct.h.
 *
 * What is pending is looked at on the slow tier of exits, just before the guest is entered again.
 * Who raises an interrupt from elsewhere posts it and then brings the vCPU there: an NMI if it is
 * running, a wake-up if it is in HLT. An NMI that comes in root mode, behind that look, has the
 * next entry exit at once.
 */
#ifndef TRAPLINE_HV_INTERRUPT_H
#define TRAPLINE_HV_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

struct guest;
struct vcpu;

enum interrupt_path {
    INTERRUPT_INJECTED,
    INTERRUPT_APICV,
    INTERRUPT_DIRECT,
};

/* Give a vCPU that was just made its APIC, and take it back. False: no memory. */
bool interrupt_create(struct vcpu *vcpu);
void interrupt_release(struct vcpu *vcpu);

/*
 * Choose the way for a guest whose vCPUs are placed and have not run. Returns NULL, or why what its
 * configuration asks for cannot be.
 */
const char *interrupt_choose(struct guest *guest);

/* Write the controls that depend on the way; for a new VMCS, which is current. */
void interrupt_init_controls(struct vcpu *vcpu);

/*
 * The vCPU has become current on its CPU: give it what it needs there; and take it away again, for
 * good, before its CPU does anything else.
 */
void interrupt_load(struct vcpu *vcpu);
void interrupt_unload(struct vcpu *vcpu);

/* Before the current vCPU is entered from the slow tier: let its timer fire, deliver, arm timers.
 */
void interrupt_prepare(struct vcpu *vcpu);

/* An NMI has come in root mode: do not miss what it may have been sent for. */
void interrupt_nmi(struct vcpu *vcpu);

/*
 * Raise an interrupt, edge-triggered, from any CPU. vector: 16 to 255. An IPI that it takes is
 * counted for the vCPU that is current on this CPU.
 */
void vapic_raise(struct vcpu *vcpu, unsigned vector);

/* Whether this MSR is the APIC's; and reading or writing it. False: #GP. */
bool interrupt_has_msr(uint32_t msr);
bool interrupt_read_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool interrupt_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/*
 * The CPU wrote the register at this offset of the virtual-APIC page for the guest and did no more:
 * the self-IPI, whose vector it does not take (SDM 29.1.5).
 */
void interrupt_finish_write(struct vcpu *vcpu, unsigned offset);

/* HLT by the current vCPU. True: it goes on; false: it sleeps or is stopped. */
bool interrupt_halt(struct vcpu *vcpu);

/* Whether a vCPU that sleeps in HLT has an interrupt now. On its CPU. */
bool interrupt_ends_halt(struct vcpu *vcpu, uint64_t now);

/* The preemption timer has fired: whether for the vCPU's APIC alone, so that its turn goes on. */
bool interrupt_is_timer(const struct vcpu *vcpu);

/*
 * The end of a slice of a vCPU that may be in HLT without an exit. False: nothing can wake it, and
 * it was stopped.
 */
bool interrupt_check_halt(struct vcpu *vcpu);

/* The window that was asked for is open: interrupt_prepare() has what to do. */
void interrupt_window(struct vcpu *vcpu);

/* CR8, where it exits. value: 0 to 15. */
unsigned interrupt_read_cr8(const struct vcpu *vcpu);
void interrupt_write_cr8(struct vcpu *vcpu, unsigned value);

/*
 * The delivery of this external interrupt met an obstacle that comes first: it is pending again. On
 * the vCPU's CPU, at the exit.
 */
void interrupt_put_back(struct vcpu *vcpu, unsigned vector);

#endif
