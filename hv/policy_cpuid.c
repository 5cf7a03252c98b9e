#include "hv/policy_cpuid.h"

#include <stddef.h>

#include "guest/include/trapline/abi.h"

enum {
    LEAF_MAX_BASIC = 0x16,
    LEAF_MAX_EXTENDED = 0x80000008,
    /* CPUID.1:ECX: SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C
     * RDRAND */
    LEAF1_ECX = 1u << 0 | 1u << 1 | 1u << 9 | 1u << 12 | 1u << 13 | CPUID_1_ECX_PCID | 1u << 19 |
                1u << 20 | 1u << 22 | 1u << 23 | 1u << 25 | CPUID_1_ECX_XSAVE | 1u << 28 |
                1u << 29 | 1u << 30,
    /* CPUID.1:EDX: FPU VME DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
     * SS; not MCE, MTRR, MCA, DS, ACPI, HTT, TM, PBE */
    LEAF1_EDX = 1u << 0 | CPUID_1_EDX_VME | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 |
                1u << 8 | 1u << 11 | 1u << 13 | 1u << 15 | CPUID_1_EDX_PAT | 1u << 17 | 1u << 19 |
                1u << 23 | 1u << 24 | 1u << 25 | 1u << 26 | 1u << 27,
    /* CPUID.7.0:EBX: FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F AVX512DQ RDSEED ADX SMAP
     * AVX512_IFMA CLFLUSHOPT CLWB AVX512CD SHA AVX512BW AVX512VL */
    LEAF7_EBX = 1u << 0 | 1u << 3 | 1u << 5 | CPUID_7_EBX_SMEP | 1u << 8 | 1u << 9 |
                CPUID_7_EBX_INVPCID | 1u << 16 | 1u << 17 | 1u << 18 | 1u << 19 | CPUID_7_EBX_SMAP |
                1u << 21 | 1u << 23 | 1u << 24 | 1u << 28 | 1u << 29 | 1u << 30 | 1u << 31,
    LEAF7_EBX_AVX512 = 1u << 16 | 1u << 17 | 1u << 21 | 1u << 28 | 1u << 30 | 1u << 31,
    LEAF7_EBX_ERMS = 1u << 9,
    /* CPUID.7.0:ECX: AVX512_VBMI UMIP PKU OSPKE VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ
     * RDPID */
    LEAF7_ECX = 1u << 1 | CPUID_7_ECX_UMIP | CPUID_7_ECX_PKU | 1u << 6 | 1u << 8 | 1u << 9 |
                1u << 10 | 1u << 11 | 1u << 12 | 1u << 14 | CPUID_7_ECX_RDPID,
    LEAF7_ECX_AVX512 = 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14,
    LEAF7_ECX_VAES = 1u << 9 | 1u << 10,
    LEAF7_EDX_FSRM = 1u << 4,
    LEAF7_EDX_AVX512 = 1u << 2 | 1u << 3 | 1u << 8, /* 4VNNIW 4FMAPS VP2INTERSECT */
    LEAF7_EBX_AVX2 = 1u << 5,
    LEAF1_ECX_AVX = 1u << 12 | 1u << 28 | 1u << 29, /* FMA AVX F16C */
    LEAF_D1_XSAVES = 1u << 3,
    LEAF_D1_EAX = 0xf, /* XSAVEOPT XSAVEC XGETBV(1) XSAVES */
    /* CPUID.80000001H: LAHF LZCNT PREFETCHW; SYSCALL NX 1-GiB pages RDTSCP LM */
    LEAF_EXT1_ECX = 1u << 0 | 1u << 5 | 1u << 8,
    LEAF_EXT1_EDX_RDTSCP = 1u << 27,
    LEAF_EXT1_EDX = 1u << 11 | 1u << 20 | 1u << 26 | LEAF_EXT1_EDX_RDTSCP | 1u << 29,
    XSAVE_LEGACY_BYTES = 576,
};

static const struct cpuid_regs nothing;

static struct cpuid_regs leaf_1(const struct cpuid_policy *policy)
{
    struct cpuid_regs r = policy->raw(1, 0);

