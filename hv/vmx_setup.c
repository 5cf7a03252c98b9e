#include "hv/vmx_setup.h"

#include "guest/include/trapline/abi.h"
#include "hv/apic.h"
#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/machine.h"
#include "hv/memory.h"
#include "hv/policy_cpuid.h"
#include "hv/policy_msr.h"
#include "vmx/controls.h"
#include "vmx/instructions.h"

enum {
    FXSAVE_BYTES = 512,
};

struct vmx_setup vmx_setup;

/* Forget the optional features that the configuration turns off, as if the CPU had never had them.
 */
static void apply_disable(struct vmx_caps *caps, uint32_t disable)
{
    if (disable & HANDOVER_NO_EPT_1G)
        caps->ept_vpid &= ~VMX_EPT_PAGE_1G;
    if (disable & HANDOVER_NO_EPT_2M)
        caps->ept_vpid &= ~VMX_EPT_PAGE_2M;
    if (disable & HANDOVER_NO_EPT_AD)
        caps->ept_vpid &= ~VMX_EPT_ACCESSED_DIRTY;
    if (disable & HANDOVER_NO_EPT_EXEC_ONLY)
        caps->ept_vpid &= ~VMX_EPT_EXEC_ONLY;
    if (disable & HANDOVER_NO_INVEPT_SINGLE)
        caps->ept_vpid &= ~VMX_EPT_INVEPT_SINGLE;
    if (disable & HANDOVER_NO_VE)
        caps->control[VMX_CONTROL_PROC2] &= ~((uint64_t)VMX_PROC2_EPT_VIOLATION_VE << 32);
    if (disable & HANDOVER_NO_PML)
        caps->control[VMX_CONTROL_PROC2] &= ~((uint64_t)VMX_PROC2_ENABLE_PML << 32);
    if (disable & HANDOVER_NO_VMFUNC)
        caps->vmfunc &= ~VMX_VMFUNC_EPTP_SWITCHING;
}

/* One control word, or the end of the machine with the name of what is missing. */
static uint32_t negotiate(enum vmx_control_field field, uint32_t required, uint32_t optional)
{
    struct vmx_control_request request = {.required = required, .optional = optional};
    struct vmx_control_result result;

    if (vmx_negotiate(field, &vmx_setup.caps, &request, &result) == 0)
        return result.value;
    for (unsigned bit = 0; bit < 32; bit++) {
        if (result.missing >> bit & 1)
            kprintf("trapline: cannot start: this CPU lacks the %s VM control '%s' (bit %u)\n",
                    vmx_control_field_name(field), vmx_control_name(field, bit), bit);
    }
    machine_stop(1);
}

static void negotiate_all(const struct handover *handover)
{
    struct vmx_setup *s = &vmx_setup;
    uint32_t optional_exit = VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT;
    uint32_t optional_proc2 = VMX_PROC2_ENABLE_RDTSCP | VMX_PROC2_ENABLE_INVPCID |
                              VMX_PROC2_WBINVD_EXITING | VMX_PROC2_ENABLE_XSAVES;

    if (!(handover->disable & HANDOVER_NO_PREEMPTION_TIMER_SAVE))
        optional_exit |= VMX_EXIT_SAVE_PREEMPTION_TIMER;
    if (handover->disable & HANDOVER_NO_XSAVES)
        optional_proc2 &= ~(uint32_t)VMX_PROC2_ENABLE_XSAVES;
    if (handover->disable & HANDOVER_NO_INVPCID)
        optional_proc2 &= ~(uint32_t)VMX_PROC2_ENABLE_INVPCID;
    if (vmx_caps_has_pml(&s->caps))
        optional_proc2 |= VMX_PROC2_ENABLE_PML;
    if (vmx_caps_has_eptp_switching(&s->caps))
        optional_proc2 |= VMX_PROC2_ENABLE_VM_FUNCTIONS;
    s->pin = negotiate(VMX_CONTROL_PIN,
                       VMX_PIN_EXTERNAL_INTERRUPT_EXITING | VMX_PIN_NMI_EXITING |
                           VMX_PIN_VIRTUAL_NMIS | VMX_PIN_PREEMPTION_TIMER,
                       0);
    s->proc = negotiate(VMX_CONTROL_PROC,
                        VMX_PROC_HLT_EXITING | VMX_PROC_IO_BITMAPS | VMX_PROC_MSR_BITMAPS |
                            VMX_PROC_RDPMC_EXITING | VMX_PROC_MWAIT_EXITING |
                            VMX_PROC_MONITOR_EXITING | VMX_PROC_CR8_LOAD_EXITING |
                            VMX_PROC_CR8_STORE_EXITING | VMX_PROC_SECONDARY_CONTROLS,
                        0);
    s->proc2 =
        negotiate(VMX_CONTROL_PROC2,
                  VMX_PROC2_ENABLE_EPT | VMX_PROC2_ENABLE_VPID | VMX_PROC2_UNRESTRICTED_GUEST,
                  optional_proc2);
    s->exit = negotiate(VMX_CONTROL_EXIT,
                        VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_ACKNOWLEDGE_INTERRUPT |
                            VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER | VMX_EXIT_SAVE_DEBUG_CONTROLS,
                        optional_exit);
    s->entry =
        negotiate(VMX_CONTROL_ENTRY,
                  VMX_ENTRY_IA32E_MODE_GUEST | VMX_ENTRY_LOAD_EFER | VMX_ENTRY_LOAD_DEBUG_CONTROLS,
                  VMX_ENTRY_LOAD_PAT);
    s->rdtscp = s->proc2 & VMX_PROC2_ENABLE_RDTSCP;
    s->invpcid = s->proc2 & VMX_PROC2_ENABLE_INVPCID;
    s->xsaves = s->proc2 & VMX_PROC2_ENABLE_XSAVES;
    s->pml = s->proc2 & VMX_PROC2_ENABLE_PML;
    s->timer_save = s->exit & VMX_EXIT_SAVE_PREEMPTION_TIMER;
    s->pat = (s->exit & VMX_EXIT_SAVE_PAT) && (s->exit & VMX_EXIT_LOAD_PAT) &&
             (s->entry & VMX_ENTRY_LOAD_PAT);
}

