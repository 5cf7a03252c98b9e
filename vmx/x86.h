/*
 * The processor's registers and instructions that C has no words for: MSR numbers, control-register
 * bits, and one inline function an instruction. Names and numbers are the SDM's (volume 4 for
 * MSRs).
 */
#ifndef TRAPLINE_VMX_X86_H
#define TRAPLINE_VMX_X86_H

#include <stdint.h>

enum msr {
    MSR_IA32_TSC = 0x10,
    MSR_IA32_APIC_BASE = 0x1b,
    MSR_IA32_FEATURE_CONTROL = 0x3a,
    MSR_IA32_SPEC_CTRL = 0x48,
    MSR_IA32_PRED_CMD = 0x49,
    MSR_IA32_BIOS_SIGN_ID = 0x8b,
    MSR_IA32_MTRRCAP = 0xfe,
    MSR_IA32_ARCH_CAPABILITIES = 0x10a,
    MSR_IA32_FLUSH_CMD = 0x10b,
    MSR_IA32_TSX_CTRL = 0x122,
    MSR_IA32_SYSENTER_CS = 0x174,
    MSR_IA32_SYSENTER_ESP = 0x175,
    MSR_IA32_SYSENTER_EIP = 0x176,
    MSR_IA32_MCG_CAP = 0x179,
    MSR_IA32_MCG_STATUS = 0x17a,
    MSR_IA32_MISC_ENABLE = 0x1a0,
    MSR_IA32_DEBUGCTL = 0x1d9,
    MSR_IA32_MTRR_PHYSBASE0 = 0x200,
    MSR_IA32_MTRR_PHYSMASK0 = 0x201,
    MSR_IA32_MTRR_FIX64K_00000 = 0x250,
    MSR_IA32_MTRR_FIX16K_80000 = 0x258,
    MSR_IA32_MTRR_FIX16K_A0000 = 0x259,
    MSR_IA32_MTRR_FIX4K_C0000 = 0x268,
    MSR_IA32_PAT = 0x277,
    MSR_IA32_MTRR_DEF_TYPE = 0x2ff,
    MSR_IA32_PERF_GLOBAL_CTRL = 0x38f,
    MSR_IA32_MC0_CTL = 0x400,
    MSR_IA32_MC0_STATUS = 0x401,
    MSR_IA32_MC0_ADDR = 0x402,
    MSR_IA32_VMX_BASIC = 0x480,
    MSR_IA32_VMX_PINBASED_CTLS = 0x481,
    MSR_IA32_VMX_PROCBASED_CTLS = 0x482,
    MSR_IA32_VMX_EXIT_CTLS = 0x483,
    MSR_IA32_VMX_ENTRY_CTLS = 0x484,
    MSR_IA32_VMX_MISC = 0x485,
    MSR_IA32_VMX_CR0_FIXED0 = 0x486,
    MSR_IA32_VMX_CR0_FIXED1 = 0x487,
    MSR_IA32_VMX_CR4_FIXED0 = 0x488,
    MSR_IA32_VMX_CR4_FIXED1 = 0x489,
    MSR_IA32_VMX_VMCS_ENUM = 0x48a,
    MSR_IA32_VMX_PROCBASED_CTLS2 = 0x48b,
    MSR_IA32_VMX_EPT_VPID_CAP = 0x48c,
    MSR_IA32_VMX_TRUE_PINBASED_CTLS = 0x48d,
    MSR_IA32_VMX_TRUE_PROCBASED_CTLS = 0x48e,
    MSR_IA32_VMX_TRUE_EXIT_CTLS = 0x48f,
    MSR_IA32_VMX_TRUE_ENTRY_CTLS = 0x490,
    MSR_IA32_VMX_VMFUNC = 0x491,
    MSR_IA32_VMX_PROCBASED_CTLS3 = 0x492,
    MSR_IA32_VMX_EXIT_CTLS2 = 0x493,
    MSR_IA32_U_CET = 0x6a0,
    MSR_IA32_S_CET = 0x6a2,
    MSR_IA32_PKRS = 0x6e1,
    MSR_IA32_XSS = 0xda0,
    MSR_IA32_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC_BASE = 0x800,
    MSR_IA32_EFER = 0xc0000080,
    MSR_IA32_STAR = 0xc0000081,
    MSR_IA32_LSTAR = 0xc0000082,
    MSR_IA32_CSTAR = 0xc0000083,
    MSR_IA32_FMASK = 0xc0000084,
    MSR_IA32_FS_BASE = 0xc0000100,
    MSR_IA32_GS_BASE = 0xc0000101,
    MSR_IA32_KERNEL_GS_BASE = 0xc0000102,
    MSR_IA32_TSC_AUX = 0xc0000103,
};

enum feature_control {
    FEATURE_CONTROL_LOCK = 1u << 0,
    FEATURE_CONTROL_VMX_IN_SMX = 1u << 1,
    FEATURE_CONTROL_VMX = 1u << 2,
};

enum efer {
    EFER_SCE = 1u << 0,
    EFER_LME = 1u << 8,
    EFER_LMA = 1u << 10,
    EFER_NXE = 1u << 11,
};

enum cr0 {
    CR0_PE = 1u << 0,
    CR0_MP = 1u << 1,
    CR0_EM = 1u << 2,
    CR0_TS = 1u << 3,
    CR0_ET = 1u << 4,
    CR0_NE = 1u << 5,
    CR0_WP = 1u << 16,
    CR0_AM = 1u << 18,
    CR0_NW = 1u << 29,
    CR0_CD = 1u << 30,
};
#define CR0_PG (1ull << 31)

