/* The processor's registers and structures that the runtime sets up. Source: SDM volume 3. */
#ifndef GUEST_RUNTIME_CPU_H
#define GUEST_RUNTIME_CPU_H

#include <stdint.h>

enum cr4_bits {
    CR4_OSXSAVE = 1u << 18,
    CR4_UMIP = 1u << 11,
    CR4_FSGSBASE = 1u << 16,
    CR4_PCIDE = 1u << 17,
    CR4_SMEP = 1u << 20,
    CR4_SMAP = 1u << 21,
    CR4_PKE = 1u << 22,
};

enum msr_number {
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_APIC_EOI = 0x80b,
    MSR_EFER = 0xc0000080,
    MSR_STAR = 0xc0000081,
    MSR_LSTAR = 0xc0000082,
    MSR_FMASK = 0xc0000084,
    MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE = 0xc0000101,
    MSR_KERNEL_GS_BASE = 0xc0000102,
};

enum efer_bits {
    EFER_SCE = 1u << 0,
    EFER_NXE = 1u << 11,
};

enum rflags_bits {
    RFLAGS_FIXED = 1u << 1,
    RFLAGS_TF = 1u << 8,
    RFLAGS_IF = 1u << 9,
    RFLAGS_DF = 1u << 10,
    RFLAGS_NT = 1u << 14,
    RFLAGS_AC = 1u << 18,
};

enum xcr0_bits {
    XCR0_X87 = 1u << 0,
    XCR0_SSE = 1u << 1,
    XCR0_AVX = 1u << 2,
    XCR0_AVX512 = 7u << 5, /* opmask, upper halves of ZMM0-15, ZMM16-31: all or none */
};

enum cpuid_leaf {
    CPUID_FEATURES = 1,
    CPUID_STRUCTURED = 7,
    CPUID_XSAVE = 0x0d,
    CPUID_EXTENDED = 0x80000000,
    CPUID_EXTENDED_FEATURES = 0x80000001,
};

enum cpuid_bits {
    CPUID_1_ECX_PCID = 1u << 17,
    CPUID_1_ECX_X2APIC = 1u << 21,
    CPUID_1_ECX_TSC_DEADLINE = 1u << 24,
    CPUID_1_ECX_XSAVE = 1u << 26,
    CPUID_1_ECX_RDRAND = 1u << 30,
    CPUID_7_EBX_SMEP = 1u << 7,
    CPUID_7_EBX_INVPCID = 1u << 10,
    CPUID_7_EBX_SMAP = 1u << 20,
    CPUID_7_ECX_UMIP = 1u << 2,
    CPUID_7_ECX_PKU = 1u << 3,
    CPUID_80000001_EDX_NX = 1u << 20,
    CPUID_80000001_EDX_PAGE_1G = 1u << 26,
};

enum {
    EXCEPTION_IST = 1, /* a stack of its own, so that an overflow of the normal one is reported */
};

/* What LGDT and LIDT take. */
struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;

    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

/* EDX of the extended feature leaf, 0 where there is none. */
static inline uint32_t cpuid_extended_edx(void)
{
    if (cpuid(CPUID_EXTENDED, 0).eax < CPUID_EXTENDED_FEATURES)
        return 0;
    return cpuid(CPUID_EXTENDED_FEATURES, 0).edx;
}

static inline uint64_t read_cr2(void)
{
    uint64_t value;
    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

static inline uint64_t read_cr3(void)
{
    uint64_t value;
    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

static inline void write_cr3(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

/* Drop what is cached for the address and the current PCID. */
static inline void invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/* What INVPCID drops, of the calling vCPU (SDM volume 2, INVPCID); no entry is global here. */
enum invpcid_type {
    INVPCID_ADDRESS, /* of one PCID, for one address */
    INVPCID_PCID,    /* all of one PCID */
    INVPCID_ALL = 3, /* of all PCIDs */
};

static inline void invpcid(enum invpcid_type type, uint64_t pcid, uint64_t address)
{
    const struct {
        uint64_t pcid, address;
    } descriptor = {pcid, address};

    __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"((uint64_t)type) : "memory");
}

static inline uint64_t read_cr4(void)
{
    uint64_t value;
    __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static inline void write_cr4(uint64_t value)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static inline uint32_t read_pkru(void)
{
    uint32_t value, zero;
    __asm__ volatile("rdpkru" : "=a"(value), "=d"(zero) : "c"(0));
    return value;
}

static inline void write_pkru(uint32_t value)
{
    __asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

static inline uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

static inline void write_xcr0(uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

#endif
