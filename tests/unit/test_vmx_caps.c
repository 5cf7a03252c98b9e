/* Reading capabilities: nothing that is not announced, and the right answers by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/vmx_msr_sets.h"

static void test_no_unannounced_msr_is_read(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct cpu_replay replay;
        replay_caps(&cpu_records[i], &replay);
        if (replay.strays != 0) {
            fail_msg("%s: MSR %#x read", cpu_records[i].name, replay.first_stray);
        }
        assert_true(replay.msr_reads > 0);
    }
}

static void test_every_recorded_msr_is_read(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct cpu_replay replay;
        unsigned recorded = 0;
        for (size_t m = 0; m < 24 && cpu_records[i].msrs[m].msr != 0; m++) {
            recorded++;
        }
        replay_caps(&cpu_records[i], &replay);
        assert_int_equal(replay.msr_reads, recorded);
    }
}

static void test_cpu_without_vmx_is_left_alone(void **state)
{
    (void)state;
    /* Made up: an AMD CPU, which has SVM; CPUID.1:ECX[5] is reserved there. */
    static const struct cpu_record amd = {
        .name = "AMD",
        .cpuid =
            {
                {0x0, 0, {0x10, 0x68747541, 0x444d4163, 0x69746e65}},
                {0x1, 0, {0x00800f11, 0, 0x7ed8320b, 0x178bfbff}},
                {0x7, 0, {0, 0x209c01a9, 0, 0}},
                {0x80000000, 0, {0x8000001f, 0, 0, 0}},
                {0x80000001, 0, {0, 0, 0x35c233ff, 0x2fd3fbff}},
                {0x80000008, 0, {0x00003030, 0, 0, 0}},
            },
    };
    struct cpu_replay replay;
    struct vmx_caps caps = replay_caps(&amd, &replay);
    assert_int_equal(replay.msr_reads, 0);
    assert_false(caps.intel);
    assert_false(vmx_caps_has_vmx(&caps));
    assert_false(vmx_caps_has_ept(&caps));
    assert_false(vmx_caps_has_unrestricted_guest(&caps));
    assert_int_equal(caps.physical_bits, 48);
}

