/*
 * CPUID leaves and the feature bits that the hypervisor looks at (SDM volume 2A, CPUID).
 */
#ifndef TRAPLINE_VMX_CPUID_H
#define TRAPLINE_VMX_CPUID_H

enum cpuid_leaf {
    CPUID_LEAF_VENDOR = 0x0,
    CPUID_LEAF_FEATURES = 0x1,
    CPUID_LEAF_MONITOR = 0x5,
    CPUID_LEAF_POWER = 0x6,
    CPUID_LEAF_EXTENDED_FEATURES = 0x7,
    CPUID_LEAF_PERFMON = 0xa,
    CPUID_LEAF_TOPOLOGY = 0xb,
    CPUID_LEAF_XSTATE = 0xd,
    CPUID_LEAF_TSC = 0x15,
    CPUID_LEAF_FREQUENCY = 0x16,
    CPUID_LEAF_EXTENDED = 0x80000000u,
    CPUID_LEAF_EXTENDED_1 = 0x80000001u,
    CPUID_LEAF_BRAND = 0x80000002u, /* and the two behind it */
    CPUID_LEAF_EXTENDED_7 = 0x80000007u,
    CPUID_LEAF_ADDRESS_SIZES = 0x80000008u,
};

/* CPUID.0: "GenuineIntel" in EBX, EDX, ECX. */
enum cpuid_vendor {
    CPUID_VENDOR_INTEL_EBX = 0x756e6547,
    CPUID_VENDOR_INTEL_EDX = 0x49656e69,
    CPUID_VENDOR_INTEL_ECX = 0x6c65746e,
};

enum cpuid_1_ecx {
    CPUID_1_ECX_MONITOR = 1u << 3,
    CPUID_1_ECX_VMX = 1u << 5,
    CPUID_1_ECX_SMX = 1u << 6,
    CPUID_1_ECX_PDCM = 1u << 15,
    CPUID_1_ECX_PCID = 1u << 17,
    CPUID_1_ECX_X2APIC = 1u << 21,
    CPUID_1_ECX_TSC_DEADLINE = 1u << 24,
    CPUID_1_ECX_XSAVE = 1u << 26,
    CPUID_1_ECX_OSXSAVE = 1u << 27,
    CPUID_1_ECX_HYPERVISOR = 1u << 31,
};

enum cpuid_1_edx {
    CPUID_1_EDX_VME = 1u << 1,
    CPUID_1_EDX_MSR = 1u << 5,
    CPUID_1_EDX_PAE = 1u << 6,
    CPUID_1_EDX_MCE = 1u << 7,
    CPUID_1_EDX_APIC = 1u << 9,
    CPUID_1_EDX_MTRR = 1u << 12,
    CPUID_1_EDX_MCA = 1u << 14,
    CPUID_1_EDX_PAT = 1u << 16,
    CPUID_1_EDX_FXSR = 1u << 24,
};

enum cpuid_7_ebx {
    CPUID_7_EBX_FSGSBASE = 1u << 0,
    CPUID_7_EBX_SGX = 1u << 2,
    CPUID_7_EBX_HLE = 1u << 4,
    CPUID_7_EBX_SMEP = 1u << 7,
    CPUID_7_EBX_INVPCID = 1u << 10,
    CPUID_7_EBX_RTM = 1u << 11,
    CPUID_7_EBX_MPX = 1u << 14,
    CPUID_7_EBX_SMAP = 1u << 20,
    CPUID_7_EBX_PT = 1u << 25,
};

enum cpuid_7_ecx {
    CPUID_7_ECX_UMIP = 1u << 2,
    CPUID_7_ECX_PKU = 1u << 3,
    CPUID_7_ECX_OSPKE = 1u << 4,
    CPUID_7_ECX_WAITPKG = 1u << 5,
    CPUID_7_ECX_CET_SS = 1u << 7,
    CPUID_7_ECX_LA57 = 1u << 16,
    CPUID_7_ECX_RDPID = 1u << 22,
    CPUID_7_ECX_KEY_LOCKER = 1u << 23,
    CPUID_7_ECX_PKS = 1u << 31,
};

enum cpuid_7_edx {
    CPUID_7_EDX_UINTR = 1u << 5,
    CPUID_7_EDX_SRBDS_CTRL = 1u << 9,
    CPUID_7_EDX_MD_CLEAR = 1u << 10,
    CPUID_7_EDX_CET_IBT = 1u << 20,
    CPUID_7_EDX_IBRS_IBPB = 1u << 26,
    CPUID_7_EDX_STIBP = 1u << 27,
    CPUID_7_EDX_L1D_FLUSH = 1u << 28,
    CPUID_7_EDX_ARCH_CAPABILITIES = 1u << 29,
    CPUID_7_EDX_SSBD = 1u << 31,
};

/* CPUID.(EAX=7,ECX=2).EDX */
enum cpuid_7_2_edx {
    CPUID_7_2_EDX_BHI_CTRL = 1u << 4,
};

/* CPUID.(EAX=0DH,ECX=1).EAX */
enum cpuid_d_1_eax {
    CPUID_D_1_EAX_XSAVEOPT = 1u << 0,
    CPUID_D_1_EAX_XSAVEC = 1u << 1,
    CPUID_D_1_EAX_XGETBV_1 = 1u << 2,
    CPUID_D_1_EAX_XSAVES = 1u << 3,
};

enum cpuid_80000001_edx {
    CPUID_80000001_EDX_SYSCALL = 1u << 11,
    CPUID_80000001_EDX_NX = 1u << 20,
    CPUID_80000001_EDX_PAGE_1G = 1u << 26,
    CPUID_80000001_EDX_RDTSCP = 1u << 27,
    CPUID_80000001_EDX_LONG_MODE = 1u << 29,
};

enum cpuid_80000007_edx {
    CPUID_80000007_EDX_INVARIANT_TSC = 1u << 8,
};

#endif
