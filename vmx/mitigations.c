#include "vmx/mitigations.h"

#include "vmx/caps.h"
#include "vmx/entry.h"

/*
 * Microarchitectural data sampling and its kin. VERW overwrites the buffers where MD_CLEAR is
 * enumerated (Intel, "Microarchitectural Data Sampling"); or FB_CLEAR for the fill buffers alone
 * ("Processor MMIO Stale Data"); or RFDS_CLEAR for the register files ("Register File Data
 * Sampling").
 */
static bool needs_verw(const struct vmx_caps *caps)
{
    uint64_t arch = caps->arch_capabilities;
    bool md_clear = caps->leaf_7_edx & CPUID_7_EDX_MD_CLEAR;
    bool rtm = caps->leaf_7_ebx & CPUID_7_EBX_RTM;

    bool mds = !(arch & ARCH_CAPABILITIES_MDS_NO);
    /* "TSX Asynchronous Abort": only with RTM, and apart from MDS only where MDS_NO is set. */
    bool taa = rtm && !(arch & ARCH_CAPABILITIES_TAA_NO);
    if (md_clear && (mds || taa)) {
        return true;
    }

    uint64_t mmio_no =
        ARCH_CAPABILITIES_SBDR_SSDP_NO | ARCH_CAPABILITIES_FBSDP_NO | ARCH_CAPABILITIES_PSDP_NO;
    if ((arch & mmio_no) != mmio_no && (arch & ARCH_CAPABILITIES_FB_CLEAR)) {
        return true;
    }

    /* RFDS_CLEAR is set on affected CPUs alone. */
    return (arch & ARCH_CAPABILITIES_RFDS_CLEAR) && !(arch & ARCH_CAPABILITIES_RFDS_NO);
}

/*
 * L1 terminal fault (Intel, "Deep Dive: L1 Terminal Fault"): flush L1D before VM entry unless the
 * CPU is not affected (RDCL_NO) or says that the flush is not needed (SKIP_L1DFL_VMENTRY).
 */
static bool needs_l1d_flush(const struct vmx_caps *caps)
{
    uint64_t safe = ARCH_CAPABILITIES_RDCL_NO | ARCH_CAPABILITIES_SKIP_L1DFL_VMENTRY;
    return (caps->leaf_7_edx & CPUID_7_EDX_L1D_FLUSH) && !(caps->arch_capabilities & safe);
}

struct vmx_mitigations vmx_mitigations_decide(const struct vmx_caps *caps)
{
    uint64_t arch = caps->arch_capabilities;
    bool ibrs = caps->leaf_7_edx & CPUID_7_EDX_IBRS_IBPB;
    bool enhanced = ibrs && (arch & ARCH_CAPABILITIES_IBRS_ALL);
    struct vmx_mitigations mitigations = {
        .verw = needs_verw(caps),
        .l1d_flush = needs_l1d_flush(caps),
        /* Branch target injection (Intel, "Speculative Execution Side Channel Mitigations", 2.4.1)
         */
        .ibpb = ibrs,
        .legacy_ibrs = ibrs && !enhanced,
        .enhanced_ibrs = enhanced,
        /*
         * The same paper on the RSB. Enhanced IBRS keeps the guest's RSB entries out, but for a RET
         * without a CALL since the VM exit ("Post-barrier Return Stack Buffer Predictions"), which
         * the stub never executes. A CPU without any of this has predictors that nothing guards.
         */
        .rsb_fill = ibrs && !enhanced,
        /* iTLB multihit (Intel, "Machine Check Error Avoidance on Page Size Change") */
        .nx_huge = !(arch & ARCH_CAPABILITIES_PSCHANGE_MC_NO),
    };
    if (ibrs) {
        mitigations.spec_ctrl = SPEC_CTRL_IBRS;
        /* Intel, "Branch History Injection and Intra-mode Branch Target Injection" */
        if ((caps->leaf_7_2_edx & CPUID_7_2_EDX_BHI_CTRL) && !(arch & ARCH_CAPABILITIES_BHI_NO)) {
            mitigations.spec_ctrl |= SPEC_CTRL_BHI_DIS_S;
        }
    }
    return mitigations;
}

void vmx_mitigations_apply(const struct vmx_mitigations *mitigations, struct vmx_context *context,
                           uint16_t verw_selector)
{
    uint32_t entry = context->entry_flags & VMX_CONTEXT_LAUNCH;
    uint32_t exit = 0;

    if (mitigations->verw) {
        entry |= VMX_CONTEXT_VERW;
    }
    if (mitigations->l1d_flush) {
        entry |= VMX_CONTEXT_L1D_FLUSH;
    }
    if (mitigations->legacy_ibrs) {
        entry |= VMX_CONTEXT_GUEST_SPEC_CTRL;
        exit |= VMX_CONTEXT_HOST_SPEC_CTRL;
    }
    if (mitigations->rsb_fill) {
        exit |= VMX_CONTEXT_RSB_FILL;
    }
    context->entry_flags = entry;
    context->exit_flags = exit;
    context->spec_ctrl_guest = 0;
    context->spec_ctrl_host = mitigations->spec_ctrl;
    context->verw_selector = verw_selector;
}
