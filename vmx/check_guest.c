/* The guest-state area but for the segments: SDM volume 3, 26.3.1. */
#include "vmx/check_state.h"

#include "vmx/controls.h"
#include "vmx/exits.h"
#include "vmx/segments.h"
#include "vmx/x86.h"

enum {
    DTR_LIMIT_RESERVED = 0xffff0000u,
    INTERRUPTIBILITY_RESERVED = 0xffffffe0u,
    /* 63:22, 15, 5 and 3 */
    RFLAGS_RESERVED_LOW = 1u << 15 | 1u << 5 | 1u << 3,
    RFLAGS_RESERVED_SHIFT = 22,
    /* LBR, BTF, bus-lock detection, 6 to 12, freeze while SMM, RTM */
    DEBUGCTL_DEFINED = 0xdfc7,
    DEBUGCTL_BTF = 1u << 1,
    BNDCFGS_RESERVED = 0xffc,
    SSP_RESERVED = 3,
    PDPTE_PRESENT = 1,
    PDPTE_RESERVED = 0x1e6,
    PENDING_DEBUG_DEFINED = PENDING_DEBUG_BREAKPOINTS | PENDING_DEBUG_BUS_LOCK |
                            PENDING_DEBUG_ENABLED | PENDING_DEBUG_SINGLE_STEP | PENDING_DEBUG_RTM,
    LINK_POINTER_ALIGNMENT = 4096,
};

#define NO_LINK_POINTER UINT64_MAX

static bool ia32e(const struct vmx_check *c)
{
    return c->entry & VMX_ENTRY_IA32E_MODE_GUEST;
}

/* 26.3.1.1 */
static void check_control_registers(struct vmx_check *c)
{
    const struct vmx_caps *caps = c->input->caps;
    bool unrestricted = c->proc2 & VMX_PROC2_UNRESTRICTED_GUEST;
    uint64_t cr0 = vmx_check_read(c, VMCS_GUEST_CR0);
    uint64_t cr4 = vmx_check_read(c, VMCS_GUEST_CR4);

    uint64_t unchecked = CR0_NW | CR0_CD;
    uint64_t must = vmx_cr0_must_be_1(caps, unrestricted) & ~unchecked;
    uint64_t may = vmx_cr0_may_be_1(caps) | unchecked;
    vmx_check_require(c, (cr0 & must) == must && !(cr0 & ~may), VMCS_GUEST_CR0,
                      "a bit that VMX operation fixes is wrong");
    vmx_check_require(c, !(cr0 & CR0_PG) || (cr0 & CR0_PE), VMCS_GUEST_CR0,
                      "PG must be 0 while PE is 0");
    vmx_check_require(c, vmx_cr4_valid(caps, cr4), VMCS_GUEST_CR4,
                      "a bit that VMX operation fixes is wrong");
    vmx_check_require(c, !(cr4 & CR4_CET) || (cr0 & CR0_WP), VMCS_GUEST_CR4,
                      "CET must be 0 while CR0.WP is 0");
    if (ia32e(c)) {
        vmx_check_require(c, cr0 & CR0_PG, VMCS_GUEST_CR0, "PG must be 1 in IA-32e mode");
        vmx_check_require(c, cr4 & CR4_PAE, VMCS_GUEST_CR4, "PAE must be 1 in IA-32e mode");
    } else {
        vmx_check_require(c, !(cr4 & CR4_PCIDE), VMCS_GUEST_CR4,
                          "PCIDE must be 0 outside IA-32e mode");
    }
    vmx_check_require(c, vmx_check_is_physical(c, vmx_check_read(c, VMCS_GUEST_CR3)),
                      VMCS_GUEST_CR3, "must lie within the physical-address width");
}

