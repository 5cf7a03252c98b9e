/* Paying what the translation caches are owed for a guest's EPT. */
#ifndef TRAPLINE_HV_FLUSH_H
#define TRAPLINE_HV_FLUSH_H

#include "ept/fast.h"
#include "hv/guest.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"

/*
 * Drop all translations that this CPU cached through the guest's EPT: INVEPT, single-context where
 * the CPU has it (SDM 28.3.3.4, and 30.3 INVEPT), and tell the EPT that its debt is paid. vcpu: the
 * one whose CPU this is; its guest has no vCPU elsewhere.
 */
static inline void flush_ept(struct vcpu *vcpu)
{
    invept(vmx_setup.invept_type, vcpu->eptp);
    vcpu->stats.flushes++;
    ept_fast_flushed(&vcpu->guest->ept);
}

/* End a call that changed the EPT: no vCPU may go on with what it cached of the old state. */
static inline int64_t flush_and_unlock(struct vcpu *vcpu, int64_t result)
{
    struct guest *guest = vcpu->guest;

    if (guest->ept.flush_owed)
        flush_ept(vcpu);
    spin_unlock(&guest->lock);
    return result;
}

#endif
