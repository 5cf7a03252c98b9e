/* What CPUID shows a guest, over recorded CPUs, one that has every feature, and random ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/include/trapline/abi.h"
#include "hv/policy_cpuid.h"
#include "tests/unit/cpuid_sets.h"

enum {
    SETS = sizeof(cpuid_sets) / sizeof(cpuid_sets[0]),
    CPUS = SETS + 1, /* the last one has every feature */
    RANDOM_CPUS = 2000,
    VCPU_INDEX = 5,
    FEATURES = 0xb,
    SWITCHES = 1 << 6, /* of a policy, each on and off */
};

enum reg {
    EAX,
    EBX,
    ECX,
    EDX
};

/* What a shown bit depends on beside the CPU. */
enum condition {
    ALWAYS,
    WITH_XSAVE,
    WITH_AVX,
    WITH_AVX512,
    WITH_PKU,
    WITH_PCID,
    WITH_RDTSCP,
    WITH_INVPCID,
    WITH_PAT,
    WITH_ERMS,
};

struct shown {
    uint32_t leaf;
    enum reg reg;
    unsigned bit;
    enum condition condition;
};

/* Every feature bit that a guest may see, by its place in the SDM (volume 2A, CPUID). */
static const struct shown shown[] = {
    {1, ECX, 0, ALWAYS},           /* SSE3 */
    {1, ECX, 1, ALWAYS},           /* PCLMULQDQ */
    {1, ECX, 9, ALWAYS},           /* SSSE3 */
    {1, ECX, 12, WITH_AVX},        /* FMA */
    {1, ECX, 13, ALWAYS},          /* CMPXCHG16B */
    {1, ECX, 17, WITH_PCID},       /* PCID */
    {1, ECX, 19, ALWAYS},          /* SSE4.1 */
    {1, ECX, 20, ALWAYS},          /* SSE4.2 */
    {1, ECX, 22, ALWAYS},          /* MOVBE */
    {1, ECX, 23, ALWAYS},          /* POPCNT */
    {1, ECX, 25, ALWAYS},          /* AESNI */
    {1, ECX, 26, WITH_XSAVE},      /* XSAVE */
    {1, ECX, 28, WITH_AVX},        /* AVX */
    {1, ECX, 29, WITH_AVX},        /* F16C */
    {1, ECX, 30, ALWAYS},          /* RDRAND */
    {1, EDX, 0, ALWAYS},           /* FPU */
    {1, EDX, 1, ALWAYS},           /* VME */
    {1, EDX, 2, ALWAYS},           /* DE */
    {1, EDX, 3, ALWAYS},           /* PSE */
    {1, EDX, 4, ALWAYS},           /* TSC */
    {1, EDX, 5, ALWAYS},           /* MSR */
    {1, EDX, 6, ALWAYS},           /* PAE */
    {1, EDX, 8, ALWAYS},           /* CMPXCHG8B */
    {1, EDX, 11, ALWAYS},          /* SYSENTER */
    {1, EDX, 13, ALWAYS},          /* PGE */
    {1, EDX, 15, ALWAYS},          /* CMOV */
    {1, EDX, 16, WITH_PAT},        /* PAT */
    {1, EDX, 17, ALWAYS},          /* PSE-36 */
    {1, EDX, 19, ALWAYS},          /* CLFLUSH */
    {1, EDX, 23, ALWAYS},          /* MMX */
    {1, EDX, 24, ALWAYS},          /* FXSR */
    {1, EDX, 25, ALWAYS},          /* SSE */
    {1, EDX, 26, ALWAYS},          /* SSE2 */
    {1, EDX, 27, ALWAYS},          /* self snoop */
    {7, EBX, 0, ALWAYS},           /* FSGSBASE */
    {7, EBX, 3, ALWAYS},           /* BMI1 */
    {7, EBX, 5, WITH_AVX},         /* AVX2 */
    {7, EBX, 7, ALWAYS},           /* SMEP */
    {7, EBX, 8, ALWAYS},           /* BMI2 */
    {7, EBX, 9, ALWAYS},           /* ERMS */
    {7, EBX, 10, WITH_INVPCID},    /* INVPCID */
    {7, EBX, 16, WITH_AVX512},     /* AVX512F */
    {7, EBX, 17, WITH_AVX512},     /* AVX512DQ */
    {7, EBX, 18, ALWAYS},          /* RDSEED */
    {7, EBX, 19, ALWAYS},          /* ADX */
    {7, EBX, 20, ALWAYS},          /* SMAP */
    {7, EBX, 21, WITH_AVX512},     /* AVX512_IFMA */
    {7, EBX, 23, ALWAYS},          /* CLFLUSHOPT */
    {7, EBX, 24, ALWAYS},          /* CLWB */
    {7, EBX, 28, WITH_AVX512},     /* AVX512CD */
    {7, EBX, 29, ALWAYS},          /* SHA */
    {7, EBX, 30, WITH_AVX512},     /* AVX512BW */
    {7, EBX, 31, WITH_AVX512},     /* AVX512VL */
    {7, ECX, 1, WITH_AVX512},      /* AVX512_VBMI */
    {7, ECX, 2, ALWAYS},           /* UMIP */
    {7, ECX, 3, WITH_PKU},         /* PKU */
    {7, ECX, 6, WITH_AVX512},      /* AVX512_VBMI2 */
    {7, ECX, 8, ALWAYS},           /* GFNI */
    {7, ECX, 9, WITH_AVX},         /* VAES */
    {7, ECX, 10, WITH_AVX},        /* VPCLMULQDQ */
    {7, ECX, 11, WITH_AVX512},     /* AVX512_VNNI */
    {7, ECX, 12, WITH_AVX512},     /* AVX512_BITALG */
    {7, ECX, 14, WITH_AVX512},     /* AVX512_VPOPCNTDQ */
    {7, ECX, 22, WITH_RDTSCP},     /* RDPID */
    {7, EDX, 2, WITH_AVX512},      /* AVX512_4VNNIW */
    {7, EDX, 3, WITH_AVX512},      /* AVX512_4FMAPS */
    {7, EDX, 4, WITH_ERMS},        /* fast short REP MOV */
    {7, EDX, 8, WITH_AVX512},      /* AVX512_VP2INTERSECT */
    {0x80000001, ECX, 0, ALWAYS},  /* LAHF in 64-bit mode */
    {0x80000001, ECX, 5, ALWAYS},  /* LZCNT */
    {0x80000001, ECX, 8, ALWAYS},  /* PREFETCHW */
    {0x80000001, EDX, 11, ALWAYS}, /* SYSCALL */
    {0x80000001, EDX, 20, ALWAYS}, /* NX */
    {0x80000001, EDX, 26, ALWAYS}, /* 1-GiB pages */
    {0x80000001, EDX, 27, WITH_RDTSCP},
    {0x80000001, EDX, 29, ALWAYS}, /* Intel 64 */
};

