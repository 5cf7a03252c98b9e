/* The preflight over a CPU that has everything, and with each thing taken away in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/preflight.h"

enum {
    FEATURES_EDX = CPUID_1_EDX_APIC | CPUID_1_EDX_MTRR | CPUID_1_EDX_PAT,
    FEATURES_ECX = CPUID_1_ECX_VMX | CPUID_1_ECX_X2APIC | CPUID_1_ECX_XSAVE,
    EXTENDED_EDX =
        CPUID_80000001_EDX_NX | CPUID_80000001_EDX_LONG_MODE | CPUID_80000001_EDX_PAGE_1G,
};

#define ANY_CONTROL 0xffffffff00000000ull /* nothing must be 1, everything may */

/* A CPU to take things from. */
struct machine {
    struct cpuid_regs vendor, features, extended, invariant;
    uint64_t feature_control, basic, misc, ept_vpid, vmfunc;
    uint64_t pin, proc, proc2, exit, entry;
    unsigned msr_reads;
};

static struct machine machine;
static struct preflight preflight;

static struct cpuid_regs read_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
    const struct machine *m = ctx;

    (void)subleaf;
    switch (leaf) {
    case CPUID_LEAF_VENDOR: return m->vendor;
    case CPUID_LEAF_FEATURES: return m->features;
    case CPUID_LEAF_EXTENDED: return (struct cpuid_regs){CPUID_LEAF_ADDRESS_SIZES, 0, 0, 0};
    case CPUID_LEAF_EXTENDED_1: return m->extended;
    case CPUID_LEAF_EXTENDED_7: return m->invariant;
    case CPUID_LEAF_ADDRESS_SIZES: return (struct cpuid_regs){0x3027, 0, 0, 0};
    default: return (struct cpuid_regs){0};
    }
}

static uint64_t read_msr(void *ctx, uint32_t msr)
{
    struct machine *m = ctx;

    m->msr_reads++;
    if (!(m->features.ecx & CPUID_1_ECX_VMX))
        fail_msg("MSR 0x%x read on a CPU without VMX", msr);
    switch (msr) {
    case MSR_IA32_FEATURE_CONTROL: return m->feature_control;
    case MSR_IA32_VMX_BASIC: return m->basic;
    case MSR_IA32_VMX_MISC: return m->misc;
    case MSR_IA32_VMX_PINBASED_CTLS:
    case MSR_IA32_VMX_TRUE_PINBASED_CTLS: return m->pin;
    case MSR_IA32_VMX_PROCBASED_CTLS:
    case MSR_IA32_VMX_TRUE_PROCBASED_CTLS: return m->proc;
    case MSR_IA32_VMX_PROCBASED_CTLS2:
        if (!(m->proc >> 32 & VMX_PROC_SECONDARY_CONTROLS))
            fail_msg("secondary controls read where there are none");
        return m->proc2;
    case MSR_IA32_VMX_EXIT_CTLS:
    case MSR_IA32_VMX_TRUE_EXIT_CTLS: return m->exit;
    case MSR_IA32_VMX_ENTRY_CTLS:
    case MSR_IA32_VMX_TRUE_ENTRY_CTLS: return m->entry;
    case MSR_IA32_VMX_EPT_VPID_CAP: return m->ept_vpid;
    case MSR_IA32_VMX_VMFUNC: return m->vmfunc;
    default: return 0;
    }
}

static const struct vmx_cpu_reader reader = {read_cpuid, read_msr, &machine};

static int whole_machine(void **state)
{
    (void)state;
    machine = (struct machine){
        .vendor = {7, CPUID_VENDOR_INTEL_EBX, CPUID_VENDOR_INTEL_ECX, CPUID_VENDOR_INTEL_EDX},
        .features = {0, 0, FEATURES_ECX, FEATURES_EDX},
        .extended = {0, 0, 0, EXTENDED_EDX},
        .invariant = {0, 0, 0, CPUID_80000007_EDX_INVARIANT_TSC},
        .feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX,
        .basic = VMX_BASIC_TRUE_CONTROLS,
        .ept_vpid = ~0ull,
        .vmfunc = VMX_VMFUNC_EPTP_SWITCHING,
        .pin = ANY_CONTROL,
        .proc = ANY_CONTROL,
        .proc2 = ANY_CONTROL,
        .exit = ANY_CONTROL,
        .entry = ANY_CONTROL,
    };
    return 0;
}

static const struct preflight_item *find(const char *name)
{
    for (uint32_t i = 0; i < preflight.count; i++) {
        if (strcmp(preflight.items[i].name, name) == 0)
            return &preflight.items[i];
    }
    fail_msg("no item '%s'", name);
    return NULL;
}

