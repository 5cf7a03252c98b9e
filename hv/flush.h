/*
 * Paying what the translation caches are owed for a guest's EPT, on all CPUs that may hold any of
 * it, and the guest's lock, which is part of the protocol. docs/SHOOTDOWN.md has the argument.
 *
 * A vCPU whose VMCS is current on its CPU is `loaded`: it may be running in the guest. Who took a
 * right away raises the guest's flush_gen and sends one NMI to each other vCPU that is loaded. The
 * NMI's handler drops the translations itself and then stores the generation in seen_gen, be it
 * that the NMI ended the guest's run or came in root mode; so nothing has to be checked on the way
 * into the guest. A vCPU that is not loaded compares the generations when it is; one that waits for
 * the lock says so, is left alone, and compares when it has it.
 */
#ifndef TRAPLINE_HV_FLUSH_H
#define TRAPLINE_HV_FLUSH_H

#include "ept/fast.h"
#include "hv/guest.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"

/* Of the guest's vCPUs, those other than this one: drop their translations, too. */
void flush_others(struct vcpu *vcpu);

/*
 * Hypercall SHOOTDOWN: of the guest's vCPUs, those other than this one drop their translations. The
 * guest changed its own page tables and has executed INVLPG or MOV to CR3 itself; INVEPT drops all
 * combined mappings, of all PCIDs, and with EPT there are no others (SDM 28.3.1, 28.3.3.1).
 */
int64_t flush_call(struct vcpu *vcpu, struct vmx_regs *regs);

/*
 * Drop what this CPU has cached for the vCPU's guest, if anybody asked for it since the last time.
 * For the CPU on which the vCPU is current; NMI handlers do it, too. Writes to no VMCS.
 */
void flush_catch_up(struct vcpu *vcpu);

/* guest_lock() when somebody else has it. */
void flush_wait_for_lock(struct vcpu *vcpu);

/*
 * Drop what this CPU has cached for the vCPU's guest (SDM 28.3.3.4, and 30.3 INVEPT): one EPTP's,
 * or, once the guest had views, which have EPTPs of their own, all.
 */
static inline void flush_here(struct vcpu *vcpu)
{
    invept(vcpu->guest->flush_type, vcpu->eptp);
    vcpu->stats.flushes++;
}

/* flush_ept() where the guest is barred from the shortest way. */
void flush_barred(struct vcpu *vcpu);

/*
 * Drop all translations that CPUs cached through the guest's EPT, and tell the EPT that its debt is
 * paid. vcpu: the one that is loaded on this CPU and holds the guest's lock.
 */
static inline void flush_ept(struct vcpu *vcpu)
{
    if (__builtin_expect(vcpu->guest->leaf_barred != 0, 0))
        flush_barred(vcpu);
    else
        flush_here(vcpu);
    ept_fast_flushed(&vcpu->guest->ept);
}

/* Take the lock of the vCPU's guest, which guards its EPT and table pool. */
static inline void guest_lock(struct vcpu *vcpu)
{
    struct guest *guest = vcpu->guest;

    if (__builtin_expect(!spin_try_turn(&guest->lock), 0))
        flush_wait_for_lock(vcpu);
    guest->holder = vcpu;
}

static inline void guest_unlock(struct vcpu *vcpu)
{
    spin_unlock(&vcpu->guest->lock);
}

/*
 * The same from outside: for the lock of a guest of which no vCPU is current on this CPU, to change
 * its EPT on behalf of another guest. All of its vCPUs are to drop what they cached then.
 */
void guest_lock_outside(struct guest *guest);
void flush_and_unlock_outside(struct guest *guest);

/* Have all vCPUs of a guest drop their translations; with its lock, taken from outside. */
void flush_outside(struct guest *guest);

/* End a call that changed the EPT: no vCPU may go on with what it cached of the old state. */
static inline int64_t flush_and_unlock(struct vcpu *vcpu, int64_t result)
{
    if (vcpu->guest->ept.flush_owed)
        flush_ept(vcpu);
    guest_unlock(vcpu);
    return result;
}

#endif