/* What must never be seen, by name: no state of these is switched, or the hypervisor owns it. */
static const struct hidden {
    const char *name;
    uint32_t leaf;
    enum reg reg;
    unsigned bit;
} hidden[] = {
    {"DTES64", 1, ECX, 2},
    {"MONITOR", 1, ECX, 3},
    {"VMX", 1, ECX, 5},
    {"SMX", 1, ECX, 6},
    {"EIST", 1, ECX, 7},
    {"TM2", 1, ECX, 8},
    {"SDBG", 1, ECX, 11},
    {"PDCM (perf capabilities)", 1, ECX, 15},
    {"MCE", 1, EDX, 7},
    {"MTRR", 1, EDX, 12},
    {"MCA", 1, EDX, 14},
    {"DS", 1, EDX, 21},
    {"ACPI", 1, EDX, 22},
    {"TM", 1, EDX, 29},
    {"TSC_ADJUST", 7, EBX, 1},
    {"SGX", 7, EBX, 2},
    {"HLE", 7, EBX, 4},
    {"RTM", 7, EBX, 11},
    {"RDT-M", 7, EBX, 12},
    {"MPX", 7, EBX, 14},
    {"Processor Trace", 7, EBX, 25},
    {"WAITPKG", 7, ECX, 5},
    {"CET_SS", 7, ECX, 7},
    {"TME", 7, ECX, 13},
    {"LA57", 7, ECX, 16},
    {"KEY LOCKER", 7, ECX, 23},
    {"ENQCMD", 7, ECX, 29},
    {"SGX_LC", 7, ECX, 30},
    {"PKS", 7, ECX, 31},
    {"UINTR", 7, EDX, 5},
    {"SRBDS_CTRL", 7, EDX, 9},
    {"MD_CLEAR", 7, EDX, 10},
    {"RTM_FORCE_ABORT", 7, EDX, 13},
    {"PCONFIG", 7, EDX, 18},
    {"architectural LBRs", 7, EDX, 19},
    {"CET_IBT", 7, EDX, 20},
    {"AMX-BF16", 7, EDX, 22},
    {"AMX-TILE", 7, EDX, 24},
    {"AMX-INT8", 7, EDX, 25},
    {"IBRS and IBPB", 7, EDX, 26},
    {"STIBP", 7, EDX, 27},
    {"L1D_FLUSH", 7, EDX, 28},
    {"ARCH_CAPABILITIES", 7, EDX, 29},
    {"CORE_CAPABILITIES", 7, EDX, 30},
    {"SSBD", 7, EDX, 31},
};

