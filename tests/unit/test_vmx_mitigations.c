/* Which barriers a CPU's enumeration asks for, and how they get into a context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vmx_msr_sets.h"
#include "vmx/entry.h"
#include "vmx/mitigations.h"

#define ARCH(name) ARCH_CAPABILITIES_##name
#define MMIO_NO    (ARCH(SBDR_SSDP_NO) | ARCH(FBSDP_NO) | ARCH(PSDP_NO))

struct row {
    const char *what;
    uint32_t ebx, edx, edx2;
    uint64_t arch;
    struct vmx_mitigations want;
};

static const struct row rows[] = {
    {"nothing enumerated: no barrier exists", 0, 0, 0, 0, {.nx_huge = true}},
    {"MD_CLEAR, MDS affected", 0, CPUID_7_EDX_MD_CLEAR, 0, 0, {.verw = true, .nx_huge = true}},
    {"MD_CLEAR, MDS_NO",
     0,
     CPUID_7_EDX_MD_CLEAR | CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(MDS_NO),
     {.nx_huge = true}},
    {"MDS_NO but TAA with RTM",
     CPUID_7_EBX_RTM,
     CPUID_7_EDX_MD_CLEAR | CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(MDS_NO),
     {.verw = true, .nx_huge = true}},
    {"MDS_NO and TAA_NO with RTM",
     CPUID_7_EBX_RTM,
     CPUID_7_EDX_MD_CLEAR | CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(MDS_NO) | ARCH(TAA_NO),
     {.nx_huge = true}},
    {"MMIO stale data with FB_CLEAR",
     0,
     CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(MDS_NO) | ARCH(FB_CLEAR) | ARCH(PSDP_NO),
     {.verw = true, .nx_huge = true}},
    {"FB_CLEAR on a CPU without MMIO stale data",
     0,
     CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(MDS_NO) | ARCH(FB_CLEAR) | MMIO_NO,
     {.nx_huge = true}},
    {"RFDS",
     0,
     CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(MDS_NO) | MMIO_NO | ARCH(RFDS_CLEAR),
     {.verw = true, .nx_huge = true}},
    {"RFDS_NO",
     0,
     CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(MDS_NO) | MMIO_NO | ARCH(RFDS_CLEAR) | ARCH(RFDS_NO),
     {.nx_huge = true}},
    {"L1TF", 0, CPUID_7_EDX_L1D_FLUSH, 0, 0, {.l1d_flush = true, .nx_huge = true}},
    {"RDCL_NO",
     0,
     CPUID_7_EDX_L1D_FLUSH | CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(RDCL_NO),
     {.nx_huge = true}},
    {"SKIP_L1DFL_VMENTRY",
     0,
     CPUID_7_EDX_L1D_FLUSH | CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(SKIP_L1DFL_VMENTRY),
     {.nx_huge = true}},
    {"IBRS without IBRS_ALL",
     0,
     CPUID_7_EDX_IBRS_IBPB,
     0,
     0,
     {.ibpb = true,
      .legacy_ibrs = true,
      .rsb_fill = true,
      .nx_huge = true,
      .spec_ctrl = SPEC_CTRL_IBRS}},
    {"enhanced IBRS",
     0,
     CPUID_7_EDX_IBRS_IBPB | CPUID_7_EDX_ARCH_CAPABILITIES,
     0,
     ARCH(IBRS_ALL),
     {.ibpb = true, .enhanced_ibrs = true, .nx_huge = true, .spec_ctrl = SPEC_CTRL_IBRS}},
    {"enhanced IBRS and BHI",
     0,
     CPUID_7_EDX_IBRS_IBPB | CPUID_7_EDX_ARCH_CAPABILITIES,
     CPUID_7_2_EDX_BHI_CTRL,
     ARCH(IBRS_ALL),
     {.ibpb = true,
      .enhanced_ibrs = true,
      .nx_huge = true,
      .spec_ctrl = SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS_S}},
    {"enhanced IBRS and BHI_NO",
     0,
     CPUID_7_EDX_IBRS_IBPB | CPUID_7_EDX_ARCH_CAPABILITIES,
     CPUID_7_2_EDX_BHI_CTRL,
     ARCH(IBRS_ALL) | ARCH(BHI_NO),
     {.ibpb = true, .enhanced_ibrs = true, .nx_huge = true, .spec_ctrl = SPEC_CTRL_IBRS}},
    {"PSCHANGE_MC_NO", 0, CPUID_7_EDX_ARCH_CAPABILITIES, 0, ARCH(PSCHANGE_MC_NO), {.verw = false}},
};

static void assert_same(const char *what, const struct vmx_mitigations *got,
                        const struct vmx_mitigations *want)
{
    if (got->verw != want->verw || got->l1d_flush != want->l1d_flush || got->ibpb != want->ibpb ||
        got->legacy_ibrs != want->legacy_ibrs || got->enhanced_ibrs != want->enhanced_ibrs ||
        got->rsb_fill != want->rsb_fill || got->nx_huge != want->nx_huge ||
        got->spec_ctrl != want->spec_ctrl) {
        fail_msg("%s: verw %d l1d %d ibpb %d ibrs %d eibrs %d rsb %d nx %d spec_ctrl %#x", what,
                 got->verw, got->l1d_flush, got->ibpb, got->legacy_ibrs, got->enhanced_ibrs,
                 got->rsb_fill, got->nx_huge, got->spec_ctrl);
    }
}

static void test_truth_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vmx_caps caps = {
            .leaf_7_ebx = rows[i].ebx,
            .leaf_7_edx = rows[i].edx,
            .leaf_7_2_edx = rows[i].edx2,
            .arch_capabilities = rows[i].arch,
        };
        struct vmx_mitigations got = vmx_mitigations_decide(&caps);
        assert_same(rows[i].what, &got, &rows[i].want);
    }
}

static void test_recorded_cpus(void **state)
{
    (void)state;
    static const struct vmx_mitigations none = {.nx_huge = true};
    static const struct vmx_mitigations all = {
        .verw = true,
        .l1d_flush = true,
        .ibpb = true,
        .legacy_ibrs = true,
        .rsb_fill = true,
        .nx_huge = true,
        .spec_ctrl = SPEC_CTRL_IBRS,
    };
    /* Penryn, Silvermont and Broadwell were recorded without microcode for any of this. */
    const struct vmx_mitigations *want[RECORDS] = {&none, &none, &all, &none, &all};
    for (unsigned i = 0; i < RECORDS; i++) {
        struct vmx_caps caps = record_caps(i);
        struct vmx_mitigations got = vmx_mitigations_decide(&caps);
        assert_same(cpu_records[i].name, &got, want[i]);
    }
}

