/*
 * Guests that share a CPU must not see one another's registers: each loads a pattern of its own,
 * made from its name, into everything that a CPU has only once, and looks at it after each switch.
 * The file is compiled without vector registers, so that the pattern stays in them.
 */
#pragma GCC target("general-regs-only")

#include "suite.h"

enum {
    XMMS = 16,
    SWITCHES_PER_SECOND = 20, /* at least: slices are much shorter */
    XSAVE_BYTES = 4096,
    XCR0_X87 = 1u << 0,
    XCR0_SSE = 1u << 1,
    XCR0_AVX = 1u << 2,
    CR4_OSXSAVE = 1u << 18,
    CR4_PKE = 1u << 22,
    CPUID_7_ECX_PKU = 1u << 3,
};

/* MSRs that the guest may write, with the bits of a pattern that each can hold. */
static const struct {
    uint32_t msr;
    uint64_t mask;
} msrs[] = {
    {0x174, 0xffffffff},              /* SYSENTER_CS */
    {0x175, 0x00007fffffffffff},      /* SYSENTER_ESP */
    {0x176, 0x00007fffffffffff},      /* SYSENTER_EIP */
    {0xc0000081, 0xffffffffffffffff}, /* STAR */
    {0xc0000082, 0x00007fffffffffff}, /* LSTAR */
    {0xc0000083, 0x00007fffffffffff}, /* CSTAR */
    {0xc0000084, 0x00000000ffffffff}, /* FMASK */
    {0xc0000100, 0x00007fffffffffff}, /* FS base */
    {0xc0000101, 0x00007fffffffffff}, /* GS base */
    {0xc0000102, 0x00007fffffffffff}, /* kernel GS base */
    {0xc0000103, 0x00000000ffffffff}, /* TSC_AUX: last, not every CPU has it */
};

static unsigned msr_count = COUNT(msrs);
static uint64_t seed, seconds;
static bool has_xsave, has_pku;
static uint32_t own_xcr0;

static uint64_t pattern(unsigned index)
{
    uint64_t x = seed + (index + 1) * 0x9e3779b97f4a7c15;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    return x ^ x >> 31;
}

static void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static uint32_t cpuid_edx(uint32_t leaf)
{
    uint32_t eax = leaf, ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return edx;
}

static uint32_t cpuid_ecx(uint32_t leaf)
{
    uint32_t eax = leaf, ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ecx;
}