/* Leaves that say nothing to a guest: MONITOR, power, perf, QoS, SGX, PT, and those above. */
static const uint32_t empty_leaves[] = {
    3,          5,          6,          8,          9,          0xa,        0xc,
    0xe,        0xf,        0x10,       0x11,       0x12,       0x13,       0x14,
    0x17,       0x18,       0x19,       0x1a,       0x1b,       0x1c,       0x1d,
    0x1e,       0x1f,       0x20,       0x21,       0x80000005, 0x80000009, 0x8000000a,
    0x8000001f, 0x3fffffff, 0x50000000, 0xc0000000, 0xffffffff};

static const uint64_t xcr0_choices[] = {
    0,
    XCR0_X87 | XCR0_SSE,
    XCR0_X87 | XCR0_SSE | XCR0_AVX,
    XCR0_X87 | XCR0_SSE | XCR0_PKRU,
    XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_PKRU,
    XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512,
    XCR0_SWITCHED,
};

static const uint64_t cr4_choices[] = {CR4_PAE, CR4_PAE | CR4_OSXSAVE, CR4_PAE | CR4_PKE,
                                       CR4_PAE | CR4_OSXSAVE | CR4_PKE};

static unsigned cpu; /* whose CPUID raw() answers */
static struct cpuid_regs random_leaf_1, random_leaf_7;
static uint64_t seed;

static uint32_t random32(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 32);
}

/* A CPU with all features; its XSAVE area is laid out as the SDM's standard format is. */
static struct cpuid_regs everything(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs all = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};

    if (leaf == 0)
        all.eax = 0x21;
    if (leaf == 0x80000000)
        all.eax = 0x8000001f;
    if (leaf == 0xd && subleaf == 0)
        all = (struct cpuid_regs){0x602e7, 576, 11008, 0};
    if (leaf == 0xd && subleaf > 1)
        all = (struct cpuid_regs){64, 576 + 64 * subleaf, 7, 0};
    return all;
}

static struct cpuid_regs raw(uint32_t leaf, uint32_t subleaf)
{
    static const struct cpuid_regs nothing;

