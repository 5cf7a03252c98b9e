/*
 * What this CPU can do: the VMX capability MSRs and the CPUID bits beside them, read once and asked
 * by name afterwards. Nothing is ever concluded from a CPU's model.
 *
 * Sources: SDM volume 3, appendix A (capability MSRs), 23.7 and 23.8 (feature control, fixed bits);
 * volume 4 for IA32_ARCH_CAPABILITIES.
 */
#ifndef TRAPLINE_VMX_CAPS_H
#define TRAPLINE_VMX_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx/controls.h"
#include "vmx/cpuid.h"
#include "vmx/x86.h"

/* Where capabilities are read from: the CPU, or a test's record of one. */
struct vmx_cpu_reader {
    struct cpuid_regs (*cpuid)(void *ctx, uint32_t leaf, uint32_t subleaf);
    uint64_t (*rdmsr)(void *ctx, uint32_t msr);
    void *ctx;
};

/* The CPU that runs this. */
extern const struct vmx_cpu_reader vmx_this_cpu;

/* Raw values. An MSR or leaf that the CPU does not announce is 0 here and was not read. */
struct vmx_caps {
    /* CPUID */
    bool intel;
    uint32_t max_leaf;
    uint32_t max_extended_leaf;
    uint32_t signature; /* CPUID.1:EAX, for display */
    uint32_t leaf_1_ecx;
    uint32_t leaf_1_edx;
    uint32_t leaf_7_ebx;
    uint32_t leaf_7_ecx;
    uint32_t leaf_7_edx;
    uint32_t leaf_7_2_edx;
    uint32_t leaf_d_1_eax;
    uint32_t leaf_80000001_ecx;
    uint32_t leaf_80000001_edx;
    uint32_t leaf_80000007_edx;
    unsigned physical_bits; /* MAXPHYADDR */
    unsigned linear_bits;

    /* MSRs */
    uint64_t feature_control;
    uint64_t arch_capabilities;
    uint64_t basic;
    uint64_t misc;
    uint64_t cr0_fixed0, cr0_fixed1;
    uint64_t cr4_fixed0, cr4_fixed1;
    uint64_t vmcs_enum;
    uint64_t control[VMX_CONTROL_FIELDS];      /* low half: must be 1; high half: may be 1 */
    uint64_t true_control[VMX_CONTROL_FIELDS]; /* with BASIC[55]; VMX_CONTROL_PROC2 has none */
    uint64_t proc3;                            /* allowed 1s */
    uint64_t exit2;                            /* allowed 1s */
    uint64_t ept_vpid;
    uint64_t vmfunc;
};

/*
 * Read everything that the CPU announces. On a CPU without VMX, or not Intel's, only the CPUID part
 * is filled. Never reads an MSR that an earlier answer did not announce.
 */
void vmx_caps_read(struct vmx_caps *caps, const struct vmx_cpu_reader *reader);

/* IA32_VMX_BASIC (A.1) */
enum vmx_basic_bits {
    VMX_BASIC_REGION_SIZE_SHIFT = 32,
    VMX_BASIC_MEMORY_TYPE_SHIFT = 50,
};
#define VMX_BASIC_REVISION        0x7fffffffull
#define VMX_BASIC_REGION_SIZE     0x1fffull
#define VMX_BASIC_PHYSICAL_32_BIT (1ull << 48)
#define VMX_BASIC_DUAL_MONITOR    (1ull << 49)
#define VMX_BASIC_MEMORY_TYPE     0xfull
#define VMX_BASIC_IO_EXIT_INFO    (1ull << 54)
#define VMX_BASIC_TRUE_CONTROLS   (1ull << 55)
#define VMX_BASIC_ANY_ERROR_CODE  (1ull << 56)