static void check_debug_and_msrs(struct vmx_check *c)
{
    if (c->entry & VMX_ENTRY_LOAD_DEBUG_CONTROLS) {
        vmx_check_require(c,
                          !(vmx_check_read(c, VMCS_GUEST_DEBUGCTL) & ~(uint64_t)DEBUGCTL_DEFINED),
                          VMCS_GUEST_DEBUGCTL, "reserved bits must be 0");
        vmx_check_require(c, vmx_check_read(c, VMCS_GUEST_DR7) >> 32 == 0, VMCS_GUEST_DR7,
                          "bits 63:32 must be 0");
    }
    vmx_check_canonical(c, VMCS_GUEST_SYSENTER_ESP);
    vmx_check_canonical(c, VMCS_GUEST_SYSENTER_EIP);
    if (c->entry & VMX_ENTRY_LOAD_PAT) {
        vmx_check_pat(c, VMCS_GUEST_PAT);
    }
    if (c->entry & VMX_ENTRY_LOAD_EFER) {
        uint64_t efer = vmx_check_read(c, VMCS_GUEST_EFER);
        bool lma = efer & EFER_LMA;
        bool lme = efer & EFER_LME;
        vmx_check_require(c, !(efer & ~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)),
                          VMCS_GUEST_EFER, "reserved bits must be 0");
        vmx_check_require(c, lma == ia32e(c), VMCS_GUEST_EFER,
                          "LMA must equal \"IA-32e mode guest\"");
        vmx_check_require(c, !(vmx_check_read(c, VMCS_GUEST_CR0) & CR0_PG) || lma == lme,
                          VMCS_GUEST_EFER, "LME must equal LMA while CR0.PG is 1");
    }
    if (c->entry & VMX_ENTRY_LOAD_BNDCFGS) {
        vmx_check_require(c, !(vmx_check_read(c, VMCS_GUEST_BNDCFGS) & BNDCFGS_RESERVED),
                          VMCS_GUEST_BNDCFGS, "bits 11:2 must be 0");
        vmx_check_canonical(c, VMCS_GUEST_BNDCFGS);
    }
    if (c->entry & VMX_ENTRY_LOAD_CET) {
        vmx_check_s_cet(c, VMCS_GUEST_S_CET);
        vmx_check_require(c, !(vmx_check_read(c, VMCS_GUEST_SSP) & SSP_RESERVED), VMCS_GUEST_SSP,
                          "bits 1:0 must be 0");
        vmx_check_canonical(c, VMCS_GUEST_INTERRUPT_SSP_TABLE);
    }
    if (c->entry & VMX_ENTRY_LOAD_PKRS) {
        vmx_check_require(c, vmx_check_read(c, VMCS_GUEST_PKRS) >> 32 == 0, VMCS_GUEST_PKRS,
                          "bits 63:32 must be 0");
    }
}

/* 26.3.1.3 */
static void check_descriptor_tables(struct vmx_check *c)
{
    vmx_check_canonical(c, VMCS_GUEST_GDTR_BASE);
    vmx_check_canonical(c, VMCS_GUEST_IDTR_BASE);
    vmx_check_require(c, !(vmx_check_read(c, VMCS_GUEST_GDTR_LIMIT) & DTR_LIMIT_RESERVED),
                      VMCS_GUEST_GDTR_LIMIT, "bits 31:16 must be 0");
    vmx_check_require(c, !(vmx_check_read(c, VMCS_GUEST_IDTR_LIMIT) & DTR_LIMIT_RESERVED),
                      VMCS_GUEST_IDTR_LIMIT, "bits 31:16 must be 0");
}

/* 26.3.1.4 */
static void check_rip_and_rflags(struct vmx_check *c, const struct interruption *injected)
{
    bool long_mode = ia32e(c) && (vmx_check_read(c, VMCS_GUEST_CS_ACCESS_RIGHTS) & SEGMENT_LONG);
    uint64_t rip = vmx_check_read(c, VMCS_GUEST_RIP);
    uint64_t rflags = vmx_check_read(c, VMCS_GUEST_RFLAGS);

    if (long_mode) {
        vmx_check_canonical(c, VMCS_GUEST_RIP);
    } else {
        vmx_check_require(c, rip >> 32 == 0, VMCS_GUEST_RIP,
                          "bits 63:32 must be 0 outside 64-bit mode");
    }
    vmx_check_require(c, rflags >> RFLAGS_RESERVED_SHIFT == 0 && !(rflags & RFLAGS_RESERVED_LOW),
                      VMCS_GUEST_RFLAGS, "bits 63:22, 15, 5 and 3 must be 0");
    vmx_check_require(c, rflags & RFLAGS_FIXED, VMCS_GUEST_RFLAGS, "bit 1 must be 1");
    bool no_virtual_8086 = ia32e(c) || !(vmx_check_read(c, VMCS_GUEST_CR0) & CR0_PE);
    vmx_check_require(c, !(rflags & RFLAGS_VM) || !no_virtual_8086, VMCS_GUEST_RFLAGS,
                      "VM must be 0 in IA-32e mode and with CR0.PE 0");
    if (injected->valid && injected->type == EVENT_EXTERNAL_INTERRUPT) {
        vmx_check_require(c, rflags & RFLAGS_IF, VMCS_GUEST_RFLAGS,
                          "IF must be 1 to inject an external interrupt");
    }
}