    if (cpu == SETS)
        return everything(leaf, subleaf);
    if (cpu > SETS && leaf == 1)
        return random_leaf_1;
    if (cpu > SETS && leaf == 7)
        return random_leaf_7;
    if (cpu > SETS)
        return everything(leaf, subleaf);
    for (unsigned i = 0; i < cpuid_sets[cpu].count; i++) {
        const struct cpuid_entry *entry = &cpuid_sets[cpu].entries[i];

        if (entry->leaf == leaf && entry->subleaf == subleaf)
            return entry->regs;
    }
    return nothing;
}

static uint32_t reg_of(struct cpuid_regs r, enum reg reg)
{
    const uint32_t all[] = {r.eax, r.ebx, r.ecx, r.edx};

    return all[reg];
}

static bool bit_of(struct cpuid_regs r, enum reg reg, unsigned bit)
{
    return reg_of(r, reg) >> bit & 1;
}

static uint64_t host_xcr0(void)
{
    struct cpuid_regs r = raw(0xd, 0);

    return raw(0, 0).eax < 0xd || !bit_of(raw(1, 0), ECX, 26) ? 0 : (uint64_t)r.edx << 32 | r.eax;
}

static bool meets(const struct cpuid_policy *policy, enum condition condition)
{
    switch (condition) {
    case ALWAYS: return true;
    case WITH_XSAVE: return policy->xcr0_max != 0;
    case WITH_AVX: return policy->xcr0_max & 1u << 2;
    case WITH_AVX512: return (policy->xcr0_max & 0xe0) == 0xe0;
    case WITH_PKU: return policy->pku;
    case WITH_PCID: return policy->pcid;
    case WITH_RDTSCP: return policy->rdtscp;
    case WITH_INVPCID: return policy->invpcid;
    case WITH_PAT: return policy->pat;
    case WITH_ERMS: return bit_of(raw(7, 0), EBX, 9);
    }
    return false;
}

static bool same(struct cpuid_regs a, struct cpuid_regs b)
{
    return a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
}

static bool empty(struct cpuid_regs r)
{
    return same(r, (struct cpuid_regs){0, 0, 0, 0});
}

/* Call check with every policy that can be on every CPU but the random ones. */
static void for_each_policy(void (*check)(const struct cpuid_policy *policy))
{
    for (cpu = 0; cpu < CPUS; cpu++) {
        for (unsigned i = 0; i < SWITCHES * sizeof(xcr0_choices) / sizeof(xcr0_choices[0]); i++) {
            for (unsigned j = 0; j < sizeof(cr4_choices) / sizeof(cr4_choices[0]); j++) {
                struct cpuid_policy policy = {
                    .features = FEATURES,
                    .vcpu_index = VCPU_INDEX,
                    .xcr0_max = xcr0_choices[i / SWITCHES],
                    .guest_cr4 = cr4_choices[j],
                    .rdtscp = i & 1,
                    .invpcid = i & 2,
                    .xsaves = i & 4,
                    .pat = i & 8,
                    .pku = i & 16,
                    .pcid = i & 32,
                    .tsc_deadline = j & 1,
                    .raw = raw,
                };

                if (!(policy.xcr0_max & ~host_xcr0()))
                    check(&policy);
            }
        }
    }
}

