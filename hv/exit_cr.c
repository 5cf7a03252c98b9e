#include "hv/exit_cr.h"

#include "hv/exit.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/controls.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

enum {
    TPR_MAX = 15,           /* CR8 has four bits */
    RIGHTS_LONG = 1u << 13, /* CS.L in the access rights */
    PDPTES = 4,
    PDPTE_PRESENT = 1u << 0,
    CR0_LMSW_BITS = CR0_PE | CR0_MP | CR0_EM | CR0_TS,
};

#define CR0_DEFINED                                                                                \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |     \
     CR0_PG)
#define PDPTE_RESERVED 0x1e6ull /* bits 1, 2 and 8:5 (SDM table 4-8) */
#define PAE_CR3_MASK   0xffffffe0ull

uint64_t exit_cr0(void)
{
    uint64_t mask = vmread(VMCS_CR0_MASK);

    return (vmread(VMCS_GUEST_CR0) & ~mask) | (vmread(VMCS_CR0_READ_SHADOW) & mask);
}

uint64_t exit_cr4(void)
{
    uint64_t mask = vmread(VMCS_CR4_MASK);

    return (vmread(VMCS_GUEST_CR4) & ~mask) | (vmread(VMCS_CR4_READ_SHADOW) & mask);
}

/* With PAE paging the CPU takes the four PDPTEs from the VMCS (SDM 26.3.2.4); load them as MOV CR
 * does. */
static bool load_pdptes(struct vcpu *vcpu)
{
    uint64_t table = vmread(VMCS_GUEST_CR3) & PAE_CR3_MASK;
    uint64_t reserved = PDPTE_RESERVED | ~((1ull << vmx_setup.physical_bits) - 1);
    uint64_t pdptes[PDPTES];

    if (!guest_in_ram(vcpu->guest, table, sizeof(pdptes)))
        return false;
    guest_read(vcpu->guest, table, pdptes, sizeof(pdptes));
    for (unsigned i = 0; i < PDPTES; i++) {
        if ((pdptes[i] & PDPTE_PRESENT) && (pdptes[i] & reserved))
            return false;
    }
    vmwrite(VMCS_GUEST_PDPTE0, pdptes[0]);
    vmwrite(VMCS_GUEST_PDPTE1, pdptes[1]);
    vmwrite(VMCS_GUEST_PDPTE2, pdptes[2]);
    vmwrite(VMCS_GUEST_PDPTE3, pdptes[3]);
    return true;
}

/* Enter or leave long mode with paging: EFER.LMA and the entry control follow CR0.PG (SDM 9.8.5).
 */
static void set_long_mode(bool on)
{
    uint64_t efer = vmread(VMCS_GUEST_EFER);
    uint64_t entry = vmread(VMCS_ENTRY_CONTROLS);

    vmwrite(VMCS_GUEST_EFER, on ? efer | EFER_LMA : efer & ~(uint64_t)EFER_LMA);
    vmwrite(VMCS_ENTRY_CONTROLS, on ? entry | VMX_ENTRY_IA32E_MODE_GUEST
                                    : entry & ~(uint64_t)VMX_ENTRY_IA32E_MODE_GUEST);
}

/* Whether MOV to CR0 would take this value (SDM 2.5 and volume 2, MOV to control registers). */
static bool cr0_allowed(uint64_t value, uint64_t old)
{
    bool cs_long = vmread(VMCS_GUEST_CS_ACCESS_RIGHTS) & RIGHTS_LONG;
    uint64_t cr4 = exit_cr4();

    if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
        ((value & CR0_NW) && !(value & CR0_CD)))
        return false;
    if ((value & CR0_PG) && !(old & CR0_PG) && (vmread(VMCS_GUEST_EFER) & EFER_LME))
        return (cr4 & CR4_PAE) && !cs_long;
    if (!(value & CR0_PG) && (old & CR0_PG))
        return !cs_long && !(cr4 & CR4_PCIDE);
    return true;
}

static bool write_guest_cr0(struct vcpu *vcpu, uint64_t value)
{
    uint64_t old = exit_cr0();
    bool lme = vmread(VMCS_GUEST_EFER) & EFER_LME;

    value = (value & (CR0_DEFINED | ~0xffffffffull)) | CR0_ET;
    if (!cr0_allowed(value, old))
        return false;
    /* These changes reload them (SDM 4.4.1). */
    if (((value ^ old) & (CR0_PG | CR0_CD | CR0_NW)) && (value & CR0_PG) && !lme &&
        (exit_cr4() & CR4_PAE) && !load_pdptes(vcpu))
        return false;
    if ((value ^ old) & CR0_PG && lme)
        set_long_mode(value & CR0_PG);
    vmwrite(VMCS_CR0_READ_SHADOW, value);
    /* Caching stays on: CD and NW exist only in the shadow. */
    vmwrite(VMCS_GUEST_CR0,
            vmx_cr0_adjust(&vmx_setup.caps, value & ~(uint64_t)(CR0_CD | CR0_NW), true));
    if ((value ^ old) & (CR0_PG | CR0_WP | CR0_PE))
        vcpu_flush_linear(vcpu);
    return true;
}

static uint64_t read_register(struct vcpu *vcpu, unsigned reg)
{
    return reg == VMX_REG_RSP ? vmread(VMCS_GUEST_RSP) : *vmx_reg(&vcpu->context.regs, reg);
}

static void write_register(struct vcpu *vcpu, unsigned reg, uint64_t value)
{
    if (reg == VMX_REG_RSP)
        vmwrite(VMCS_GUEST_RSP, value);
    else
        *vmx_reg(&vcpu->context.regs, reg) = value;
}

/*
 * Of CR4 the guest owns every bit that it may set, and the others read as 0: a MOV to CR4 exits
 * only to set one of those, and is refused like everything that is not listed here.
 */
bool exit_cr_access(struct vcpu *vcpu)
{
    struct cr_access access = vmx_decode_cr_access(vmread(VMCS_EXIT_QUALIFICATION));
    uint64_t value = 0;
    bool done = false;

    if (access.type == CR_ACCESS_MOV_TO)
        value = read_register(vcpu, access.reg);
    if (!(vmread(VMCS_GUEST_CS_ACCESS_RIGHTS) & RIGHTS_LONG))
        value = (uint32_t)value; /* outside 64-bit mode the operand has 32 bits */
    if (access.type == CR_ACCESS_LMSW) {
        /* LMSW cannot clear PE (volume 2, LMSW). */
        value = (exit_cr0() & ~(uint64_t)(CR0_LMSW_BITS & ~CR0_PE)) |
                (access.lmsw_source & CR0_LMSW_BITS);
        done = write_guest_cr0(vcpu, value);
    } else if (access.type == CR_ACCESS_MOV_TO && access.cr == 0) {
        done = write_guest_cr0(vcpu, value);
    } else if (access.type == CR_ACCESS_MOV_TO && access.cr == 8) {
        done = value <= TPR_MAX;
        if (done)
            interrupt_write_cr8(vcpu, (unsigned)value);
    } else if (access.type == CR_ACCESS_MOV_FROM && access.cr == 8) {
        write_register(vcpu, access.reg, interrupt_read_cr8(vcpu));
        done = true;
    }
    if (!done)
        return exit_deny(vcpu, DENIAL_CR, "this value for a control register:", value);
    vcpu_skip_instruction();
    return true;
}
