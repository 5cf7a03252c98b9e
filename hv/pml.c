#include "hv/pml.h"

#include "hv/exit.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/entry.h"
#include "vmx/exits.h"
#include "vmx/instructions.h"

enum {
    LOG_ENTRIES = 512,
    LOG_EMPTY = LOG_ENTRIES - 1, /* the index counts down; below 0 the log is full */
};

bool pml_guest_create(struct guest *guest)
{
    uint64_t pages = guest->ram_size >> PAGE_SHIFT;

    if (!vmx_setup.pml)
        return true;
    guest->log = memory_alloc(ept_log_bytes(pages), PAGE_SIZE);
    if (!guest->log)
        return false;
    ept_log_init(&guest->ept, phys_to_virt(guest->log), pages);
    return true;
}

void pml_guest_release(struct guest *guest)
{
    if (guest->log)
        memory_free(guest->log, ept_log_bytes(guest->ram_size >> PAGE_SHIFT));
    guest->log = 0;
}

bool pml_create(struct vcpu *vcpu)
{
    if (!vmx_setup.pml)
        return true;
    vcpu->log = memory_alloc(PAGE_SIZE, PAGE_SIZE);
    return vcpu->log != 0;
}

void pml_release(struct vcpu *vcpu)
{
    if (vcpu->log)
        memory_free(vcpu->log, PAGE_SIZE);
    vcpu->log = 0;
}

void pml_init_vmcs(const struct vcpu *vcpu)
{
    if (!vcpu->log)
        return;
    vmwrite(VMCS_PML_ADDRESS, vcpu->log);
    vmwrite(VMCS_PML_INDEX, LOG_EMPTY);
}

/* Move what the current vCPU's CPU has logged to the guest's log. */
static void drain(struct vcpu *vcpu)
{
    uint64_t *entries = phys_to_virt(vcpu->log);
    unsigned first = (uint16_t)(vmread(VMCS_PML_INDEX) + 1); /* 0 when the log is full */

    if (first == LOG_ENTRIES)
        return;
    ept_log_add(&vcpu->guest->ept, entries + first, LOG_ENTRIES - first);
    vmwrite(VMCS_PML_INDEX, LOG_EMPTY);
}

bool pml_collect(struct vcpu *vcpu)
{
    struct guest *guest = vcpu->guest;

    if (!vcpu->log)
        return false;
    drain(vcpu);
    if (guest->vcpus_started == 1)
        return true;
    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        if (guest->vcpus[i] != vcpu && atomic_load(&guest->vcpus[i]->loaded))
            return false;
    }
    return true;
}

void pml_unload(struct vcpu *vcpu)
{
    if (!vcpu->log || vmread(VMCS_PML_INDEX) == LOG_EMPTY)
        return;
    guest_lock(vcpu);
    drain(vcpu);
    guest_unlock(vcpu);
}

uintptr_t pml_fast_full(struct vcpu *vcpu)
{
    if ((vmread(VMCS_EXIT_QUALIFICATION) & EPT_VIOLATION_NMI_UNBLOCKING) ||
        (vmread(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID))
        return (uintptr_t)&vcpu->context | VMX_EXIT_SLOW;
    guest_lock(vcpu);
    drain(vcpu);
    guest_unlock(vcpu);
    vcpu->stats.exits[EXIT_REASON_PML_FULL]++;
    return (uintptr_t)&vcpu->context;
}

bool pml_full(struct vcpu *vcpu)
{
    /* IRET had unblocked NMIs before it met the page (SDM 27.2.3). */
    if ((vmread(VMCS_EXIT_QUALIFICATION) & EPT_VIOLATION_NMI_UNBLOCKING) &&
        !(vmread(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID))
        vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
                vmread(VMCS_GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
    guest_lock(vcpu);
    drain(vcpu);
    guest_unlock(vcpu);
    exit_redeliver();
    return true;
}