    r.ebx = (r.ebx & 0xff00) | policy->vcpu_index << 24 | 1u << 16;
    r.ecx &= LEAF1_ECX;
    if (!policy->pcid)
        r.ecx &= ~(uint32_t)CPUID_1_ECX_PCID;
    if (!(policy->xcr0_max & XCR0_AVX))
        r.ecx &= ~(uint32_t)LEAF1_ECX_AVX;
    if (!policy->xcr0_max)
        r.ecx &= ~(uint32_t)CPUID_1_ECX_XSAVE;
    else if (policy->guest_cr4 & CR4_OSXSAVE)
        r.ecx |= CPUID_1_ECX_OSXSAVE;
    /* The APIC is a virtual one, in x2APIC mode whatever the CPU has. */
    r.ecx |= CPUID_1_ECX_HYPERVISOR | CPUID_1_ECX_X2APIC;
    if (policy->tsc_deadline)
        r.ecx |= CPUID_1_ECX_TSC_DEADLINE;
    r.edx = (r.edx & LEAF1_EDX) | CPUID_1_EDX_APIC;
    if (!policy->pat)
        r.edx &= ~(uint32_t)CPUID_1_EDX_PAT;
    return r;
}

static struct cpuid_regs leaf_7(const struct cpuid_policy *policy, uint32_t subleaf)
{
    struct cpuid_regs r;

    if (subleaf != 0)
        return nothing;
    r = policy->raw(7, 0);
    r.eax = 0;
    r.ebx &= LEAF7_EBX;
    r.ecx &= LEAF7_ECX;
    /* Bochs shows fast short REP MOV without ERMS, which no CPU does: show neither alone. */
    r.edx &= r.ebx & LEAF7_EBX_ERMS ? LEAF7_EDX_FSRM | LEAF7_EDX_AVX512 : LEAF7_EDX_AVX512;
    if (!policy->invpcid)
        r.ebx &= ~(uint32_t)CPUID_7_EBX_INVPCID;
    if (!policy->rdtscp)
        r.ecx &= ~(uint32_t)CPUID_7_ECX_RDPID;
    if (!(policy->xcr0_max & XCR0_AVX)) {
        r.ebx &= ~(uint32_t)LEAF7_EBX_AVX2;
        r.ecx &= ~(uint32_t)LEAF7_ECX_VAES;
    }
    if ((policy->xcr0_max & XCR0_AVX512) != XCR0_AVX512) {
        r.ebx &= ~(uint32_t)LEAF7_EBX_AVX512;
        r.ecx &= ~(uint32_t)LEAF7_ECX_AVX512;
        r.edx &= ~(uint32_t)LEAF7_EDX_AVX512;
    }
    if (!policy->pku)
        r.ecx &= ~(uint32_t)CPUID_7_ECX_PKU;
    else if (policy->guest_cr4 & CR4_PKE)
        r.ecx |= CPUID_7_ECX_OSPKE;
    return r;
}

/*
 * The standard-format XSAVE area that holds all of xcr0_max (SDM 13.4.3). For a component that has
 * no place only the CPU's own maximum is surely enough.
 */
static uint32_t xsave_bytes(const struct cpuid_policy *policy)
{
    uint32_t bytes = XSAVE_LEGACY_BYTES;

    for (unsigned i = 2; i < 63; i++) {
        struct cpuid_regs r;

        if (!(policy->xcr0_max >> i & 1))
            continue;
        r = policy->raw(0xd, i);
        if (r.eax == 0)
            return policy->raw(0xd, 0).ecx;
        if (r.ebx + r.eax > bytes)
            bytes = r.ebx + r.eax;
    }
    return bytes;
}

static struct cpuid_regs leaf_d(const struct cpuid_policy *policy, uint32_t subleaf)
{
    struct cpuid_regs r;

    if (!policy->xcr0_max)
        return nothing;
    r = policy->raw(0xd, subleaf);
    if (subleaf == 0) {
        r.eax = (uint32_t)policy->xcr0_max;
        r.ecx = xsave_bytes(policy);
        r.edx = (uint32_t)(policy->xcr0_max >> 32);
    } else if (subleaf == 1) {
        r.eax &= LEAF_D1_EAX;
        if (!policy->xsaves)
            r.eax &= ~(uint32_t)LEAF_D1_XSAVES; /* EBX stays: it is XSAVEC's size as well */
        r.ecx = 0;
        r.edx = 0;
    } else if (subleaf >= 63 || !(policy->xcr0_max >> subleaf & 1)) {
        return nothing;
    }
    return r;
}

static struct cpuid_regs hypervisor_leaf(const struct cpuid_policy *policy, uint32_t leaf)
{
    struct cpuid_regs r = nothing;

    if (leaf == TRAPLINE_CPUID_SIGNATURE) {
        r.eax = TRAPLINE_CPUID_VERSION;
        r.ebx = 0x70617254; /* "Trap" */
        r.ecx = 0x656e696c; /* "line" */
        r.edx = 0x00005648; /* "HV" */
    } else if (leaf == TRAPLINE_CPUID_VERSION) {
        r.eax = TRAPLINE_ABI_VERSION;
        r.ebx = policy->features;
    }
    return r;
}