enum cr4 {
    CR4_VME = 1u << 0,
    CR4_PVI = 1u << 1,
    CR4_TSD = 1u << 2,
    CR4_DE = 1u << 3,
    CR4_PSE = 1u << 4,
    CR4_PAE = 1u << 5,
    CR4_MCE = 1u << 6,
    CR4_PGE = 1u << 7,
    CR4_PCE = 1u << 8,
    CR4_OSFXSR = 1u << 9,
    CR4_OSXMMEXCPT = 1u << 10,
    CR4_UMIP = 1u << 11,
    CR4_LA57 = 1u << 12,
    CR4_VMXE = 1u << 13,
    CR4_SMXE = 1u << 14,
    CR4_FSGSBASE = 1u << 16,
    CR4_PCIDE = 1u << 17,
    CR4_OSXSAVE = 1u << 18,
    CR4_SMEP = 1u << 20,
    CR4_SMAP = 1u << 21,
    CR4_PKE = 1u << 22,
    CR4_CET = 1u << 23,
    CR4_PKS = 1u << 24,
    CR4_UINTR = 1u << 25,
};

enum rflags {
    RFLAGS_CF = 1u << 0,
    RFLAGS_FIXED = 1u << 1,
    RFLAGS_ZF = 1u << 6,
    RFLAGS_TF = 1u << 8,
    RFLAGS_IF = 1u << 9,
    RFLAGS_RF = 1u << 16,
    RFLAGS_VM = 1u << 17,
    RFLAGS_AC = 1u << 18,
    RFLAGS_VIF = 1u << 19,
    RFLAGS_VIP = 1u << 20,
    RFLAGS_ID = 1u << 21,
};

/* MSR_IA32_SPEC_CTRL */
enum spec_ctrl {
    SPEC_CTRL_IBRS = 1u << 0,
    SPEC_CTRL_STIBP = 1u << 1,
    SPEC_CTRL_SSBD = 1u << 2,
    SPEC_CTRL_BHI_DIS_S = 1u << 10,
};

/* MSR_IA32_PRED_CMD, MSR_IA32_FLUSH_CMD */
enum {
    PRED_CMD_IBPB = 1u << 0,
    FLUSH_CMD_L1D = 1u << 0,
};

/* MSR_IA32_ARCH_CAPABILITIES */
enum arch_capabilities {
    ARCH_CAPABILITIES_RDCL_NO = 1u << 0,
    ARCH_CAPABILITIES_IBRS_ALL = 1u << 1,
    ARCH_CAPABILITIES_RSBA = 1u << 2,
    ARCH_CAPABILITIES_SKIP_L1DFL_VMENTRY = 1u << 3,
    ARCH_CAPABILITIES_SSB_NO = 1u << 4,
    ARCH_CAPABILITIES_MDS_NO = 1u << 5,
    ARCH_CAPABILITIES_PSCHANGE_MC_NO = 1u << 6,
    ARCH_CAPABILITIES_TSX_CTRL = 1u << 7,
    ARCH_CAPABILITIES_TAA_NO = 1u << 8,
    ARCH_CAPABILITIES_SBDR_SSDP_NO = 1u << 13,
    ARCH_CAPABILITIES_FBSDP_NO = 1u << 14,
    ARCH_CAPABILITIES_PSDP_NO = 1u << 15,
    ARCH_CAPABILITIES_FB_CLEAR = 1u << 17,
    ARCH_CAPABILITIES_BHI_NO = 1u << 20,
    ARCH_CAPABILITIES_RFDS_NO = 1u << 27,
    ARCH_CAPABILITIES_RFDS_CLEAR = 1u << 28,
};

enum exception_vector {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_BR = 5,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_TS = 10,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_MF = 16,
    VECTOR_AC = 17,
    VECTOR_MC = 18,
    VECTOR_XM = 19,
    VECTOR_VE = 20,
    VECTOR_CP = 21,
};

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* The time-stamp counter, after all that comes before, stores included, and before all that comes
 * after (SDM volume 2, RDTSC). */
static inline uint64_t rdtsc_ordered(void)
{
    uint32_t low, high;
    __asm__ volatile("mfence\n\tlfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t read_cr0(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

static inline void write_cr0(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory");
}

static inline uint64_t read_cr2(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}

static inline void write_cr2(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr2" : : "r"(v) : "memory");
}

static inline uint64_t read_cr3(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}

static inline void write_cr3(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static inline uint64_t read_cr4(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static inline void write_cr4(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

static inline void xsetbv(uint32_t index, uint64_t value)
{
    __asm__ volatile("xsetbv"
                     :
                     : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

/*
 * Load PKRU, the protection-key rights of user-mode pages, and return what it held. CR4.PKE is set
 * for these two instructions alone, and they touch no memory, so that whatever the values forbid
 * cannot concern the caller: no page of a supervisor is subject to PKRU (SDM 4.6.2), but Bochs
 * applies key 0's write-disable bit to them.
 */
static inline uint32_t exchange_pkru(uint32_t value)
{
    uint64_t cr4 = read_cr4();
    uint32_t scratch;

    __asm__ volatile("mov %[on], %%cr4\n\t"
                     "rdpkru\n\t"
                     "xchg %%eax, %[value]\n\t"
                     "wrpkru\n\t"
                     "mov %[off], %%cr4"
                     : [value] "+&r"(value), "=&a"(scratch)
                     : [on] "r"(cr4 | CR4_PKE), [off] "r"(cr4), "c"(0)
                     : "edx", "memory");
    return value;
}

static inline uint64_t xgetbv(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

#endif