/* A bit is shown exactly when the CPU has it, it is in the table and its condition holds. */
static void check_feature_bits(const struct cpuid_policy *policy)
{
    static const struct {
        uint32_t leaf;
        enum reg reg;
    } words[] = {{1, ECX}, {1, EDX},          {7, EBX},          {7, ECX},
                 {7, EDX}, {0x80000001, ECX}, {0x80000001, EDX}, {7, EAX}};

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        uint32_t expected = 0;
        bool in_range = words[i].leaf >= 0x80000000 || words[i].leaf <= raw(0, 0).eax;

        for (unsigned j = 0; j < sizeof(shown) / sizeof(shown[0]); j++) {
            if (shown[j].leaf == words[i].leaf && shown[j].reg == words[i].reg && in_range &&
                bit_of(raw(shown[j].leaf, 0), shown[j].reg, shown[j].bit) &&
                meets(policy, shown[j].condition))
                expected |= 1u << shown[j].bit;
        }
        if (words[i].leaf == 1 && words[i].reg == ECX) {
            expected |= 1u << 31 | 1u << 21; /* a hypervisor and a virtual x2APIC are there */
            if (policy->tsc_deadline)
                expected |= 1u << 24;
            if (policy->xcr0_max && (policy->guest_cr4 & CR4_OSXSAVE))
                expected |= 1u << 27;
        }
        if (words[i].leaf == 1 && words[i].reg == EDX)
            expected |= 1u << 9;
        if (words[i].leaf == 7 && words[i].reg == ECX && policy->pku &&
            (policy->guest_cr4 & CR4_PKE))
            expected |= 1u << 4;
        assert_int_equal(reg_of(policy_cpuid(policy, words[i].leaf, 0), words[i].reg), expected);
    }
}

static void test_feature_bits(void **state)
{
    (void)state;
    for_each_policy(check_feature_bits);
}

static void check_hidden(const struct cpuid_policy *policy)
{
    for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        if (bit_of(policy_cpuid(policy, hidden[i].leaf, 0), hidden[i].reg, hidden[i].bit))
            fail_msg("%s is shown", hidden[i].name);
    }
    for (unsigned i = 0; i < sizeof(empty_leaves) / sizeof(empty_leaves[0]); i++) {
        for (uint32_t subleaf = 0; subleaf < 4; subleaf++)
            assert_true(empty(policy_cpuid(policy, empty_leaves[i], subleaf)));
    }
    for (uint32_t subleaf = 1; subleaf < 4; subleaf++)
        assert_true(empty(policy_cpuid(policy, 7, subleaf)));
}

static void test_hidden(void **state)
{
    (void)state;
    for_each_policy(check_hidden);
    /* The list is worth nothing unless some CPU of the test has what it names. */
    cpu = SETS;
    for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        assert_true(bit_of(raw(hidden[i].leaf, 0), hidden[i].reg, hidden[i].bit));
}

static void check_plain_leaves(const struct cpuid_policy *policy)
{
    struct cpuid_regs host = raw(0, 0), r = policy_cpuid(policy, 0, 0);

    assert_int_equal(r.eax, host.eax < 0x16 ? host.eax : 0x16);
    assert_true(r.ebx == host.ebx && r.ecx == host.ecx && r.edx == host.edx);
    r = policy_cpuid(policy, 1, 0);
    assert_int_equal(r.eax, raw(1, 0).eax);
    assert_int_equal(r.ebx >> 24, VCPU_INDEX);
    assert_int_equal(r.ebx >> 16 & 0xff, 1);
    assert_int_equal(r.ebx >> 8 & 0xff, raw(1, 0).ebx >> 8 & 0xff); /* CLFLUSH line size */
    assert_int_equal(r.ebx & 0xff, 0);
    r = policy_cpuid(policy, 0xb, 1);
    assert_true(raw(0, 0).eax < 0xb || same(r, (struct cpuid_regs){0, 0, 1, VCPU_INDEX}));
    for (uint32_t i = 0; i < 4; i++) { /* caches: one core, one thread, nothing else changed */
        host = raw(4, i);
        r = policy_cpuid(policy, 4, i);
        assert_int_equal(r.eax, host.eax & 0x3fff);
        assert_true(r.ebx == host.ebx && r.ecx == host.ecx && r.edx == host.edx);
    }
    r = policy_cpuid(policy, 0x80000000, 0);
    assert_int_equal(r.eax, 0x80000008);
    for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; leaf++)
        assert_true(same(policy_cpuid(policy, leaf, 0), raw(leaf, 0)));
    assert_true(same(policy_cpuid(policy, 0x80000007, 0),
                     (struct cpuid_regs){0, 0, 0, raw(0x80000007, 0).edx & 0x100}));
    assert_true(same(policy_cpuid(policy, 0x80000008, 0),
                     (struct cpuid_regs){raw(0x80000008, 0).eax & 0xffff, 0, 0, 0}));
    assert_true(empty(policy_cpuid(policy, raw(0, 0).eax + 1, 0)));
}