/* IA32_VMX_MISC (A.6) */
#define VMX_MISC_TIMER_SHIFT        0x1full
#define VMX_MISC_SAVES_LMA          (1ull << 5)
#define VMX_MISC_ACTIVITY_HLT       (1ull << 6)
#define VMX_MISC_ACTIVITY_SHUTDOWN  (1ull << 7)
#define VMX_MISC_ACTIVITY_WAIT_SIPI (1ull << 8)
#define VMX_MISC_CR3_TARGETS        (0x1ffull << 16)
#define VMX_MISC_CR3_TARGETS_SHIFT  16
#define VMX_MISC_MAX_MSRS           (7ull << 25)
#define VMX_MISC_VMWRITE_ANY        (1ull << 29)
#define VMX_MISC_INJECT_LENGTH_0    (1ull << 30)

/* IA32_VMX_EPT_VPID_CAP (A.10) */
#define VMX_EPT_EXEC_ONLY              (1ull << 0)
#define VMX_EPT_WALK_4                 (1ull << 6)
#define VMX_EPT_WALK_5                 (1ull << 7)
#define VMX_EPT_MEMORY_UC              (1ull << 8)
#define VMX_EPT_MEMORY_WB              (1ull << 14)
#define VMX_EPT_PAGE_2M                (1ull << 16)
#define VMX_EPT_PAGE_1G                (1ull << 17)
#define VMX_EPT_INVEPT                 (1ull << 20)
#define VMX_EPT_ACCESSED_DIRTY         (1ull << 21)
#define VMX_EPT_ADVANCED_EXIT_INFO     (1ull << 22)
#define VMX_EPT_SUPERVISOR_SHADOW      (1ull << 23)
#define VMX_EPT_INVEPT_SINGLE          (1ull << 25)
#define VMX_EPT_INVEPT_ALL             (1ull << 26)
#define VMX_EPT_INVVPID                (1ull << 32)
#define VMX_EPT_INVVPID_ADDRESS        (1ull << 40)
#define VMX_EPT_INVVPID_SINGLE         (1ull << 41)
#define VMX_EPT_INVVPID_ALL            (1ull << 42)
#define VMX_EPT_INVVPID_RETAIN_GLOBALS (1ull << 43)

/* IA32_VMX_VMFUNC (A.11) and the VM-function controls */
#define VMX_VMFUNC_EPTP_SWITCHING (1ull << 0)

static inline bool vmx_caps_may(const struct vmx_caps *caps, enum vmx_control_field field,
                                uint32_t bits)
{
    return (vmx_control_may_be_1(field, caps) & bits) == bits;
}

static inline bool vmx_caps_has_vmx(const struct vmx_caps *caps)
{
    return caps->leaf_1_ecx & CPUID_1_ECX_VMX;
}

/* The VMCS revision identifier (bits 30:0) and the size in bytes of a VMXON or VMCS region. */
static inline uint32_t vmx_caps_revision(const struct vmx_caps *caps)
{
    return caps->basic & VMX_BASIC_REVISION;
}

static inline uint32_t vmx_caps_region_size(const struct vmx_caps *caps)
{
    return (caps->basic >> VMX_BASIC_REGION_SIZE_SHIFT) & VMX_BASIC_REGION_SIZE;
}

static inline bool vmx_caps_has_true_controls(const struct vmx_caps *caps)
{
    return caps->basic & VMX_BASIC_TRUE_CONTROLS;
}

static inline bool vmx_caps_has_proc2(const struct vmx_caps *caps, uint32_t bits)
{
    return vmx_caps_may(caps, VMX_CONTROL_PROC2, bits);
}

static inline bool vmx_caps_has_ept(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_ENABLE_EPT);
}

static inline bool vmx_caps_ept_bits(const struct vmx_caps *caps, uint64_t bits)
{
    return vmx_caps_has_ept(caps) && (caps->ept_vpid & bits) == bits;
}

static inline bool vmx_caps_has_ept_4level_wb(const struct vmx_caps *caps)
{
    return vmx_caps_ept_bits(caps, VMX_EPT_WALK_4 | VMX_EPT_MEMORY_WB);
}

static inline bool vmx_caps_has_ept_2m(const struct vmx_caps *caps)
{
    return vmx_caps_ept_bits(caps, VMX_EPT_PAGE_2M);
}

static inline bool vmx_caps_has_ept_1g(const struct vmx_caps *caps)
{
    return vmx_caps_ept_bits(caps, VMX_EPT_PAGE_1G);
}