static uint32_t xcr0(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* The vector state as an image in memory: one that was loaded, and what is in the registers now. */
static uint8_t loaded[XSAVE_BYTES] __attribute__((aligned(64)));
static uint8_t now[XSAVE_BYTES] __attribute__((aligned(64)));

enum image_offsets {
    IMAGE_FCW = 0,
    IMAGE_MXCSR = 24,
    IMAGE_ST0 = 32,
    IMAGE_XMM0 = 160,
    IMAGE_XSTATE_BV = 512,
    IMAGE_YMM = 576, /* in the standard format */
    IMAGE_XMM_END = IMAGE_XMM0 + XMMS * 16,
    IMAGE_YMM_END = IMAGE_YMM + XMMS * 16,
};

static void save(uint8_t *image)
{
    if (has_xsave)
        __asm__ volatile("xsave64 (%0)" : : "r"(image), "a"(-1), "d"(-1) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
}

static void restore(const uint8_t *image)
{
    if (has_xsave)
        __asm__ volatile("xrstor64 (%0)" : : "r"(image), "a"(-1), "d"(-1) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" : : "r"(image) : "memory");
}

static bool has_avx(void)
{
    return has_xsave && (xcr0() & XCR0_AVX);
}

/* Some of the guests do without AVX, so that XCR0 differs. */
static void load_vectors(void)
{
    if (has_xsave) {
        own_xcr0 = xcr0() & (seed & 1 ? XCR0_X87 | XCR0_SSE : ~0u);
        __asm__ volatile("xsetbv" : : "c"(0), "a"(own_xcr0), "d"(0));
    }
    save(loaded);
    *(uint16_t *)&loaded[IMAGE_FCW] = (uint16_t)(0x37f & ~(pattern(0) & 0x300)); /* precision */
    *(uint32_t *)&loaded[IMAGE_MXCSR] = 0x1f80 | (pattern(1) & 0x6000);          /* rounding */
    for (unsigned i = 0; i < XMMS * 2; i++)
        *(uint64_t *)&loaded[IMAGE_XMM0 + i * 8] = pattern(100 + i);
    for (unsigned i = 0; i < 8; i++) {
        *(uint64_t *)&loaded[IMAGE_ST0 + i * 16] = pattern(200 + i) | 1ul << 63;
        *(uint16_t *)&loaded[IMAGE_ST0 + i * 16 + 8] = (uint16_t)(0x3fff + i);
    }
    if (has_xsave)
        *(uint64_t *)&loaded[IMAGE_XSTATE_BV] |= XCR0_X87 | XCR0_SSE;
    if (has_avx()) {
        *(uint64_t *)&loaded[IMAGE_XSTATE_BV] |= XCR0_AVX;
        for (unsigned i = 0; i < XMMS * 2; i++)
            *(uint64_t *)&loaded[IMAGE_YMM + i * 8] = pattern(300 + i);
    }
    restore(loaded);
}

static void expect_vectors(void)
{
    save(now);
    EXPECT_EQ(*(uint16_t *)&now[IMAGE_FCW], *(uint16_t *)&loaded[IMAGE_FCW]);
    EXPECT_EQ(*(uint32_t *)&now[IMAGE_MXCSR], *(uint32_t *)&loaded[IMAGE_MXCSR]);
    for (unsigned i = 0; i < 8; i++)
        EXPECT(memcmp(&now[IMAGE_ST0 + i * 16], &loaded[IMAGE_ST0 + i * 16], 10) == 0);
    EXPECT(memcmp(&now[IMAGE_XMM0], &loaded[IMAGE_XMM0], IMAGE_XMM_END - IMAGE_XMM0) == 0);
    if (has_avx())
        EXPECT(memcmp(&now[IMAGE_YMM], &loaded[IMAGE_YMM], IMAGE_YMM_END - IMAGE_YMM) == 0);
    if (has_xsave)
        EXPECT_EQ(xcr0(), own_xcr0);
    restore(loaded); /* what was called here may have used some */
}

#define WRITE_REGISTER(name, value) __asm__ volatile("mov %0, %%" name : : "r"((uint64_t)(value)))
#define EXPECT_REGISTER(name, want)                                                                \
    do {                                                                                           \
        uint64_t register_;                                                                        \
        __asm__ volatile("mov %%" name ", %0" : "=r"(register_));                                  \
        if (register_ != (uint64_t)(want))                                                         \
            check_failed(__LINE__, "%s is 0x%lx, not 0x%lx", name, register_, (uint64_t)(want));   \
    } while (0)

#define CANONICAL 0x00007fffffffffffull

/* Key 0 stays writable: Bochs, unlike a CPU, holds it against pages of the supervisor, too. */
static uint32_t pkru_pattern(void)
{
    return (uint32_t)pattern(58) & ~3u;
}

static void write_pkru(uint32_t value)
{
    __asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0));
}

static uint32_t read_pkru(void)
{
    uint32_t value, zero;

    __asm__ volatile("rdpkru" : "=a"(value), "=d"(zero) : "c"(0));
    return value;
}

static void load_registers(void)
{
    for (unsigned i = 0; i < msr_count; i++)
        write_msr(msrs[i].msr, pattern(i) & msrs[i].mask);
    WRITE_REGISTER("cr2", pattern(50));
    WRITE_REGISTER("dr0", pattern(51) & CANONICAL);
    WRITE_REGISTER("dr1", pattern(52) & CANONICAL);
    WRITE_REGISTER("dr2", pattern(53) & CANONICAL);
    WRITE_REGISTER("dr3", pattern(54) & CANONICAL);
    WRITE_REGISTER("dr6", 0xffff0ff0 | (pattern(55) & 0xf));
    WRITE_REGISTER("dr7", 0x400 | (pattern(56) & 0xf0000)); /* conditions, none enabled */
    WRITE_REGISTER("cr8", pattern(57) & 15);
    if (has_pku)
        write_pkru(pkru_pattern());
}

static void expect_registers(void)
{
    for (unsigned i = 0; i < msr_count; i++) {
        const uint64_t value = read_msr(msrs[i].msr);

        if (value != (pattern(i) & msrs[i].mask))
            check_failed(__LINE__, "MSR 0x%x is 0x%lx, not 0x%lx", msrs[i].msr, value,
                         pattern(i) & msrs[i].mask);
    }
    EXPECT_REGISTER("cr2", pattern(50));
    EXPECT_REGISTER("dr0", pattern(51) & CANONICAL);
    EXPECT_REGISTER("dr1", pattern(52) & CANONICAL);
    EXPECT_REGISTER("dr2", pattern(53) & CANONICAL);
    EXPECT_REGISTER("dr3", pattern(54) & CANONICAL);
    EXPECT_REGISTER("dr6", 0xffff0ff0 | (pattern(55) & 0xf));
    EXPECT_REGISTER("dr7", 0x400 | (pattern(56) & 0xf0000));
    EXPECT_REGISTER("cr8", pattern(57) & 15);
    if (has_pku)
        EXPECT_EQ(read_pkru(), pkru_pattern());
}

/* The clock jumps when another guest had the CPU. */
static void check_kept_apart(void)
{
    const uint64_t jump = tsc_hz() / 1000, end = rdtsc() + seconds * tsc_hz();
    uint64_t last = rdtsc(), clock, switches = 0;

    load_registers();
    load_vectors();
    while ((clock = rdtsc()) < end && check_good()) {
        if (clock - last > jump) {
            switches++;
            expect_vectors();
            expect_registers();
        }
        last = clock;
    }
    __asm__ volatile("fninit");
    check_at("%lu switches", switches);
    EXPECT(switches >= seconds * SWITCHES_PER_SECOND);
}

static const struct check checks[] = {
    {"switch: registers are kept apart", check_kept_apart},
};

int main(int argc, char **argv)
{
    seconds = argc == 2 ? (uint64_t)atoi(argv[1]) : 1;
    for (const char *c = argv[0]; *c; c++)
        seed = seed * 31 + (unsigned char)*c;
    if (!(cpuid_edx(0x80000001) & 1u << 27) && !(cpuid_ecx(7) & 1u << 22))
        msr_count--; /* neither RDTSCP nor RDPID: no TSC_AUX */
    uint64_t cr4;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    has_xsave = cr4 & CR4_OSXSAVE;
    has_pku = cpuid_ecx(7) & CPUID_7_ECX_PKU;
    if (has_pku)
        __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_PKE));
    return RUN_CHECKS(checks);
}