static void test_plain_leaves(void **state)
{
    (void)state;
    for_each_policy(check_plain_leaves);
}

static void check_hypervisor_leaves(const struct cpuid_policy *policy)
{
    struct cpuid_regs r = policy_cpuid(policy, TRAPLINE_CPUID_SIGNATURE, 0);
    char text[13] = "";

    assert_int_equal(r.eax, TRAPLINE_CPUID_VERSION);
    memcpy(text, &r.ebx, 4);
    memcpy(text + 4, &r.ecx, 4);
    memcpy(text + 8, &r.edx, 4);
    assert_memory_equal(text, "TraplineHV\0\0", 12);
    r = policy_cpuid(policy, TRAPLINE_CPUID_VERSION, 7);
    assert_true(same(r, (struct cpuid_regs){TRAPLINE_ABI_VERSION, FEATURES, 0, 0}));
    for (uint32_t leaf = TRAPLINE_CPUID_VERSION + 1; leaf < TRAPLINE_CPUID_VERSION + 300; leaf++)
        assert_true(empty(policy_cpuid(policy, leaf, 0)));
    assert_true(empty(policy_cpuid(policy, 0x4fffffff, 0)));
}

static void test_hypervisor_leaves(void **state)
{
    (void)state;
    for_each_policy(check_hypervisor_leaves);
}

/* SDM 13.2: masks, the sizes that hold what the masks allow, one subleaf a component. */
static void check_xsave(const struct cpuid_policy *policy)
{
    struct cpuid_regs zero = policy_cpuid(policy, 0xd, 0), one = policy_cpuid(policy, 0xd, 1);
    uint32_t needed = 576;

    if (!policy->xcr0_max) {
        for (uint32_t i = 0; i < 70; i++)
            assert_true(empty(policy_cpuid(policy, 0xd, i)));
        return;
    }
    assert_int_equal((uint64_t)zero.edx << 32 | zero.eax, policy->xcr0_max);
    assert_int_equal(zero.ebx, raw(0xd, 0).ebx); /* the CPU's answer for the guest's XCR0 */
    for (uint32_t i = 2; i < 63; i++) {
        struct cpuid_regs r = policy_cpuid(policy, 0xd, i);

        if (!(policy->xcr0_max >> i & 1)) {
            assert_true(empty(r));
            continue;
        }
        assert_true(same(r, raw(0xd, i)));
        if (r.eax && r.ebx + r.eax > needed)
            needed = r.ebx + r.eax;
        if (!r.eax) /* the model does not say: nothing less than the whole area is safe */
            needed = raw(0xd, 0).ecx;
    }
    assert_int_equal(zero.ecx, needed);
    assert_true(empty(policy_cpuid(policy, 0xd, 63)) && empty(policy_cpuid(policy, 0xd, 64)));
    assert_int_equal(one.eax, raw(0xd, 1).eax & (policy->xsaves ? 0xf : 0x7));
    assert_int_equal(one.ebx, raw(0xd, 1).ebx); /* XSAVEC's size, with XSAVES or without */
    assert_int_equal(one.ecx, 0);               /* no supervisor component */
    assert_int_equal(one.edx, 0);
}

static void test_xsave(void **state)
{
    struct cpuid_policy policy = {.xcr0_max = XCR0_X87 | XCR0_SSE | XCR0_AVX, .raw = raw};

    (void)state;
    for_each_policy(check_xsave);
    /* On AVX-512 CPUs a guest without it has the area of one that ends with AVX. */
    cpu = 3;
    assert_int_equal(policy_cpuid(&policy, 0xd, 0).ecx, 0x340);
    policy.xcr0_max |= XCR0_AVX512;
    assert_int_equal(policy_cpuid(&policy, 0xd, 0).ecx, 0xa80);
    assert_int_equal(raw(0xd, 0).ecx, 0xa80);
}