static inline bool vmx_caps_has_ept_ad(const struct vmx_caps *caps)
{
    return vmx_caps_ept_bits(caps, VMX_EPT_ACCESSED_DIRTY);
}

static inline bool vmx_caps_has_ept_exec_only(const struct vmx_caps *caps)
{
    return vmx_caps_ept_bits(caps, VMX_EPT_EXEC_ONLY);
}

/* Exit qualification bits 9 to 12 of an EPT violation are meaningful. */
static inline bool vmx_caps_has_ept_advanced_info(const struct vmx_caps *caps)
{
    return vmx_caps_ept_bits(caps, VMX_EPT_ADVANCED_EXIT_INFO);
}

static inline bool vmx_caps_has_invept_single(const struct vmx_caps *caps)
{
    return vmx_caps_ept_bits(caps, VMX_EPT_INVEPT | VMX_EPT_INVEPT_SINGLE);
}

static inline bool vmx_caps_has_invept_all(const struct vmx_caps *caps)
{
    return vmx_caps_ept_bits(caps, VMX_EPT_INVEPT | VMX_EPT_INVEPT_ALL);
}

static inline bool vmx_caps_has_vpid(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_ENABLE_VPID);
}

static inline bool vmx_caps_vpid_bits(const struct vmx_caps *caps, uint64_t bits)
{
    return vmx_caps_has_vpid(caps) && (caps->ept_vpid & bits) == bits;
}

static inline bool vmx_caps_has_invvpid_address(const struct vmx_caps *caps)
{
    return vmx_caps_vpid_bits(caps, VMX_EPT_INVVPID | VMX_EPT_INVVPID_ADDRESS);
}

static inline bool vmx_caps_has_invvpid_single(const struct vmx_caps *caps)
{
    return vmx_caps_vpid_bits(caps, VMX_EPT_INVVPID | VMX_EPT_INVVPID_SINGLE);
}

static inline bool vmx_caps_has_invvpid_all(const struct vmx_caps *caps)
{
    return vmx_caps_vpid_bits(caps, VMX_EPT_INVVPID | VMX_EPT_INVVPID_ALL);
}

static inline bool vmx_caps_has_invvpid_retain_globals(const struct vmx_caps *caps)
{
    return vmx_caps_vpid_bits(caps, VMX_EPT_INVVPID | VMX_EPT_INVVPID_RETAIN_GLOBALS);
}

static inline bool vmx_caps_has_unrestricted_guest(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_UNRESTRICTED_GUEST);
}

static inline bool vmx_caps_has_pml(const struct vmx_caps *caps)
{
    return vmx_caps_has_ept_ad(caps) && vmx_caps_has_proc2(caps, VMX_PROC2_ENABLE_PML);
}

static inline bool vmx_caps_has_ve(const struct vmx_caps *caps)
{
    return vmx_caps_has_ept(caps) && vmx_caps_has_proc2(caps, VMX_PROC2_EPT_VIOLATION_VE);
}

static inline bool vmx_caps_has_eptp_switching(const struct vmx_caps *caps)
{
    return vmx_caps_has_ept(caps) && vmx_caps_has_proc2(caps, VMX_PROC2_ENABLE_VM_FUNCTIONS) &&
           (caps->vmfunc & VMX_VMFUNC_EPTP_SWITCHING);
}

static inline bool vmx_caps_has_spp(const struct vmx_caps *caps)
{
    return vmx_caps_has_ept(caps) && vmx_caps_has_proc2(caps, VMX_PROC2_SUB_PAGE_PERMISSIONS);
}

static inline bool vmx_caps_has_mode_based_execute(const struct vmx_caps *caps)
{
    return vmx_caps_has_ept(caps) && vmx_caps_has_proc2(caps, VMX_PROC2_MODE_BASED_EXECUTE);
}

static inline bool vmx_caps_has_tsc_scaling(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_TSC_SCALING);
}

static inline bool vmx_caps_has_preemption_timer(const struct vmx_caps *caps)
{
    return vmx_caps_may(caps, VMX_CONTROL_PIN, VMX_PIN_PREEMPTION_TIMER);
}