static void test_leaves_beyond_the_last_are_not_believed(void **state)
{
    (void)state;
    /* Made up: CPUs answer a leaf beyond the last with the last one's values. */
    static const struct cpu_record old = {
        .name = "old",
        .cpuid =
            {
                {0x0, 0, INTEL(0x2)},
                {0x1, 0, {0x00000f29, 0, 0, 0xbfebfbff}},
                {0x7, 0, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
                {0xd, 1, {0xffffffff, 0, 0, 0}},
                {0x80000000, 0, {0, 0, 0, 0}},
                {0x80000007, 0, {0, 0, 0, 0xffffffff}},
                {0x80000008, 0, {0xffffffff, 0, 0, 0}},
            },
    };
    struct cpu_replay replay;
    struct vmx_caps caps = replay_caps(&old, &replay);
    assert_int_equal(replay.msr_reads, 0);
    assert_int_equal(caps.leaf_7_edx, 0);
    assert_int_equal(caps.leaf_d_1_eax, 0);
    assert_false(vmx_caps_has_invariant_tsc(&caps));
    assert_int_equal(caps.physical_bits, 36);
    assert_int_equal(caps.linear_bits, 32);
}

static void test_announced_newer_msrs_are_read(void **state)
{
    (void)state;
    /* Made up: Coffee Lake with the newest control words and IA32_ARCH_CAPABILITIES announced. */
    struct cpu_record newer = cpu_records[RECORD_COFFEE_LAKE];
    size_t end = 0;
    while (newer.msrs[end].msr != 0) {
        if (newer.msrs[end].msr == MSR_IA32_VMX_TRUE_PROCBASED_CTLS) {
            newer.msrs[end].value |= (uint64_t)VMX_PROC_TERTIARY_CONTROLS << 32;
        }
        if (newer.msrs[end].msr == MSR_IA32_VMX_TRUE_EXIT_CTLS) {
            newer.msrs[end].value |= (uint64_t)VMX_EXIT_SECONDARY_CONTROLS << 32;
        }
        end++;
    }
    newer.msrs[end++] = (struct msr_record){MSR_IA32_VMX_PROCBASED_CTLS3, 0x81};
    newer.msrs[end++] = (struct msr_record){MSR_IA32_VMX_EXIT_CTLS2, 0x2};
    newer.msrs[end++] = (struct msr_record){MSR_IA32_ARCH_CAPABILITIES, 0x2b};
    newer.cpuid[2].regs.edx |= CPUID_7_EDX_ARCH_CAPABILITIES;

    struct cpu_replay replay;
    struct vmx_caps caps = replay_caps(&newer, &replay);
    assert_int_equal(replay.strays, 0);
    assert_int_equal(caps.proc3, 0x81);
    assert_int_equal(caps.exit2, 0x2);
    assert_int_equal(caps.arch_capabilities, 0x2b);
}

struct predicate {
    const char *name;
    bool (*has)(const struct vmx_caps *caps);
    bool expected[RECORDS]; /* Penryn, Silvermont, Ivy Bridge, Broadwell, Coffee Lake */
};

static void test_predicates(void **state)
{
    (void)state;
    static const struct predicate predicates[] = {
        {"vmx", vmx_caps_has_vmx, {1, 1, 1, 1, 1}},
        {"true controls", vmx_caps_has_true_controls, {0, 1, 1, 1, 1}},
        {"ept", vmx_caps_has_ept, {0, 1, 1, 1, 1}},
        {"4 levels, wb", vmx_caps_has_ept_4level_wb, {0, 1, 1, 1, 1}},
        {"2m", vmx_caps_has_ept_2m, {0, 1, 1, 1, 1}},
        {"1g", vmx_caps_has_ept_1g, {0, 0, 0, 1, 1}},
        {"a/d", vmx_caps_has_ept_ad, {0, 0, 0, 1, 1}},
        {"exec only", vmx_caps_has_ept_exec_only, {0, 1, 1, 1, 1}},
        {"advanced info", vmx_caps_has_ept_advanced_info, {0, 0, 0, 0, 1}},
        {"invept single", vmx_caps_has_invept_single, {0, 1, 1, 1, 1}},
        {"invept all", vmx_caps_has_invept_all, {0, 1, 1, 1, 1}},
        {"vpid", vmx_caps_has_vpid, {0, 1, 1, 1, 1}},
        {"invvpid address", vmx_caps_has_invvpid_address, {0, 1, 1, 1, 1}},
        {"invvpid single", vmx_caps_has_invvpid_single, {0, 1, 1, 1, 1}},
        {"invvpid all", vmx_caps_has_invvpid_all, {0, 1, 1, 1, 1}},
        {"retain globals", vmx_caps_has_invvpid_retain_globals, {0, 1, 1, 1, 1}},
        {"unrestricted", vmx_caps_has_unrestricted_guest, {0, 1, 1, 1, 1}},
        {"pml", vmx_caps_has_pml, {0, 0, 0, 0, 1}},
        {"#VE", vmx_caps_has_ve, {0, 0, 0, 1, 1}},
        {"eptp switching", vmx_caps_has_eptp_switching, {0, 1, 0, 1, 1}},
        {"spp", vmx_caps_has_spp, {0, 0, 0, 0, 0}},
        {"mode-based", vmx_caps_has_mode_based_execute, {0, 0, 0, 0, 1}},
        {"tsc scaling", vmx_caps_has_tsc_scaling, {0, 0, 0, 0, 0}},
        {"preemption timer", vmx_caps_has_preemption_timer, {0, 1, 1, 1, 1}},
        {"save timer", vmx_caps_has_save_preemption_timer, {0, 1, 1, 1, 1}},
        {"msr bitmaps", vmx_caps_has_msr_bitmaps, {1, 1, 1, 1, 1}},
        {"tpr shadow", vmx_caps_has_tpr_shadow, {1, 1, 1, 1, 1}},
        {"virtual x2apic", vmx_caps_has_virtual_x2apic, {0, 0, 1, 1, 1}},
        {"apic registers", vmx_caps_has_apic_registers, {0, 0, 0, 0, 0}},
        {"virtual interrupts", vmx_caps_has_virtual_interrupts, {0, 0, 0, 0, 0}},
        {"posted interrupts", vmx_caps_has_posted_interrupts, {0, 0, 0, 0, 0}},
        {"rdtscp", vmx_caps_has_rdtscp_control, {0, 1, 1, 1, 1}},
        {"invpcid", vmx_caps_has_invpcid_control, {0, 0, 0, 1, 1}},
        {"xsaves", vmx_caps_has_xsaves_control, {0, 0, 0, 0, 1}},
        {"user wait", vmx_caps_has_user_wait_control, {0, 0, 0, 0, 0}},
        {"hlt activity", vmx_caps_has_activity_hlt, {1, 1, 1, 1, 1}},
        {"x2apic", vmx_caps_has_x2apic, {0, 0, 1, 1, 1}},
        {"invariant tsc", vmx_caps_has_invariant_tsc, {0, 1, 0, 1, 0}},
        {"xsave", vmx_caps_has_xsave, {0, 0, 1, 1, 1}},
    };
    for (size_t p = 0; p < sizeof predicates / sizeof predicates[0]; p++) {
        for (unsigned i = 0; i < RECORDS; i++) {
            struct vmx_caps caps = record_caps(i);
            if (predicates[p].has(&caps) != predicates[p].expected[i]) {
                fail_msg("%s: \"%s\" should be %d", cpu_records[i].name, predicates[p].name,
                         predicates[p].expected[i]);
            }
        }
    }
}

static void test_numbers(void **state)
{
    (void)state;
    struct vmx_caps penryn = record_caps(RECORD_PENRYN);
    struct vmx_caps coffee_lake = record_caps(RECORD_COFFEE_LAKE);
    assert_true(penryn.intel);
    assert_int_equal(vmx_caps_revision(&penryn), 0xd);
    assert_int_equal(vmx_caps_region_size(&penryn), 2048);
    assert_int_equal(penryn.physical_bits, 38);
    assert_int_equal(penryn.linear_bits, 48);
    assert_int_equal(vmx_caps_revision(&coffee_lake), 0x4);
    assert_int_equal(vmx_caps_region_size(&coffee_lake), 1024);
    assert_int_equal(vmx_caps_preemption_timer_shift(&coffee_lake), 7);
    assert_int_equal(coffee_lake.feature_control, 0x20005);
    assert_int_equal(coffee_lake.signature, 0x906ea);
}

static void test_dependent_features_need_their_base(void **state)
{
    (void)state;
    struct vmx_caps caps = record_caps(RECORD_COFFEE_LAKE);
    uint64_t ept = (uint64_t)VMX_PROC2_ENABLE_EPT << 32;
    caps.control[VMX_CONTROL_PROC2] &= ~ept;
    assert_false(vmx_caps_has_ept_2m(&caps));
    assert_false(vmx_caps_has_pml(&caps));
    assert_false(vmx_caps_has_ve(&caps));
    assert_false(vmx_caps_has_eptp_switching(&caps));
    assert_true(vmx_caps_has_invvpid_all(&caps));

    caps = record_caps(RECORD_COFFEE_LAKE);
    caps.ept_vpid &= ~VMX_EPT_INVEPT;
    assert_false(vmx_caps_has_invept_single(&caps));
    assert_false(vmx_caps_has_invept_all(&caps));

    caps = record_caps(RECORD_COFFEE_LAKE);
    caps.ept_vpid &= ~VMX_EPT_ACCESSED_DIRTY;
    assert_false(vmx_caps_has_pml(&caps));
}

static void test_fixed_bits(void **state)
{
    (void)state;
    struct vmx_caps caps = record_caps(RECORD_IVY_BRIDGE);
    uint64_t ordinary = CR0_PE | CR0_NE | CR0_ET | CR0_PG;

    assert_true(vmx_cr0_valid(&caps, ordinary, false));
    assert_false(vmx_cr0_valid(&caps, ordinary & ~(uint64_t)CR0_NE, true));
    assert_false(vmx_cr0_valid(&caps, CR0_NE | CR0_ET, false));
    assert_true(vmx_cr0_valid(&caps, CR0_NE | CR0_ET, true));
    assert_true(vmx_cr0_valid(&caps, CR0_NE | CR0_PE, true));
    assert_false(vmx_cr0_valid(&caps, CR0_NE | CR0_PG, true));
    assert_false(vmx_cr0_valid(&caps, ordinary | 1ull << 32, true));
    assert_int_equal(vmx_cr0_adjust(&caps, 0, false), CR0_PE | CR0_NE | CR0_PG);
    assert_int_equal(vmx_cr0_adjust(&caps, 0, true), CR0_NE);
    assert_int_equal(vmx_cr0_adjust(&caps, 1ull << 32, true), CR0_NE);

    assert_false(vmx_cr4_valid(&caps, CR4_PAE));
    assert_true(vmx_cr4_valid(&caps, CR4_PAE | CR4_VMXE));
    assert_false(vmx_cr4_valid(&caps, CR4_VMXE | CR4_SMAP));
    assert_int_equal(vmx_cr4_adjust(&caps, CR4_PAE | CR4_SMAP), CR4_PAE | CR4_VMXE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_unannounced_msr_is_read),
        cmocka_unit_test(test_every_recorded_msr_is_read),
        cmocka_unit_test(test_cpu_without_vmx_is_left_alone),
        cmocka_unit_test(test_leaves_beyond_the_last_are_not_believed),
        cmocka_unit_test(test_announced_newer_msrs_are_read),
        cmocka_unit_test(test_predicates),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_dependent_features_need_their_base),
        cmocka_unit_test(test_fixed_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