static void test_apply_nothing(void **state)
{
    (void)state;
    struct vmx_mitigations none = {.enhanced_ibrs = true, .ibpb = true, .spec_ctrl = 1};
    struct vmx_context context = {.entry_flags = VMX_CONTEXT_LAUNCH};
    vmx_mitigations_apply(&none, &context, 0x10);
    assert_int_equal(context.entry_flags, VMX_CONTEXT_LAUNCH);
    assert_int_equal(context.exit_flags, 0);

    context.entry_flags = 0;
    vmx_mitigations_apply(&none, &context, 0x10);
    assert_int_equal(context.entry_flags, 0);
}

static void test_apply_each(void **state)
{
    (void)state;
    struct vmx_context context = {.entry_flags = VMX_CONTEXT_LAUNCH};
    struct vmx_mitigations m = {.verw = true};
    vmx_mitigations_apply(&m, &context, 0x10);
    assert_int_equal(context.entry_flags, VMX_CONTEXT_LAUNCH | VMX_CONTEXT_VERW);
    assert_int_equal(context.verw_selector, 0x10);
    assert_int_equal(context.exit_flags, 0);

    m = (struct vmx_mitigations){.l1d_flush = true, .rsb_fill = true};
    context.entry_flags = 0;
    vmx_mitigations_apply(&m, &context, 0x10);
    assert_int_equal(context.entry_flags, VMX_CONTEXT_L1D_FLUSH);
    assert_int_equal(context.exit_flags, VMX_CONTEXT_RSB_FILL);

    m = (struct vmx_mitigations){.legacy_ibrs = true, .spec_ctrl = SPEC_CTRL_IBRS};
    vmx_mitigations_apply(&m, &context, 0x10);
    assert_int_equal(context.entry_flags, VMX_CONTEXT_GUEST_SPEC_CTRL);
    assert_int_equal(context.exit_flags, VMX_CONTEXT_HOST_SPEC_CTRL);
    assert_int_equal(context.spec_ctrl_host, SPEC_CTRL_IBRS);
    assert_int_equal(context.spec_ctrl_guest, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truth_table),
        cmocka_unit_test(test_recorded_cpus),
        cmocka_unit_test(test_apply_nothing),
        cmocka_unit_test(test_apply_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