/* An instruction that a control enables is shown exactly when the control is on. */
static void check_controls(const struct cpuid_policy *policy)
{
    bool has_7 = raw(0, 0).eax >= 7;

    assert_int_equal(bit_of(policy_cpuid(policy, 0x80000001, 0), EDX, 27),
                     policy->rdtscp && bit_of(raw(0x80000001, 0), EDX, 27));
    assert_int_equal(bit_of(policy_cpuid(policy, 7, 0), ECX, 22),
                     has_7 && policy->rdtscp && bit_of(raw(7, 0), ECX, 22));
    assert_int_equal(bit_of(policy_cpuid(policy, 7, 0), EBX, 10),
                     has_7 && policy->invpcid && bit_of(raw(7, 0), EBX, 10));
    assert_int_equal(bit_of(policy_cpuid(policy, 7, 0), ECX, 3),
                     has_7 && policy->pku && bit_of(raw(7, 0), ECX, 3));
    assert_int_equal(bit_of(policy_cpuid(policy, 1, 0), ECX, 17),
                     policy->pcid && bit_of(raw(1, 0), ECX, 17));
    assert_int_equal(bit_of(policy_cpuid(policy, 0xd, 1), EAX, 3),
                     policy->xsaves && policy->xcr0_max && bit_of(raw(0xd, 1), EAX, 3));
}

static void test_controls(void **state)
{
    (void)state;
    for_each_policy(check_controls);
}

/* Which CPUID bit says that a bit of CR4 can be set (SDM 2.5). */
static const struct cr4_feature {
    uint64_t cr4;
    uint32_t leaf;
    enum reg reg;
    unsigned bit;
} cr4_features[] = {
    {CR4_VME, 1, EDX, 1},      {CR4_PVI, 1, EDX, 1},      {CR4_TSD, 1, EDX, 4},
    {CR4_DE, 1, EDX, 2},       {CR4_PSE, 1, EDX, 3},      {CR4_PAE, 1, EDX, 6},
    {CR4_PGE, 1, EDX, 13},     {CR4_OSFXSR, 1, EDX, 24},  {CR4_OSXMMEXCPT, 1, EDX, 25},
    {CR4_UMIP, 7, ECX, 2},     {CR4_FSGSBASE, 7, EBX, 0}, {CR4_PCIDE, 1, ECX, 17},
    {CR4_OSXSAVE, 1, ECX, 26}, {CR4_SMEP, 7, EBX, 7},     {CR4_SMAP, 7, EBX, 20},
    {CR4_PKE, 7, ECX, 3},
};

static void check_cr4(const struct cpuid_policy *policy)
{
    uint64_t expected = 0;

    for (unsigned i = 0; i < sizeof(cr4_features) / sizeof(cr4_features[0]); i++) {
        const struct cr4_feature *f = &cr4_features[i];

        if (bit_of(policy_cpuid(policy, f->leaf, 0), f->reg, f->bit))
            expected |= f->cr4;
    }
    assert_int_equal(policy_cr4_allowed(policy), expected);
}

static void test_cr4_agrees_with_cpuid(void **state)
{
    (void)state;
    for_each_policy(check_cr4);
    seed = 1;
    cpu = SETS + 1;
    for (unsigned i = 0; i < RANDOM_CPUS; i++) {
        struct cpuid_policy policy = {
            .xcr0_max = xcr0_choices[random32() % 7],
            .rdtscp = random32() & 1,
            .invpcid = random32() & 1,
            .pku = random32() & 1,
            .pcid = random32() & 1,
            .raw = raw,
        };

        /* Every Intel 64 CPU has TSC, DE, PSE, PAE, PGE, FXSR and SSE. */
        random_leaf_1 = (struct cpuid_regs){0, 0, random32() | 1u << 26, random32() | 0x0300205c};
        random_leaf_7 = (struct cpuid_regs){0, random32(), random32(), random32()};
        check_cr4(&policy);
        check_hidden(&policy);
    }
}

