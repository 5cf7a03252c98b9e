/*
 * What a guest must not do raises the exception that a CPU without that feature would raise, and
 * the guest goes on: VMX instructions, MSRs, ports, control registers, XCR0.
 */
#include "probe.h"
#include "except.h"

/* TRY() with nothing but an instruction. */
#define TRY_PLAIN(vector, text) TRY(vector, text, , , "rax", "rbx", "rcx", "rdx")

struct leaf {
    uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct leaf r;

    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static uint64_t read_cr(int number)
{
    uint64_t value = 0;

    if (number == 0)
        __asm__ volatile("mov %%cr0, %0" : "=r"(value));
    else if (number == 3)
        __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    else if (number == 4)
        __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    else
        __asm__ volatile("mov %%cr8, %0" : "=r"(value));
    return value;
}

static int write_cr(int number, uint64_t value)
{
    int vector;

    if (number == 0)
        TRY(vector, "mov %0, %%cr0", , "r"(value));
    else if (number == 3)
        TRY(vector, "mov %0, %%cr3", , "r"(value));
    else if (number == 4)
        TRY(vector, "mov %0, %%cr4", , "r"(value));
    else
        TRY(vector, "mov %0, %%cr8", , "r"(value));
    return vector;
}

static int read_msr(uint32_t msr, uint64_t *value)
{
    uint32_t low = 0, high = 0;
    int vector;

    TRY(vector, "rdmsr", ARGS("+a"(low), "+d"(high)), "c"(msr));
    *value = (uint64_t)high << 32 | low;
    return vector;
}

static int write_msr(uint32_t msr, uint64_t value)
{
    int vector;

    TRY(vector, "wrmsr", , ARGS("c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))));
    return vector;
}

/* VMX, SMX and MONITOR do not exist for a guest. */
static void check_vmx(void)
{
    static uint64_t memory[2] __attribute__((aligned(4096)));
    int vector;

#define UNDEFINED(text)                                                                            \
    do {                                                                                           \
        check_at("%s", text);                                                                      \
        TRY(vector, text, , ARGS("D"(memory), "S"(0), "a"(0), "c"(0), "d"(0), "b"(0)));            \
        EXPECT_EQ(vector, VECTOR_UD);                                                              \
    } while (0)

    UNDEFINED("vmclear (%%rdi)");
    UNDEFINED("vmptrld (%%rdi)");
    UNDEFINED("vmptrst (%%rdi)");
    UNDEFINED("vmxon (%%rdi)");
    UNDEFINED("vmxoff");
    UNDEFINED("vmlaunch");
    UNDEFINED("vmresume");
    UNDEFINED("vmread %%rsi, %%rsi");
    UNDEFINED("vmread %%rsi, (%%rdi)");
    UNDEFINED("vmwrite %%rsi, %%rsi");
    UNDEFINED("vmwrite (%%rdi), %%rsi");
    UNDEFINED("invept (%%rdi), %%rsi");
    UNDEFINED("invvpid (%%rdi), %%rsi");
    UNDEFINED("mov $1, %%eax\n\tvmfunc");
    UNDEFINED("mov $63, %%eax\n\tvmfunc");
    UNDEFINED("mov $-1, %%eax\n\tvmfunc");
    if (!(guest_info()->features & TRAPLINE_FEATURE_VMFUNC))
        UNDEFINED("vmfunc");
    UNDEFINED("getsec");
    UNDEFINED("monitor");
    UNDEFINED("mwait");
    EXPECT_EQ(memory[0], 0);
}

/* The MSRs that a guest has; everything else is #GP, by reading and by writing. */
static const struct {
    uint32_t msr;
    bool read, write;
} msrs[] = {
    {0x10, true, false}, /* TSC */
    {0x174, true, true}, /* SYSENTER_CS, ESP, EIP */
    {0x175, true, true},       {0x176, true, true},
    {0x277, true, true},       /* PAT */
    {0xda0, true, true},       /* XSS, where XSAVES is shown; 0 only */
    {0xc0000080, true, false}, /* EFER; what may be written is tried below */
    {0xc0000081, true, true},  /* STAR, LSTAR, CSTAR, FMASK */
    {0xc0000082, true, true},  {0xc0000083, true, true},
    {0xc0000084, true, true},  {0xc0000100, true, true}, /* FS, GS, kernel GS base */
    {0xc0000101, true, true},  {0xc0000102, true, true},
    {0xc0000103, true, true}, /* TSC_AUX, where RDTSCP or RDPID is shown */
    {0x1b, true, true},       /* APIC base: what it holds */
    {0x6e0, true, true},      /* TSC deadline, where it is shown */
    {0x802, true, false},     /* x2APIC (SDM table 10-6): ID, version, TPR, PPR, EOI, LDR, SVR */
    {0x803, true, false},      {0x808, true, true},
    {0x80a, true, false},      {0x80b, false, true},
    {0x80d, true, false},      {0x80f, true, true},
    {0x828, true, true}, /* ESR, ICR, LVT, initial and current count, divide, self-IPI */
    {0x830, true, true},       {0x832, true, true},
    {0x833, true, true},       {0x834, true, true},
    {0x835, true, true},       {0x836, true, true},
    {0x837, true, true},       {0x838, true, true},
    {0x839, true, false},      {0x83e, true, true},
    {0x83f, false, true},
};

static bool msr_shown(uint32_t msr)
{
    if (msr == 0xda0)
        return (cpuid(1, 0).ecx & 1u << 26) && (cpuid(0xd, 1).eax & 1u << 3);
    if (msr == 0xc0000103)
        return (cpuid(0x80000001, 0).edx & 1u << 27) || (cpuid(7, 0).ecx & 1u << 22);
    if (msr == 0x277)
        return cpuid(1, 0).edx & 1u << 16;
    if (msr == 0x6e0)
        return cpuid(1, 0).ecx & 1u << 24;
    return true;
}

static bool msr_allowed(uint32_t msr, bool write)
{
    if (msr >= 0x810 && msr < 0x828) /* ISR, TMR, IRR */
        return !write;
    for (size_t i = 0; i < COUNT(msrs); i++) {
        if (msrs[i].msr == msr)
            return (write ? msrs[i].write : msrs[i].read) && msr_shown(msr);
    }
    return false;
}

static void sweep_msrs(uint32_t first, uint32_t count)
{
    for (uint32_t msr = first; msr - first < count; msr++) {
        uint64_t value = 0;
        int vector;

        check_at("MSR 0x%x", msr);
        vector = read_msr(msr, &value);
        EXPECT_EQ(vector, msr_allowed(msr, false) ? VECTOR_NONE : VECTOR_GP);
        if (vector == VECTOR_GP)
            EXPECT_EQ(except_state.error, 0);
        if (msr_allowed(msr, true))
            EXPECT_EQ(write_msr(msr, value), VECTOR_NONE);
        else if (msr != 0xc0000080)
            EXPECT_EQ(write_msr(msr, 0), VECTOR_GP);
    }
}

static void check_msrs(void)
{
    static const uint32_t others[] = {
        0x2000,     0x2001,     0xffff,     0x10000,    0x40000000, 0x40000001, 0x40000080,
        0x4b564d00, 0x80000000, 0xbfffffff, 0xc0002000, 0xc0010015, 0xc0010117, 0xffffffff,
    };

    sweep_msrs(0, 0x2000);
    sweep_msrs(0xc0000000, 0x2000);
    for (size_t i = 0; i < COUNT(others); i++)
        sweep_msrs(others[i], 1);
}

/* Values that an allowed MSR does not take. */
static void check_msr_values(void)
{
    const uint64_t high = 1ul << 63, not_canonical = 1ul << 47;
    static uint64_t efer, pat;
    const struct {
        uint32_t msr;
        uint64_t value;
    } rows[] = {
        {0xc0000080, 1u << 1}, /* EFER: reserved, and turning long mode off */
        {0xc0000080, 0x500 | 1u << 9},
        {0xc0000080, 0x500 | 1u << 12},
        {0xc0000080, 0x500 | 1u << 14},
        {0xc0000080, 0x500 | high},
        {0xc0000080, 0},
        {0xc0000080, ~0ul},
        {0x277, 0x0007040600070402}, /* PAT: a type of 2, of 3, of 8 */
        {0x277, 0x0307040600070406},
        {0x277, 0x0007040800070406},
        {0x277, ~0ul},
        {0xc0000100, not_canonical},
        {0xc0000101, not_canonical},
        {0xc0000102, not_canonical},
        {0xc0000082, not_canonical},
        {0x176, not_canonical},
    };

    EXPECT_EQ(read_msr(0xc0000080, &efer), VECTOR_NONE);
    EXPECT_EQ(read_msr(0x277, &pat), VECTOR_NONE);
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t before, after;

        check_at("MSR 0x%x = 0x%lx", rows[i].msr, rows[i].value);
        EXPECT_EQ(read_msr(rows[i].msr, &before), VECTOR_NONE);
        EXPECT_EQ(write_msr(rows[i].msr, rows[i].value), VECTOR_GP);
        EXPECT_EQ(read_msr(rows[i].msr, &after), VECTOR_NONE);
        EXPECT_EQ(after, before);
    }
    check_at("allowed values");
    EXPECT_EQ(write_msr(0xc0000080, efer | 1), VECTOR_NONE); /* SCE */
    EXPECT_EQ(write_msr(0xc0000080, efer), VECTOR_NONE);
    EXPECT_EQ(write_msr(0x277, 0x0606060606060606), VECTOR_NONE);
    EXPECT_EQ(hypercall_null(), 0);
    EXPECT_EQ(write_msr(0x277, pat), VECTOR_NONE);
}

/* Every port, by every sort of IN and OUT. */
static void check_ports(void)
{
    static const uint16_t ports[] = {0,     0x20,  0x21,  0x40,  0x60,  0x64,   0x70,   0x71,
                                     0x80,  0x92,  0xa0,  0xa1,  0xb2,  0xe9,   0x1f0,  0x3f8,
                                     0x402, 0x501, 0x510, 0xcf8, 0xcf9, 0x8900, 0x8a00, 0xffff};
    static uint32_t memory[4];
    int vector;

    for (uint32_t port = 0; port < 0x10000; port++) {
        check_at("port 0x%x", port);
        TRY(vector, "inb %%dx, %%al", , "d"(port), "rax");
        EXPECT_EQ(vector, VECTOR_GP);
        TRY(vector, "outb %%al, %%dx", , ARGS("d"(port), "a"(6)));
        EXPECT_EQ(vector, VECTOR_GP);
    }
    for (size_t i = 0; i < COUNT(ports); i++) {
        check_at("port 0x%x, wide and strings", ports[i]);
#define DENIED(text)                                                                               \
    do {                                                                                           \
        TRY(vector, text, , ARGS("d"(ports[i]), "a"(0x2006), "D"(memory), "S"(memory), "c"(2)));   \
        EXPECT_EQ(vector, VECTOR_GP);                                                              \
        EXPECT_EQ(memory[0], 0);                                                                   \
    } while (0)
        DENIED("inw %%dx, %%ax");
        DENIED("inl %%dx, %%eax");
        DENIED("outw %%ax, %%dx");
        DENIED("outl %%eax, %%dx");
        DENIED("insb");
        DENIED("insw");
        DENIED("insl");
        DENIED("outsb");
        DENIED("outsw");
        DENIED("outsl");
        DENIED("rep insb");
        DENIED("rep insl");
        DENIED("rep outsb");
        DENIED("rep outsl");
    }
    check_at("ports in the instruction");
    TRY_PLAIN(vector, "inb $0x64, %%al");
    EXPECT_EQ(vector, VECTOR_GP);
    TRY_PLAIN(vector, "mov $0xfe, %%al\n\toutb %%al, $0x64");
    EXPECT_EQ(vector, VECTOR_GP);
    TRY_PLAIN(vector, "inl $0xff, %%eax");
    EXPECT_EQ(vector, VECTOR_GP);
}

enum cr_bits {
    CR0_PE = 1u << 0,
    CR0_MP = 1u << 1,
    CR0_TS = 1u << 3,
    CR0_NE = 1u << 5,
    CR0_WP = 1u << 16,
    CR0_NW = 1u << 29,
    CR0_CD = 1u << 30,
};
#define CR0_PG (1ul << 31)

static void check_cr0(void)
{
    const uint64_t cr0 = read_cr(0);
    const struct {
        const char *name;
        uint64_t value;
        int vector;
        uint64_t reads;
    } rows[] = {
        {"CD", cr0 | CR0_CD, VECTOR_NONE, cr0 | CR0_CD},
        {"CD and NW", cr0 | CR0_CD | CR0_NW, VECTOR_NONE, cr0 | CR0_CD | CR0_NW},
        {"NW alone", cr0 | CR0_NW, VECTOR_GP, cr0},
        {"PG off", cr0 & ~CR0_PG, VECTOR_GP, cr0},
        {"PE off", cr0 & ~(uint64_t)CR0_PE, VECTOR_GP, cr0},
        {"both off", cr0 & ~(CR0_PG | CR0_PE), VECTOR_GP, cr0},
        {"bit 32", cr0 | 1ul << 32, VECTOR_GP, cr0},
        {"bit 63", cr0 | 1ul << 63, VECTOR_GP, cr0},
        {"all ones", ~0ul, VECTOR_GP, cr0},
        {"0", 0, VECTOR_GP, cr0},
        {"TS", cr0 | CR0_TS, VECTOR_NONE, cr0 | CR0_TS},
        {"WP off", cr0 & ~(uint64_t)CR0_WP, VECTOR_NONE, cr0 & ~(uint64_t)CR0_WP},
        {"NE off", cr0 & ~(uint64_t)CR0_NE, VECTOR_NONE, cr0 & ~(uint64_t)CR0_NE},
        {"undefined bits", cr0 | 1u << 10 | 1u << 20, VECTOR_NONE, cr0},
    };
    int vector;

    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t reads;

        check_at("%s", rows[i].name);
        vector = write_cr(0, rows[i].value);
        reads = read_cr(0);
        hypercall_null(); /* an entry with it */
        write_cr(0, cr0);
        EXPECT_EQ(vector, rows[i].vector);
        EXPECT_EQ(reads, rows[i].reads);
        EXPECT_EQ(read_cr(0), cr0);
    }
    check_at("LMSW cannot clear PE");
    TRY(vector, "lmsw %w0", , "r"(0));
    EXPECT_EQ(vector, VECTOR_NONE);
    EXPECT_EQ(read_cr(0), cr0 & ~(uint64_t)CR0_MP);
    check_at("LMSW sets TS, CLTS clears it");
    TRY(vector, "lmsw %w0", , "r"(CR0_PE | CR0_TS | CR0_MP));
    EXPECT_EQ(vector, VECTOR_NONE);
    EXPECT_EQ(read_cr(0), cr0 | CR0_TS);
    TRY_PLAIN(vector, "clts");
    EXPECT_EQ(vector, VECTOR_NONE);
    EXPECT_EQ(read_cr(0), cr0);
}

static void check_cr4(void)
{
    static const struct {
        const char *name;
        uint64_t bit;
    } denied[] = {
        {"MCE", 1u << 6},      {"PCE", 1u << 8},     {"LA57", 1u << 12},   {"VMXE", 1u << 13},
        {"SMXE", 1u << 14},    {"bit 15", 1u << 15}, {"bit 19", 1u << 19}, {"CET", 1u << 23},
        {"PKS", 1u << 24},     {"UINTR", 1u << 25},  {"bit 31", 1u << 31}, {"bit 32", 1ul << 32},
        {"bit 63", 1ul << 63},
    };
    const uint64_t cr4 = read_cr(4);
    const struct leaf seven = cpuid(7, 0);
    const struct {
        const char *name;
        uint64_t bit;
        bool shown;
    } features[] = {
        {"FSGSBASE", 1u << 16, seven.ebx & 1u << 0},
        {"UMIP", 1u << 11, seven.ecx & 1u << 2},
        {"OSXSAVE", 1u << 18, cpuid(1, 0).ecx & 1u << 26},
        {"TSD", 1u << 2, true},
        {"DE", 1u << 3, true},
        {"PGE", 1u << 7, true},
        {"PCIDE", 1u << 17, cpuid(1, 0).ecx & 1u << 17},
        {"PKE", 1u << 22, seven.ecx & 1u << 3},
    };

    for (size_t i = 0; i < COUNT(denied); i++) {
        check_at("%s", denied[i].name);
        EXPECT_EQ(write_cr(4, cr4 | denied[i].bit), VECTOR_GP);
        EXPECT_EQ(read_cr(4), cr4);
    }
    check_at("PAE off");
    EXPECT_EQ(write_cr(4, cr4 & ~(1ul << 5)), VECTOR_GP);
    EXPECT_EQ(read_cr(4), cr4);
    /* What CPUID shows can be turned on, and only that. */
    for (size_t i = 0; i < COUNT(features); i++) {
        const bool shown = features[i].shown;
        uint64_t reads;
        int vector;

        check_at("%s", features[i].name);
        vector = write_cr(4, cr4 | features[i].bit);
        reads = read_cr(4);
        hypercall_null();
        write_cr(4, cr4);
        EXPECT_EQ(vector, shown ? VECTOR_NONE : VECTOR_GP);
        EXPECT_EQ(reads, shown ? cr4 | features[i].bit : cr4);
    }
    EXPECT_EQ(read_cr(4), cr4);
}

static void check_cr8(void)
{
    for (uint64_t value = 0; value < 16; value++) {
        check_at("%lu", value);
        EXPECT_EQ(write_cr(8, value), VECTOR_NONE);
        EXPECT_EQ(read_cr(8), value);
    }
    check_at("16");
    EXPECT_EQ(write_cr(8, 16), VECTOR_GP);
    EXPECT_EQ(write_cr(8, 1ul << 63), VECTOR_GP);
    EXPECT_EQ(read_cr(8), 15);
    EXPECT_EQ(write_cr(8, 0), VECTOR_NONE);
    check_at("CR3, reserved bits");
    EXPECT_EQ(write_cr(3, read_cr(3) | 1ul << 60), VECTOR_GP);
}

static uint64_t read_xcr0(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static int write_xcr(uint32_t number, uint64_t value)
{
    int vector;

    TRY(vector, "xsetbv", , ARGS("c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))));
    return vector;
}

static void check_xcr0(void)
{
    const bool xsave = cpuid(1, 0).ecx & 1u << 26;
    const struct leaf shown = cpuid(0xd, 0);
    const uint64_t all = (uint64_t)shown.edx << 32 | shown.eax;
    const struct {
        uint32_t number;
        uint64_t value;
    } bad[] = {
        {0, 0},
        {0, 2},
        {0, 6},
        {0, 5}, /* AVX without SSE */
        {0, 0x23},
        {0, 0xe3},
        {0, 0x67},
        {0, 0x87}, /* parts of AVX-512 */
        {0, 1u << 8 | 3},
        {0, 1ul << 62 | 3},
        {0, 1ul << 63 | 3},
        {0, ~0ul},
        {0, 1u << 11 | 3}, /* CET */
        {1, 3},
        {~0u, 3},
        {0, all << 1 | 1 << 12},
    };

    if (!xsave) {
        EXPECT_EQ(write_xcr(0, 3), VECTOR_UD);
        return;
    }
    const uint64_t xcr0 = read_xcr0();
    for (size_t i = 0; i < COUNT(bad); i++) {
        check_at("XCR%u = 0x%lx", bad[i].number, bad[i].value);
        EXPECT_EQ(write_xcr(bad[i].number, bad[i].value), VECTOR_GP);
        EXPECT_EQ(read_xcr0(), xcr0);
    }
    check_at("what CPUID shows");
    EXPECT_EQ(write_xcr(0, all), VECTOR_NONE);
    EXPECT_EQ(read_xcr0(), all);
    EXPECT_EQ(write_xcr(0, 1), VECTOR_NONE);
    EXPECT_EQ(read_xcr0(), 1);
    EXPECT_EQ(write_xcr(0, xcr0), VECTOR_NONE);
}

/* Everything that CPUID can be asked is answered. */
static void check_cpuid(void)
{
    uint32_t sum = 0;

    for (uint32_t subleaf = 0; subleaf < 70; subleaf++) {
        for (uint32_t leaf = 0; leaf < 0x30; leaf++) {
            sum |= cpuid(leaf, subleaf).eax;
            cpuid(0x40000000 + leaf, subleaf);
            cpuid(0x80000000 + leaf, subleaf);
        }
        cpuid(~0u - subleaf, subleaf);
        cpuid(0x20000000 + subleaf, ~subleaf);
    }
    EXPECT(sum);
}

/* Instructions that have nothing to do here do nothing, and lose nothing. */
static void check_caches(void)
{
    static volatile uint64_t memory[8];
    int vector;

    memory[3] = 42;
    TRY_PLAIN(vector, "invd");
    EXPECT_EQ(vector, VECTOR_NONE);
    TRY_PLAIN(vector, "wbinvd");
    EXPECT_EQ(vector, VECTOR_NONE);
    EXPECT_EQ(memory[3], 42);
    check_at("RDPMC");
    TRY(vector, "rdpmc", , "c"(0), "rax", "rdx");
    EXPECT_EQ(vector, VECTOR_GP);
    TRY(vector, "rdpmc", , "c"(~0u), "rax", "rdx");
    EXPECT_EQ(vector, VECTOR_GP);
    check_at("RSM");
    TRY_PLAIN(vector, "rsm");
    EXPECT_EQ(vector, VECTOR_UD);
    check_at("PAUSE");
    TRY_PLAIN(vector, "pause");
    EXPECT_EQ(vector, VECTOR_NONE);
}

static const struct check checks[] = {
    {"hostile: VMX instructions", check_vmx},
    {"hostile: MSRs", check_msrs},
    {"hostile: values of MSRs", check_msr_values},
    {"hostile: ports", check_ports},
    {"hostile: CR0", check_cr0},
    {"hostile: CR4", check_cr4},
    {"hostile: CR8 and CR3", check_cr8},
    {"hostile: XCR0", check_xcr0},
    {"hostile: CPUID", check_cpuid},
    {"hostile: caches, counters, SMM", check_caches},
};

int main(void)
{
    except_init();
    return RUN_CHECKS(checks);
}
