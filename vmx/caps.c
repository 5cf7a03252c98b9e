#include "vmx/caps.h"

enum {
    PHYSICAL_BITS_PAE = 36, /* without CPUID.80000008H (volume 3, 4.1.4) */
    PHYSICAL_BITS_LEGACY = 32,
    LINEAR_BITS_LONG_MODE = 48,
    LINEAR_BITS_LEGACY = 32,
};

static struct cpuid_regs read_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
    (void)ctx;
    return cpuid(leaf, subleaf);
}

static uint64_t read_msr(void *ctx, uint32_t msr)
{
    (void)ctx;
    return rdmsr(msr);
}

const struct vmx_cpu_reader vmx_this_cpu = {read_cpuid, read_msr, 0};

static void read_extended_leaves(struct vmx_caps *caps, const struct vmx_cpu_reader *reader)
{
    caps->max_extended_leaf = reader->cpuid(reader->ctx, CPUID_LEAF_EXTENDED, 0).eax;
    if (caps->max_extended_leaf < CPUID_LEAF_EXTENDED) {
        caps->max_extended_leaf = 0;
    }
    if (caps->max_extended_leaf >= CPUID_LEAF_EXTENDED_1) {
        struct cpuid_regs r = reader->cpuid(reader->ctx, CPUID_LEAF_EXTENDED_1, 0);
        caps->leaf_80000001_ecx = r.ecx;
        caps->leaf_80000001_edx = r.edx;
    }
    if (caps->max_extended_leaf >= CPUID_LEAF_EXTENDED_7) {
        caps->leaf_80000007_edx = reader->cpuid(reader->ctx, CPUID_LEAF_EXTENDED_7, 0).edx;
    }
    if (caps->max_extended_leaf >= CPUID_LEAF_ADDRESS_SIZES) {
        uint32_t sizes = reader->cpuid(reader->ctx, CPUID_LEAF_ADDRESS_SIZES, 0).eax;
        caps->physical_bits = sizes & 0xff;
        caps->linear_bits = (sizes >> 8) & 0xff;
    } else {
        bool pae = caps->leaf_1_edx & CPUID_1_EDX_PAE;
        bool long_mode = caps->leaf_80000001_edx & CPUID_80000001_EDX_LONG_MODE;
        caps->physical_bits = pae ? PHYSICAL_BITS_PAE : PHYSICAL_BITS_LEGACY;
        caps->linear_bits = long_mode ? LINEAR_BITS_LONG_MODE : LINEAR_BITS_LEGACY;
    }
}

static void read_cpuid_leaves(struct vmx_caps *caps, const struct vmx_cpu_reader *reader)
{
    struct cpuid_regs r = reader->cpuid(reader->ctx, CPUID_LEAF_VENDOR, 0);
    caps->max_leaf = r.eax;
    caps->intel = r.ebx == CPUID_VENDOR_INTEL_EBX && r.edx == CPUID_VENDOR_INTEL_EDX &&
                  r.ecx == CPUID_VENDOR_INTEL_ECX;
    if (caps->max_leaf >= CPUID_LEAF_FEATURES) {
        r = reader->cpuid(reader->ctx, CPUID_LEAF_FEATURES, 0);
        caps->signature = r.eax;
        caps->leaf_1_ecx = r.ecx;
        caps->leaf_1_edx = r.edx;
    }
    if (caps->max_leaf >= CPUID_LEAF_EXTENDED_FEATURES) {
        r = reader->cpuid(reader->ctx, CPUID_LEAF_EXTENDED_FEATURES, 0);
        caps->leaf_7_ebx = r.ebx;
        caps->leaf_7_ecx = r.ecx;
        caps->leaf_7_edx = r.edx;
        if (r.eax >= 2) {
            caps->leaf_7_2_edx = reader->cpuid(reader->ctx, CPUID_LEAF_EXTENDED_FEATURES, 2).edx;
        }
    }
    if (caps->max_leaf >= CPUID_LEAF_XSTATE && vmx_caps_has_xsave(caps)) {
        caps->leaf_d_1_eax = reader->cpuid(reader->ctx, CPUID_LEAF_XSTATE, 1).eax;
    }
    read_extended_leaves(caps, reader);
}