static const struct preflight_item *check(uint64_t cr4)
{
    preflight_check(&preflight, &reader, cr4);
    for (uint32_t i = 0; i < preflight.count; i++) {
        const struct preflight_item *item = &preflight.items[i];
        if (item->required && item->state == PREFLIGHT_MISSING)
            assert_true(item->note != NULL && strlen(item->note) > 10);
    }
    return preflight_missing(&preflight);
}

static void expect_missing(const char *name)
{
    const struct preflight_item *missing = check(0);

    assert_non_null(missing);
    assert_string_equal(missing->name, name);
    assert_int_equal(missing->state, PREFLIGHT_MISSING);
}

static void nothing_missing(void **state)
{
    char line[PREFLIGHT_LINE_LEN];

    (void)state;
    assert_null(check(0));
    for (uint32_t i = 0; i < preflight.count; i++)
        assert_int_equal(preflight.items[i].state, PREFLIGHT_PRESENT);
    assert_true(machine.msr_reads > 0);
    preflight_line(find("VMX"), line);
    assert_string_equal(line, "  required  VMX                          present");
    preflight_line(find("VMX allowed by firmware"), line);
    assert_string_equal(line, "  required  VMX allowed by firmware      present, locked, VMX on");
}

static void each_requirement(void **state)
{
    static const struct {
        const char *name;
        size_t offset; /* in struct machine */
        size_t size;
        uint64_t bits; /* that are taken away */
    } cases[] = {
#define LACK(name, field, bits)                                                                    \
    {name, offsetof(struct machine, field), sizeof(((struct machine *)0)->field), (bits)}
        LACK("Intel CPU", vendor.ebx, ~0u),
        LACK("Intel CPU", vendor.ecx, ~0u),
        LACK("Intel CPU", vendor.edx, ~0u),
        LACK("64-bit mode", extended.edx, CPUID_80000001_EDX_LONG_MODE),
        LACK("no-execute pages", extended.edx, CPUID_80000001_EDX_NX),
        LACK("local APIC", features.edx, CPUID_1_EDX_APIC),
        LACK("MTRRs and PAT", features.edx, CPUID_1_EDX_MTRR),
        LACK("MTRRs and PAT", features.edx, CPUID_1_EDX_PAT),
        LACK("VMX", features.ecx, CPUID_1_ECX_VMX),
        LACK("VMX allowed by firmware", feature_control, FEATURE_CONTROL_VMX),
        LACK("true VMX controls", basic, VMX_BASIC_TRUE_CONTROLS),
        LACK("secondary controls", proc, (uint64_t)VMX_PROC_SECONDARY_CONTROLS << 32),
        LACK("MSR bitmaps", proc, (uint64_t)VMX_PROC_MSR_BITMAPS << 32),
        LACK("EPT", proc2, (uint64_t)VMX_PROC2_ENABLE_EPT << 32),
        LACK("EPT 4-level walk, write-back", ept_vpid, VMX_EPT_WALK_4),
        LACK("EPT 4-level walk, write-back", ept_vpid, VMX_EPT_MEMORY_WB),
        LACK("INVEPT all-context", ept_vpid, VMX_EPT_INVEPT),
        LACK("INVEPT all-context", ept_vpid, VMX_EPT_INVEPT_ALL),
        LACK("VPID", proc2, (uint64_t)VMX_PROC2_ENABLE_VPID << 32),
        LACK("VMX-preemption timer", pin, (uint64_t)VMX_PIN_PREEMPTION_TIMER << 32),
        LACK("unrestricted guest", proc2, (uint64_t)VMX_PROC2_UNRESTRICTED_GUEST << 32),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 0;
        whole_machine(state);
        char *field = (char *)&machine + cases[i].offset;
        memcpy(&value, field, cases[i].size);
        value &= ~cases[i].bits;
        memcpy(field, &value, cases[i].size);
        expect_missing(cases[i].name);
    }
}