/* The same for a CPU's lifetime: what was allowed stays what CPUID shows, whatever CR4 holds. */
static void check_cr4_is_constant(const struct cpuid_policy *policy)
{
    struct cpuid_policy other = *policy;

    other.guest_cr4 = 0;
    assert_int_equal(policy_cr4_allowed(policy), policy_cr4_allowed(&other));
}

static void test_cr4_does_not_depend_on_cr4(void **state)
{
    (void)state;
    for_each_policy(check_cr4_is_constant);
}

/* SDM 13.3 and volume 2, XSETBV, rule by rule. */
static bool xcr0_oracle(uint64_t value, uint64_t max)
{
    bool x87 = value & 1, sse = value & 2, avx = value & 4;
    unsigned avx512 = (value >> 5 & 1) + (value >> 6 & 1) + (value >> 7 & 1);

    for (unsigned bit = 0; bit < 64; bit++) {
        if ((value >> bit & 1) && !(max >> bit & 1))
            return false;
    }
    if (avx512 != 0 && avx512 != 3)
        return false;
    if (avx512 == 3 && !avx)
        return false;
    if (avx && !sse)
        return false;
    return x87;
}

static void test_xcr0(void **state)
{
    unsigned valid = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(xcr0_choices) / sizeof(xcr0_choices[0]); i++) {
        uint64_t max = xcr0_choices[i];

        for (uint64_t value = 0; value < 1u << 20; value++) {
            bool expected = xcr0_oracle(value, max);

            assert_int_equal(policy_xcr0_valid(value, max), expected);
            valid += expected;
        }
        for (unsigned bit = 20; bit < 64; bit++)
            assert_false(policy_xcr0_valid(max | 1ull << bit, max));
    }
    assert_int_equal(valid, 0 + 2 + 3 + 4 + 6 + 4 + 8);
}

/* What a guest may be shown of XCR0: what the CPU has, and PKRU only where it has a place. */
static void test_xcr0_max(void **state)
{
    static const uint64_t expected[CPUS] = {0, 7, 7, 0xe7, 0xe7, 0xe7, 0x2e7};

    (void)state;
    for (cpu = 0; cpu < CPUS; cpu++) {
        const uint64_t with = policy_xcr0_max(raw, true);

        assert_int_equal(with, expected[cpu]);
        assert_int_equal(with & ~host_xcr0(), 0);
        assert_int_equal(policy_xcr0_max(raw, false), with & ~(uint64_t)XCR0_PKRU);
    }
}

/* Protection keys need no component of XSAVE: Bochs' models have the one and hide the other. */
static void test_pku_without_xsave(void **state)
{
    const struct cpuid_policy policy = {.pku = true, .guest_cr4 = CR4_PKE, .raw = raw};

    (void)state;
    cpu = SETS;
    assert_true(bit_of(policy_cpuid(&policy, 7, 0), ECX, 3));
    assert_true(bit_of(policy_cpuid(&policy, 7, 0), ECX, 4));
    assert_true(policy_cr4_allowed(&policy) & CR4_PKE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feature_bits),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_plain_leaves),
        cmocka_unit_test(test_hypervisor_leaves),
        cmocka_unit_test(test_xsave),
        cmocka_unit_test(test_controls),
        cmocka_unit_test(test_cr4_agrees_with_cpuid),
        cmocka_unit_test(test_cr4_does_not_depend_on_cr4),
        cmocka_unit_test(test_xcr0),
        cmocka_unit_test(test_xcr0_max),
        cmocka_unit_test(test_pku_without_xsave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
