/* The host-state area, for a hypervisor in 64-bit mode: SDM volume 3, 26.2.2 to 26.2.4. */
#include "vmx/check_state.h"

#include "vmx/controls.h"
#include "vmx/x86.h"

enum {
    SELECTOR_RPL_TI = 7,
    SSP_RESERVED = 3,
};

static void check_host_selectors(struct vmx_check *c)
{
    static const enum vmcs_field selectors[] = {
        VMCS_HOST_CS_SELECTOR, VMCS_HOST_SS_SELECTOR, VMCS_HOST_DS_SELECTOR, VMCS_HOST_ES_SELECTOR,
        VMCS_HOST_FS_SELECTOR, VMCS_HOST_GS_SELECTOR, VMCS_HOST_TR_SELECTOR,
    };
    for (unsigned i = 0; i < sizeof selectors / sizeof selectors[0]; i++) {
        vmx_check_require(c, !(vmx_check_read(c, selectors[i]) & SELECTOR_RPL_TI), selectors[i],
                          "RPL and TI must be 0");
    }
    vmx_check_require(c, vmx_check_read(c, VMCS_HOST_CS_SELECTOR) != 0, VMCS_HOST_CS_SELECTOR,
                      "must not be 0");
    vmx_check_require(c, vmx_check_read(c, VMCS_HOST_TR_SELECTOR) != 0, VMCS_HOST_TR_SELECTOR,
                      "must not be 0");
}

static void check_host_msrs(struct vmx_check *c)
{
    vmx_check_canonical(c, VMCS_HOST_SYSENTER_ESP);
    vmx_check_canonical(c, VMCS_HOST_SYSENTER_EIP);
    if (c->exit & VMX_EXIT_LOAD_PAT) {
        vmx_check_pat(c, VMCS_HOST_PAT);
    }
    if (c->exit & VMX_EXIT_LOAD_EFER) {
        uint64_t efer = vmx_check_read(c, VMCS_HOST_EFER);
        vmx_check_require(c, !(efer & ~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)),
                          VMCS_HOST_EFER, "reserved bits must be 0");
        vmx_check_require(c, (efer & EFER_LMA) && (efer & EFER_LME), VMCS_HOST_EFER,
                          "LMA and LME must equal \"host address-space size\"");
    }
    if (c->exit & VMX_EXIT_LOAD_CET) {
        vmx_check_s_cet(c, VMCS_HOST_S_CET);
        vmx_check_require(c, !(vmx_check_read(c, VMCS_HOST_SSP) & SSP_RESERVED), VMCS_HOST_SSP,
                          "bits 1:0 must be 0");
        vmx_check_canonical(c, VMCS_HOST_SSP);
        vmx_check_canonical(c, VMCS_HOST_INTERRUPT_SSP_TABLE);
    }
    if (c->exit & VMX_EXIT_LOAD_PKRS) {
        vmx_check_require(c, vmx_check_read(c, VMCS_HOST_PKRS) >> 32 == 0, VMCS_HOST_PKRS,
                          "bits 63:32 must be 0");
    }
}

unsigned vmx_check_host(const struct vmx_check_input *input, vmx_check_report *report,
                        void *report_ctx)
{
    struct vmx_check check;
    struct vmx_check *c = &check;
    vmx_check_begin(c, input, report, report_ctx);

    uint64_t cr0 = vmx_check_read(c, VMCS_HOST_CR0);
    uint64_t cr4 = vmx_check_read(c, VMCS_HOST_CR4);
    vmx_check_require(c, vmx_cr0_valid(input->caps, cr0, false), VMCS_HOST_CR0,
                      "a bit that VMX operation fixes is wrong");
    vmx_check_require(c, vmx_cr4_valid(input->caps, cr4), VMCS_HOST_CR4,
                      "a bit that VMX operation fixes is wrong");
    vmx_check_require(c, !(cr4 & CR4_CET) || (cr0 & CR0_WP), VMCS_HOST_CR4,
                      "CET must be 0 while CR0.WP is 0");
    vmx_check_require(c, vmx_check_is_physical(c, vmx_check_read(c, VMCS_HOST_CR3)), VMCS_HOST_CR3,
                      "must lie within the physical-address width");
    check_host_msrs(c);
    check_host_selectors(c);

    static const enum vmcs_field bases[] = {
        VMCS_HOST_FS_BASE,   VMCS_HOST_GS_BASE,   VMCS_HOST_TR_BASE,
        VMCS_HOST_GDTR_BASE, VMCS_HOST_IDTR_BASE,
    };
    for (unsigned i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        vmx_check_canonical(c, bases[i]);
    }
    vmx_check_require(c, c->exit & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE, VMCS_EXIT_CONTROLS,
                      "\"host address-space size\" must be 1 for a host in 64-bit mode");
    vmx_check_require(c, cr4 & CR4_PAE, VMCS_HOST_CR4, "PAE must be 1");
    vmx_check_canonical(c, VMCS_HOST_RIP);
    return c->violations;
}
