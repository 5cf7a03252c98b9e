/*
 * Which speculation barriers this CPU needs between the hypervisor and its guests, as its own
 * enumeration says (CPUID.7 EDX and IA32_ARCH_CAPABILITIES), never by model.
 *
 * A CPU that does not enumerate a "not affected" bit counts as affected; a barrier is used only
 * where the CPU has it.
 */
#ifndef TRAPLINE_VMX_MITIGATIONS_H
#define TRAPLINE_VMX_MITIGATIONS_H

#include <stdbool.h>
#include <stdint.h>

struct vmx_caps;
struct vmx_context;

struct vmx_mitigations {
    bool verw;          /* VERW before VM entry */
    bool l1d_flush;     /* write IA32_FLUSH_CMD before VM entry */
    bool ibpb;          /* write IA32_PRED_CMD when another guest is about to run on this CPU */
    bool legacy_ibrs;   /* IBRS = 1 after each VM exit, the guest's value before entry */
    bool enhanced_ibrs; /* IBRS = 1 once, for good */
    bool rsb_fill;      /* overwrite the return stack buffer after a VM exit */
    bool nx_huge;       /* 2 MiB and 1 GiB EPT pages must not be executable */
    uint32_t
        spec_ctrl; /* IA32_SPEC_CTRL in root mode, to be written once on each CPU; 0 = leave it */
};

/* Decide. Pure. */
struct vmx_mitigations vmx_mitigations_decide(const struct vmx_caps *caps);

/*
 * Put what concerns each entry and exit into a context. verw_selector: a writable data segment of
 * the hypervisor's GDT. Before VMCS_HOST_RIP is written, since that depends on it.
 */
void vmx_mitigations_apply(const struct vmx_mitigations *mitigations, struct vmx_context *context,
                           uint16_t verw_selector);

#endif