void vmx_caps_read(struct vmx_caps *caps, const struct vmx_cpu_reader *reader)
{
    *caps = (struct vmx_caps){0};
    read_cpuid_leaves(caps, reader);

    void *ctx = reader->ctx;
    uint64_t (*rd)(void *ctx, uint32_t msr) = reader->rdmsr;
    if (caps->leaf_7_edx & CPUID_7_EDX_ARCH_CAPABILITIES) {
        caps->arch_capabilities = rd(ctx, MSR_IA32_ARCH_CAPABILITIES);
    }
    if (!vmx_caps_has_vmx(caps)) {
        return;
    }
    caps->feature_control = rd(ctx, MSR_IA32_FEATURE_CONTROL);
    caps->basic = rd(ctx, MSR_IA32_VMX_BASIC);
    caps->misc = rd(ctx, MSR_IA32_VMX_MISC);
    caps->cr0_fixed0 = rd(ctx, MSR_IA32_VMX_CR0_FIXED0);
    caps->cr0_fixed1 = rd(ctx, MSR_IA32_VMX_CR0_FIXED1);
    caps->cr4_fixed0 = rd(ctx, MSR_IA32_VMX_CR4_FIXED0);
    caps->cr4_fixed1 = rd(ctx, MSR_IA32_VMX_CR4_FIXED1);
    caps->vmcs_enum = rd(ctx, MSR_IA32_VMX_VMCS_ENUM);
    caps->control[VMX_CONTROL_PIN] = rd(ctx, MSR_IA32_VMX_PINBASED_CTLS);
    caps->control[VMX_CONTROL_PROC] = rd(ctx, MSR_IA32_VMX_PROCBASED_CTLS);
    caps->control[VMX_CONTROL_EXIT] = rd(ctx, MSR_IA32_VMX_EXIT_CTLS);
    caps->control[VMX_CONTROL_ENTRY] = rd(ctx, MSR_IA32_VMX_ENTRY_CTLS);
    if (vmx_caps_has_true_controls(caps)) {
        caps->true_control[VMX_CONTROL_PIN] = rd(ctx, MSR_IA32_VMX_TRUE_PINBASED_CTLS);
        caps->true_control[VMX_CONTROL_PROC] = rd(ctx, MSR_IA32_VMX_TRUE_PROCBASED_CTLS);
        caps->true_control[VMX_CONTROL_EXIT] = rd(ctx, MSR_IA32_VMX_TRUE_EXIT_CTLS);
        caps->true_control[VMX_CONTROL_ENTRY] = rd(ctx, MSR_IA32_VMX_TRUE_ENTRY_CTLS);
    }
    if (vmx_caps_may(caps, VMX_CONTROL_PROC, VMX_PROC_SECONDARY_CONTROLS)) {
        caps->control[VMX_CONTROL_PROC2] = rd(ctx, MSR_IA32_VMX_PROCBASED_CTLS2);
    }
    if (vmx_caps_has_ept(caps) || vmx_caps_has_vpid(caps)) {
        caps->ept_vpid = rd(ctx, MSR_IA32_VMX_EPT_VPID_CAP);
    }
    if (vmx_caps_has_proc2(caps, VMX_PROC2_ENABLE_VM_FUNCTIONS)) {
        caps->vmfunc = rd(ctx, MSR_IA32_VMX_VMFUNC);
    }
    if (vmx_caps_may(caps, VMX_CONTROL_PROC, VMX_PROC_TERTIARY_CONTROLS)) {
        caps->proc3 = rd(ctx, MSR_IA32_VMX_PROCBASED_CTLS3);
    }
    if (vmx_caps_may(caps, VMX_CONTROL_EXIT, VMX_EXIT_SECONDARY_CONTROLS)) {
        caps->exit2 = rd(ctx, MSR_IA32_VMX_EXIT_CTLS2);
    }
}

uint64_t vmx_cr0_must_be_1(const struct vmx_caps *caps, bool unrestricted_guest)
{
    return caps->cr0_fixed0 & ~(unrestricted_guest ? CR0_PE | CR0_PG : 0);
}

uint64_t vmx_cr0_may_be_1(const struct vmx_caps *caps)
{
    return caps->cr0_fixed1;
}

uint64_t vmx_cr4_must_be_1(const struct vmx_caps *caps)
{
    return caps->cr4_fixed0;
}

uint64_t vmx_cr4_may_be_1(const struct vmx_caps *caps)
{
    return caps->cr4_fixed1;
}

static bool within(uint64_t value, uint64_t must, uint64_t may)
{
    return (value & must) == must && !(value & ~may);
}

bool vmx_cr0_valid(const struct vmx_caps *caps, uint64_t value, bool unrestricted_guest)
{
    uint64_t must = vmx_cr0_must_be_1(caps, unrestricted_guest);
    bool paging_alone = (value & CR0_PG) && !(value & CR0_PE);
    return within(value, must, vmx_cr0_may_be_1(caps)) && !paging_alone;
}

bool vmx_cr4_valid(const struct vmx_caps *caps, uint64_t value)
{
    return within(value, vmx_cr4_must_be_1(caps), vmx_cr4_may_be_1(caps));
}

uint64_t vmx_cr0_adjust(const struct vmx_caps *caps, uint64_t value, bool unrestricted_guest)
{
    return (value | vmx_cr0_must_be_1(caps, unrestricted_guest)) & vmx_cr0_may_be_1(caps);
}

uint64_t vmx_cr4_adjust(const struct vmx_caps *caps, uint64_t value)
{
    return (value | vmx_cr4_must_be_1(caps)) & vmx_cr4_may_be_1(caps);
}