static struct cpuid_regs raw_cpuid(uint32_t leaf, uint32_t subleaf)
{
    return cpuid(leaf, subleaf);
}

/*
 * How interrupts reach guests: virtual-interrupt delivery only whole, with everything that spares
 * exits; the CPU's own interrupts only with x2APIC mode, since in the other its registers are
 * memory, and with a HLT that an NMI can interrupt and an entry go on with (SDM A.6).
 */
static void find_interrupts(struct vmx_setup *s, uint32_t disable)
{
    const struct vmx_caps *caps = &s->caps;
    const uint32_t cr8 = VMX_PROC_CR8_LOAD_EXITING | VMX_PROC_CR8_STORE_EXITING;
    const uint32_t pin_must = vmx_control_must_be_1(VMX_CONTROL_PIN, caps);
    const uint32_t proc_must = vmx_control_must_be_1(VMX_CONTROL_PROC, caps);

    s->tsc_deadline =
        (caps->leaf_1_ecx & CPUID_1_ECX_TSC_DEADLINE) && !(disable & HANDOVER_NO_TSC_DEADLINE);
    s->apicv = !(disable & HANDOVER_NO_APICV) && vmx_caps_has_tpr_shadow(caps) &&
               vmx_caps_has_virtual_x2apic(caps) && vmx_caps_has_apic_registers(caps) &&
               vmx_caps_has_virtual_interrupts(caps) && !(proc_must & cr8);
    s->direct = !(disable & HANDOVER_NO_DIRECT_INTERRUPTS) && apic_is_x2apic() &&
                vmx_caps_has_activity_hlt(caps) && !(proc_must & (cr8 | VMX_PROC_HLT_EXITING)) &&
                !(pin_must & VMX_PIN_EXTERNAL_INTERRUPT_EXITING);
}

/* The XSAVE components that host and policy have in common, and the area that holds them. */
static void find_xstate(struct vmx_setup *s)
{
    s->fpu_bytes = FXSAVE_BYTES;
    if (!vmx_caps_has_xsave(&s->caps))
        return;
    s->xcr0_max = policy_xcr0_max(raw_cpuid, s->pku);
    /* What all components of this CPU need, so more than enough. */
    s->fpu_bytes = cpuid(CPUID_LEAF_XSTATE, 0).ecx;
}

static uint64_t must_alloc(uint64_t bytes)
{
    uint64_t phys = memory_alloc(bytes, PAGE_SIZE);

    if (!phys)
        panic("no memory for the VMX bitmaps");
    return phys;
}