static bool activity_takes(enum activity_state activity, const struct interruption *event)
{
    bool nmi = event->type == EVENT_NMI;
    bool exception = event->type == EVENT_HARDWARE_EXCEPTION;
    bool machine_check = exception && event->vector == VECTOR_MC;
    bool debug = exception && event->vector == VECTOR_DB;

    switch (activity) {
    case ACTIVITY_HLT:
        return event->type == EVENT_EXTERNAL_INTERRUPT || nmi || machine_check || debug ||
               event->type == EVENT_OTHER;
    case ACTIVITY_SHUTDOWN: return nmi || machine_check;
    case ACTIVITY_WAIT_FOR_SIPI: return false;
    default: return true;
    }
}

/* 26.3.1.5: the activity state. */
static void check_activity(struct vmx_check *c, const struct interruption *injected)
{
    uint64_t misc = c->input->caps->misc;
    uint64_t activity = vmx_check_read(c, VMCS_GUEST_ACTIVITY);
    bool supported = activity == ACTIVITY_ACTIVE ||
                     (activity == ACTIVITY_HLT && (misc & VMX_MISC_ACTIVITY_HLT)) ||
                     (activity == ACTIVITY_SHUTDOWN && (misc & VMX_MISC_ACTIVITY_SHUTDOWN)) ||
                     (activity == ACTIVITY_WAIT_FOR_SIPI && (misc & VMX_MISC_ACTIVITY_WAIT_SIPI));
    uint64_t ss = vmx_check_read(c, VMCS_GUEST_SS_ACCESS_RIGHTS);
    uint64_t blocking = vmx_check_read(c, VMCS_GUEST_INTERRUPTIBILITY);

    vmx_check_require(c, supported, VMCS_GUEST_ACTIVITY, "must be a supported activity state");
    vmx_check_require(c, activity != ACTIVITY_HLT || ((ss >> SEGMENT_DPL_SHIFT) & SEGMENT_DPL) == 0,
                      VMCS_GUEST_ACTIVITY, "must not be HLT while the DPL of SS is not 0");
    vmx_check_require(c,
                      activity == ACTIVITY_ACTIVE ||
                          !(blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)),
                      VMCS_GUEST_ACTIVITY, "must be active while STI or MOV SS blocks");
    vmx_check_require(c,
                      !injected->valid || activity_takes((enum activity_state)activity, injected),
                      VMCS_GUEST_ACTIVITY, "this state does not take the injected event");
}

/* 26.3.1.5: interruptibility. */
static void check_interruptibility(struct vmx_check *c, const struct interruption *injected)
{
    enum vmcs_field field = VMCS_GUEST_INTERRUPTIBILITY;
    uint64_t blocking = vmx_check_read(c, field);
    bool sti = blocking & INTERRUPTIBILITY_STI;
    bool mov_ss = blocking & INTERRUPTIBILITY_MOV_SS;
    bool interrupt = injected->valid && injected->type == EVENT_EXTERNAL_INTERRUPT;
    bool nmi = injected->valid && injected->type == EVENT_NMI;

    vmx_check_require(c, !(blocking & INTERRUPTIBILITY_RESERVED), field, "bits 31:5 must be 0");
    vmx_check_require(c, !(sti && mov_ss), field, "STI and MOV SS must not both block");
    vmx_check_require(c, !sti || (vmx_check_read(c, VMCS_GUEST_RFLAGS) & RFLAGS_IF), field,
                      "STI must not block while RFLAGS.IF is 0");
    vmx_check_require(c, !interrupt || (!sti && !mov_ss), field,
                      "nothing may block an injected external interrupt");
    vmx_check_require(c, !nmi || !mov_ss, field, "MOV SS must not block an injected NMI");
    vmx_check_require(c, !(blocking & INTERRUPTIBILITY_SMI), field,
                      "SMIs must not be blocked outside SMM");
    vmx_check_require(
        c, !nmi || !(c->pin & VMX_PIN_VIRTUAL_NMIS) || !(blocking & INTERRUPTIBILITY_NMI), field,
        "virtual NMIs must not be blocked while one is injected");
    vmx_check_require(c, !(blocking & INTERRUPTIBILITY_ENCLAVE) || !mov_ss, field,
                      "MOV SS must not block after an enclave interruption");
    vmx_check_require(
        c, !(blocking & INTERRUPTIBILITY_ENCLAVE) || (c->input->caps->leaf_7_ebx & CPUID_7_EBX_SGX),
        field, "enclave interruption needs SGX");
}