struct cpuid_regs policy_cpuid(const struct cpuid_policy *policy, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r;

    if (leaf >= TRAPLINE_CPUID_SIGNATURE && leaf < 0x50000000)
        return hypervisor_leaf(policy, leaf);
    if (leaf < 0x40000000 ? leaf > policy->raw(0, 0).eax : leaf > policy->raw(0x80000000, 0).eax)
        return nothing;
    switch (leaf) {
    case 0:
        r = policy->raw(0, 0);
        if (r.eax > LEAF_MAX_BASIC)
            r.eax = LEAF_MAX_BASIC;
        return r;
    case 1: return leaf_1(policy);
    case 2: return policy->raw(leaf, subleaf);
    case 4: /* deterministic cache parameters: one core, one thread */
        r = policy->raw(leaf, subleaf);
        r.eax &= 0x3fff;
        return r;
    case 7: return leaf_7(policy, subleaf);
    case 0xb: /* extended topology: no levels, so that leaf 1 rules */
        r = nothing;
        r.ecx = subleaf & 0xff;
        r.edx = policy->vcpu_index;
        return r;
    case 0xd: return leaf_d(policy, subleaf);
    case 0x15: /* TSC and nominal core frequency */
    case 0x16: return policy->raw(leaf, subleaf);
    case 0x80000000:
        r = policy->raw(leaf, 0);
        if (r.eax > LEAF_MAX_EXTENDED)
            r.eax = LEAF_MAX_EXTENDED;
        return r;
    case 0x80000001:
        r = policy->raw(leaf, 0);
        r.ecx &= LEAF_EXT1_ECX;
        r.edx &= LEAF_EXT1_EDX;
        if (!policy->rdtscp)
            r.edx &= ~(uint32_t)LEAF_EXT1_EDX_RDTSCP;
        return r;
    case 0x80000002: /* brand string */
    case 0x80000003:
    case 0x80000004:
    case 0x80000006: return policy->raw(leaf, 0);
    case 0x80000007: /* invariant TSC only */
        r = nothing;
        r.edx = policy->raw(leaf, 0).edx & 1u << 8;
        return r;
    case 0x80000008: /* address widths; one thread */
        r = nothing;
        r.eax = policy->raw(leaf, 0).eax & 0xffff;
        return r;
    default: return nothing;
    }
}

uint64_t policy_cr4_allowed(const struct cpuid_policy *policy)
{
    struct cpuid_regs one = policy_cpuid(policy, 1, 0);
    struct cpuid_regs seven = policy_cpuid(policy, 7, 0);
    uint64_t allowed = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    if (one.edx & CPUID_1_EDX_VME)
        allowed |= CR4_VME | CR4_PVI;
    if (one.ecx & CPUID_1_ECX_PCID)
        allowed |= CR4_PCIDE;
    if (one.ecx & CPUID_1_ECX_XSAVE)
        allowed |= CR4_OSXSAVE;
    if (seven.ebx & CPUID_7_EBX_FSGSBASE)
        allowed |= CR4_FSGSBASE;
    if (seven.ebx & CPUID_7_EBX_SMEP)
        allowed |= CR4_SMEP;
    if (seven.ebx & CPUID_7_EBX_SMAP)
        allowed |= CR4_SMAP;
    if (seven.ecx & CPUID_7_ECX_UMIP)
        allowed |= CR4_UMIP;
    if (seven.ecx & CPUID_7_ECX_PKU)
        allowed |= CR4_PKE;
    return allowed;
}

uint64_t policy_xcr0_max(struct cpuid_regs (*raw)(uint32_t leaf, uint32_t subleaf), bool pku)
{
    struct cpuid_regs r = raw(CPUID_LEAF_XSTATE, 0);
    uint64_t xcr0 = ((uint64_t)r.edx << 32 | r.eax) & XCR0_SWITCHED;

    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
        xcr0 &= ~(uint64_t)XCR0_AVX512;
    /* Bochs lists the component and gives it neither a size nor a place. */
    if (!pku || raw(CPUID_LEAF_XSTATE, XCR0_PKRU_BIT).eax == 0)
        xcr0 &= ~(uint64_t)XCR0_PKRU;
    return xcr0;
}

bool policy_xcr0_valid(uint64_t value, uint64_t xcr0_max)
{
    if (!(value & XCR0_X87) || (value & ~xcr0_max))
        return false;
    if ((value & XCR0_AVX) && !(value & XCR0_SSE))
        return false;
    if ((value & XCR0_AVX512) && ((value & XCR0_AVX512) != XCR0_AVX512 || !(value & XCR0_AVX)))
        return false;
    return true;
}