static inline bool vmx_caps_has_save_preemption_timer(const struct vmx_caps *caps)
{
    return vmx_caps_may(caps, VMX_CONTROL_EXIT, VMX_EXIT_SAVE_PREEMPTION_TIMER);
}

/* The preemption timer counts down by 1 each time bit number N of the TSC changes: N, 0 to 31. */
static inline unsigned vmx_caps_preemption_timer_shift(const struct vmx_caps *caps)
{
    return caps->misc & VMX_MISC_TIMER_SHIFT;
}

static inline bool vmx_caps_has_msr_bitmaps(const struct vmx_caps *caps)
{
    return vmx_caps_may(caps, VMX_CONTROL_PROC, VMX_PROC_MSR_BITMAPS);
}

static inline bool vmx_caps_has_tpr_shadow(const struct vmx_caps *caps)
{
    return vmx_caps_may(caps, VMX_CONTROL_PROC, VMX_PROC_TPR_SHADOW);
}

static inline bool vmx_caps_has_virtual_x2apic(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_VIRTUALIZE_X2APIC);
}

static inline bool vmx_caps_has_apic_registers(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_APIC_REGISTER_VIRTUALIZATION);
}

static inline bool vmx_caps_has_virtual_interrupts(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_VIRTUAL_INTERRUPT_DELIVERY);
}

static inline bool vmx_caps_has_posted_interrupts(const struct vmx_caps *caps)
{
    return vmx_caps_may(caps, VMX_CONTROL_PIN, VMX_PIN_POSTED_INTERRUPTS);
}

static inline bool vmx_caps_has_rdtscp_control(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_ENABLE_RDTSCP);
}

static inline bool vmx_caps_has_invpcid_control(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_ENABLE_INVPCID);
}

static inline bool vmx_caps_has_xsaves_control(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_ENABLE_XSAVES);
}

static inline bool vmx_caps_has_user_wait_control(const struct vmx_caps *caps)
{
    return vmx_caps_has_proc2(caps, VMX_PROC2_USER_WAIT_PAUSE);
}

static inline bool vmx_caps_has_activity_hlt(const struct vmx_caps *caps)
{
    return caps->misc & VMX_MISC_ACTIVITY_HLT;
}

static inline bool vmx_caps_has_x2apic(const struct vmx_caps *caps)
{
    return caps->leaf_1_ecx & CPUID_1_ECX_X2APIC;
}

static inline bool vmx_caps_has_invariant_tsc(const struct vmx_caps *caps)
{
    return caps->leaf_80000007_edx & CPUID_80000007_EDX_INVARIANT_TSC;
}

static inline bool vmx_caps_has_xsave(const struct vmx_caps *caps)
{
    return caps->leaf_1_ecx & CPUID_1_ECX_XSAVE;
}

/*
 * Bits that VMX operation fixes in CR0 and CR4 (A.7, A.8): those that must be 1, those that may be.
 * With unrestricted_guest (the control is 1 in the VMCS asked about), PE and PG may be 0 in a
 * guest's CR0 (26.3.1.1). For the host, and to enter VMX operation, pass false.
 */
uint64_t vmx_cr0_must_be_1(const struct vmx_caps *caps, bool unrestricted_guest);
uint64_t vmx_cr0_may_be_1(const struct vmx_caps *caps);
uint64_t vmx_cr4_must_be_1(const struct vmx_caps *caps);
uint64_t vmx_cr4_may_be_1(const struct vmx_caps *caps);

/* Is this value possible in VMX operation, as far as the fixed bits go (and PG without PE)? */
bool vmx_cr0_valid(const struct vmx_caps *caps, uint64_t value, bool unrestricted_guest);
bool vmx_cr4_valid(const struct vmx_caps *caps, uint64_t value);

/* The value with the fixed bits put right. */
uint64_t vmx_cr0_adjust(const struct vmx_caps *caps, uint64_t value, bool unrestricted_guest);
uint64_t vmx_cr4_adjust(const struct vmx_caps *caps, uint64_t value);

#endif