/* 26.3.1.5: pending debug exceptions. */
static void check_pending_debug(struct vmx_check *c)
{
    enum vmcs_field field = VMCS_GUEST_PENDING_DEBUG;
    uint64_t pending = vmx_check_read(c, field);
    uint64_t blocking = vmx_check_read(c, VMCS_GUEST_INTERRUPTIBILITY);
    bool single_step = pending & PENDING_DEBUG_SINGLE_STEP;

    vmx_check_require(c, !(pending & ~(uint64_t)PENDING_DEBUG_DEFINED), field,
                      "reserved bits must be 0");
    if ((blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) ||
        vmx_check_read(c, VMCS_GUEST_ACTIVITY) == ACTIVITY_HLT) {
        bool trap = (vmx_check_read(c, VMCS_GUEST_RFLAGS) & RFLAGS_TF) &&
                    !(vmx_check_read(c, VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF);
        vmx_check_require(c, single_step == trap, field,
                          "BS must be 1 exactly while TF is 1 and BTF is 0 (STI, MOV SS, HLT)");
    }
    if (pending & PENDING_DEBUG_RTM) {
        vmx_check_require(c, pending == (PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED), field,
                          "RTM goes with bit 12 alone");
        vmx_check_require(c, c->input->caps->leaf_7_ebx & CPUID_7_EBX_RTM, field,
                          "RTM must be 0 on a CPU without it");
        vmx_check_require(c, !(blocking & INTERRUPTIBILITY_MOV_SS), VMCS_GUEST_INTERRUPTIBILITY,
                          "MOV SS must not block while RTM is pending");
    }
}

/* 26.3.1.5 and 26.3.1.6 */
static void check_link_pointer_and_pdptes(struct vmx_check *c)
{
    static const enum vmcs_field pdptes[] = {
        VMCS_GUEST_PDPTE0,
        VMCS_GUEST_PDPTE1,
        VMCS_GUEST_PDPTE2,
        VMCS_GUEST_PDPTE3,
    };
    if (vmx_check_read(c, VMCS_LINK_POINTER) != NO_LINK_POINTER) {
        vmx_check_physical(c, VMCS_LINK_POINTER, LINK_POINTER_ALIGNMENT);
    }
    bool pae = !ia32e(c) && (vmx_check_read(c, VMCS_GUEST_CR0) & CR0_PG) &&
               (vmx_check_read(c, VMCS_GUEST_CR4) & CR4_PAE);
    if (!pae || !(c->proc2 & VMX_PROC2_ENABLE_EPT)) {
        return;
    }
    for (unsigned i = 0; i < sizeof pdptes / sizeof pdptes[0]; i++) {
        uint64_t pdpte = vmx_check_read(c, pdptes[i]);
        vmx_check_require(c,
                          !(pdpte & PDPTE_PRESENT) ||
                              (!(pdpte & PDPTE_RESERVED) && vmx_check_is_physical(c, pdpte)),
                          pdptes[i], "reserved bits of a present PDPTE must be 0");
    }
}

unsigned vmx_check_guest(const struct vmx_check_input *input, vmx_check_report *report,
                         void *report_ctx)
{
    struct vmx_check check;
    vmx_check_begin(&check, input, report, report_ctx);
    struct interruption injected =
        vmx_decode_interruption((uint32_t)vmx_check_read(&check, VMCS_ENTRY_INTERRUPTION_INFO));

    check_control_registers(&check);
    check_debug_and_msrs(&check);
    vmx_check_segments(&check);
    check_descriptor_tables(&check);
    check_rip_and_rflags(&check, &injected);
    check_activity(&check, &injected);
    check_interruptibility(&check, &injected);
    check_pending_debug(&check);
    check_link_pointer_and_pdptes(&check);
    return check.violations;
}