static void each_option(void **state)
{
    static const struct {
        const char *name;
        uint64_t ept_vpid, proc2, pin, exit;
    } cases[] = {
        {"INVEPT single-context", VMX_EPT_INVEPT_SINGLE, 0, 0, 0},
        {"INVVPID all-context", VMX_EPT_INVVPID_ALL, 0, 0, 0},
        {"EPT 2 MiB pages", VMX_EPT_PAGE_2M, 0, 0, 0},
        {"EPT 1 GiB pages", VMX_EPT_PAGE_1G, 0, 0, 0},
        {"EPT accessed and dirty flags", VMX_EPT_ACCESSED_DIRTY, 0, 0, 0},
        {"EPT execute-only pages", VMX_EPT_EXEC_ONLY, 0, 0, 0},
        {"page-modification logging", 0, VMX_PROC2_ENABLE_PML, 0, 0},
        {"virtualization exceptions", 0, VMX_PROC2_EPT_VIOLATION_VE, 0, 0},
        {"EPTP switching by VMFUNC", 0, VMX_PROC2_ENABLE_VM_FUNCTIONS, 0, 0},
        {"sub-page write permissions", 0, VMX_PROC2_SUB_PAGE_PERMISSIONS, 0, 0},
        {"preemption timer saved", 0, 0, 0, VMX_EXIT_SAVE_PREEMPTION_TIMER},
        {"posted interrupts", 0, 0, VMX_PIN_POSTED_INTERRUPTS, 0},
        {"RDTSCP control", 0, VMX_PROC2_ENABLE_RDTSCP, 0, 0},
        {"INVPCID control", 0, VMX_PROC2_ENABLE_INVPCID, 0, 0},
        {"XSAVES control", 0, VMX_PROC2_ENABLE_XSAVES, 0, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        whole_machine(state);
        machine.ept_vpid &= ~cases[i].ept_vpid;
        machine.proc2 &= ~(cases[i].proc2 << 32);
        machine.pin &= ~(cases[i].pin << 32);
        machine.exit &= ~(cases[i].exit << 32);
        assert_null(check(0));
        assert_int_equal(find(cases[i].name)->state, PREFLIGHT_MISSING);
        assert_false(find(cases[i].name)->required);
    }
    whole_machine(state);
    machine.features.ecx = CPUID_1_ECX_VMX;
    machine.extended.edx &= ~(uint32_t)CPUID_80000001_EDX_PAGE_1G;
    machine.invariant.edx = 0;
    assert_null(check(0));
    assert_int_equal(find("XSAVE")->state, PREFLIGHT_MISSING);
    assert_int_equal(find("x2APIC")->state, PREFLIGHT_MISSING);
    assert_int_equal(find("invariant TSC")->state, PREFLIGHT_MISSING);
    assert_int_equal(find("1 GiB pages")->state, PREFLIGHT_MISSING);
}

static void feature_control(void **state)
{
    char line[PREFLIGHT_LINE_LEN];

    (void)state;
    machine.feature_control = 0;
    assert_null(check(0));
    preflight_line(find("VMX allowed by firmware"), line);
    assert_non_null(strstr(line, "not locked: will be set and locked on every CPU"));
    machine.feature_control = FEATURE_CONTROL_VMX;
    assert_null(check(0));
    /* Inside SMX operation only is not enough: nobody runs the loader there. */
    machine.feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_IN_SMX;
    expect_missing("VMX allowed by firmware");
    preflight_line(find("VMX allowed by firmware"), line);
    assert_non_null(strstr(line, "missing; turn on \"Intel Virtualization Technology\" (VT-x"));
}

static void another_vendor(void **state)
{
    static const struct cpuid_regs amd = {7, 0x68747541, 0x444d4163, 0x69746e65};

    (void)state;
    machine.vendor = amd;
    machine.features.ecx &= ~(uint32_t)CPUID_1_ECX_VMX;
    expect_missing("Intel CPU");
    assert_int_equal(machine.msr_reads, 0);
    assert_int_equal(find("VMX")->state, PREFLIGHT_UNKNOWN);
    assert_int_equal(find("EPT")->state, PREFLIGHT_UNKNOWN);
    assert_string_equal(find("EPT")->note, "not asked: not an Intel CPU");
    assert_int_equal(find("no-execute pages")->state, PREFLIGHT_PRESENT);
}

static void without_vmx(void **state)
{
    (void)state;
    machine.features.ecx &= ~(uint32_t)CPUID_1_ECX_VMX;
    expect_missing("VMX");
    assert_int_equal(machine.msr_reads, 0);
    assert_string_equal(find("VPID")->note, "not asked: no VMX");
}

static void without_ept(void **state)
{
    char line[PREFLIGHT_LINE_LEN];

    (void)state;
    machine.proc2 = 0;
    expect_missing("EPT");
    assert_string_equal(find("INVEPT all-context")->note, "not asked: no EPT");
    preflight_line(find("EPT 2 MiB pages"), line);
    assert_string_equal(line,
                        "  optional  EPT 2 MiB pages              unknown, not asked: no EPT");
}

static void five_level_paging(void **state)
{
    (void)state;
    const struct preflight_item *missing = check(CR4_LA57);
    assert_non_null(missing);
    assert_string_equal(missing->name, "firmware's 4-level paging");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_missing, whole_machine),
        cmocka_unit_test_setup(each_requirement, whole_machine),
        cmocka_unit_test_setup(each_option, whole_machine),
        cmocka_unit_test_setup(feature_control, whole_machine),
        cmocka_unit_test_setup(another_vendor, whole_machine),
        cmocka_unit_test_setup(without_vmx, whole_machine),
        cmocka_unit_test_setup(without_ept, whole_machine),
        cmocka_unit_test_setup(five_level_paging, whole_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