void vmx_setup_init(const struct handover *handover)
{
    struct vmx_setup *s = &vmx_setup;

    vmx_caps_read(&s->caps, &vmx_this_cpu);
    apply_disable(&s->caps, handover->disable);
    s->mitigations = vmx_mitigations_decide(&s->caps);
    negotiate_all(handover);
    find_interrupts(s, handover->disable);
    s->pku = (raw_cpuid(CPUID_LEAF_EXTENDED_FEATURES, 0).ecx & CPUID_7_ECX_PKU) &&
             !(handover->disable & HANDOVER_NO_PKU);
    s->pcid = !(handover->disable & HANDOVER_NO_PCID);
    find_xstate(s);
    s->tsc_hz = handover->tsc_hz;
    s->spoil_entry = handover->selftest == HANDOVER_SELFTEST_ENTRY;
    s->physical_bits = s->caps.physical_bits;
    s->timer_shift = vmx_caps_preemption_timer_shift(&s->caps);
    s->invept_type =
        vmx_caps_has_invept_single(&s->caps) ? INVEPT_SINGLE_CONTEXT : INVEPT_ALL_CONTEXTS;
    s->ept = (struct ept_features){
        .page_2m = vmx_caps_has_ept_2m(&s->caps),
        .page_1g = vmx_caps_has_ept_1g(&s->caps),
        .accessed_dirty = vmx_caps_has_ept_ad(&s->caps),
        .exec_only = vmx_caps_has_ept_exec_only(&s->caps),
        .nx_huge = s->mitigations.nx_huge || (handover->disable & HANDOVER_NX_HUGE),
        .ve = vmx_caps_has_proc2(&s->caps, VMX_PROC2_EPT_VIOLATION_VE) &&
              vmx_caps_has_ept_ad(&s->caps),
    };
    s->features = (s->ept.exec_only ? TRAPLINE_FEATURE_EXEC_ONLY : 0) |
                  (s->ept.accessed_dirty ? TRAPLINE_FEATURE_AD : 0) |
                  (s->ept.page_2m ? TRAPLINE_FEATURE_EPT_2M : 0) |
                  (s->ept.page_1g ? TRAPLINE_FEATURE_EPT_1G : 0) |
                  (s->pml ? TRAPLINE_FEATURE_PML : 0) | (s->ept.ve ? TRAPLINE_FEATURE_VE : 0) |
                  (s->apicv ? TRAPLINE_FEATURE_APICV : 0) |
                  (s->proc2 & VMX_PROC2_ENABLE_VM_FUNCTIONS ? TRAPLINE_FEATURE_VMFUNC : 0);
    s->cr4_allowed = policy_cr4_allowed(&(struct cpuid_policy){
        .xcr0_max = s->xcr0_max,
        .rdtscp = s->rdtscp,
        .invpcid = s->invpcid,
        .pku = s->pku,
        .pcid = s->pcid,
        .xsaves = s->xsaves,
        .pat = s->pat,
        .raw = raw_cpuid,
    });
    s->cr4_allowed &= vmx_cr4_may_be_1(&s->caps);
    s->msr_bitmap = must_alloc(PAGE_SIZE);
    policy_msr_bitmap(phys_to_virt(s->msr_bitmap), s->rdtscp, s->pat);
    s->msr_bitmap_apicv = must_alloc(PAGE_SIZE);
    policy_msr_bitmap(phys_to_virt(s->msr_bitmap_apicv), s->rdtscp, s->pat);
    policy_msr_bitmap_apicv(phys_to_virt(s->msr_bitmap_apicv));
    s->msr_bitmap_direct = must_alloc(PAGE_SIZE);
    policy_msr_bitmap(phys_to_virt(s->msr_bitmap_direct), s->rdtscp, s->pat);
    policy_msr_bitmap_direct(phys_to_virt(s->msr_bitmap_direct), s->tsc_deadline);
    /* The same page for both, since no port is passed through in either. */
    s->io_bitmap = must_alloc(PAGE_SIZE);
    policy_io_bitmap(phys_to_virt(s->io_bitmap));
}

/* IA32_FEATURE_CONTROL as SDM 23.7 wants it; firmware often forgets all but the first CPU. */
static const char *open_feature_control(void)
{
    uint64_t value = rdmsr(MSR_IA32_FEATURE_CONTROL);

    if (!(value & FEATURE_CONTROL_LOCK)) {
        value |= FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
        wrmsr(MSR_IA32_FEATURE_CONTROL, value);
    }
    return value & FEATURE_CONTROL_VMX ? NULL : "the firmware locked VMX off on this CPU";
}

const char *vmx_enable(void)
{
    const struct vmx_caps *caps = &vmx_setup.caps;
    struct cpu *cpu = this_cpu();
    const char *problem = open_feature_control();

    if (problem)
        return problem;
    if (!cpu->vmxon_region)
        cpu->vmxon_region = memory_alloc(vmx_caps_region_size(caps), PAGE_SIZE);
    if (!cpu->vmxon_region)
        return "no memory for the VMXON region";
    *(uint32_t *)phys_to_virt(cpu->vmxon_region) = vmx_caps_revision(caps);
    write_cr0(vmx_cr0_adjust(caps, read_cr0(), false));
    write_cr4(vmx_cr4_adjust(caps, read_cr4() | CR4_VMXE));
    if (vmxon(cpu->vmxon_region) != VMX_SUCCEED)
        return "VMXON failed";
    if (vmx_setup.xsaves)
        wrmsr(MSR_IA32_XSS, 0); /* no supervisor state is switched: see policy_msr.c */
    /* Nobody knows what was cached under our EPTPs and VPIDs before (SDM 28.3.3.4). */
    if (vmx_setup.mitigations.spec_ctrl)
        wrmsr(MSR_IA32_SPEC_CTRL, vmx_setup.mitigations.spec_ctrl);
    if (invept(INVEPT_ALL_CONTEXTS, 0) != VMX_SUCCEED)
        return "INVEPT failed";
    if (vmx_caps_has_invvpid_all(caps) && invvpid(INVVPID_ALL_CONTEXTS, 0, 0) != VMX_SUCCEED)
        return "INVVPID failed";
    return NULL;
}
