/* Control negotiation against recorded CPUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vmx_msr_sets.h"

static void test_required_and_optional(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct vmx_caps caps = record_caps(i);
        struct vmx_control_request request = {
            .required = VMX_PIN_EXTERNAL_INTERRUPT_EXITING | VMX_PIN_NMI_EXITING,
            .optional = VMX_PIN_PREEMPTION_TIMER | VMX_PIN_POSTED_INTERRUPTS,
        };
        struct vmx_control_result result;
        assert_int_equal(vmx_negotiate(VMX_CONTROL_PIN, &caps, &request, &result), 0);
        assert_int_equal(result.missing, 0);
        /* default1 class: bits 1, 2 and 4 */
        uint32_t timer = i == RECORD_PENRYN ? 0 : VMX_PIN_PREEMPTION_TIMER;
        assert_int_equal(result.value, 0x16 | request.required | timer);
        assert_int_equal(result.forced, 0x16);
    }
}

static void test_missing_required_is_named(void **state)
{
    (void)state;
    struct vmx_caps caps = record_caps(RECORD_IVY_BRIDGE);
    struct vmx_control_request request = {
        .required = VMX_PROC2_ENABLE_EPT | VMX_PROC2_ENABLE_INVPCID | VMX_PROC2_ENABLE_PML,
        .optional = VMX_PROC2_ENABLE_XSAVES | VMX_PROC2_ENABLE_RDTSCP,
    };
    struct vmx_control_result result;
    assert_int_equal(vmx_negotiate(VMX_CONTROL_PROC2, &caps, &request, &result), -1);
    assert_int_equal(result.missing, VMX_PROC2_ENABLE_INVPCID | VMX_PROC2_ENABLE_PML);
    assert_int_equal(result.value, VMX_PROC2_ENABLE_EPT | VMX_PROC2_ENABLE_RDTSCP);
    assert_string_equal(vmx_control_name(VMX_CONTROL_PROC2, 12), "enable INVPCID");
    assert_string_equal(vmx_control_name(VMX_CONTROL_PROC2, 17), "enable PML");
    assert_string_equal(vmx_control_field_name(VMX_CONTROL_PROC2), "secondary processor-based");
}

static void test_no_secondary_controls_at_all(void **state)
{
    (void)state;
    struct vmx_caps caps = record_caps(RECORD_PENRYN);
    caps.control[VMX_CONTROL_PROC2] = 0;
    struct vmx_control_request request = {.required = VMX_PROC2_ENABLE_EPT,
                                          .optional = VMX_PROC2_WBINVD_EXITING};
    struct vmx_control_result result;
    assert_int_equal(vmx_negotiate(VMX_CONTROL_PROC2, &caps, &request, &result), -1);
    assert_int_equal(result.missing, VMX_PROC2_ENABLE_EPT);
    assert_int_equal(result.value, 0);
}

static void test_true_controls_free_the_default1_bits(void **state)
{
    (void)state;
    struct vmx_control_request request = {.required = VMX_PROC_SECONDARY_CONTROLS};
    struct vmx_control_result result;
    uint32_t cr3 = VMX_PROC_CR3_LOAD_EXITING | VMX_PROC_CR3_STORE_EXITING;

    struct vmx_caps caps = record_caps(RECORD_PENRYN);
    assert_int_equal(vmx_negotiate(VMX_CONTROL_PROC, &caps, &request, &result), 0);
    assert_int_equal(result.value & cr3, cr3);
    assert_int_equal(result.forced & cr3, cr3);

    for (unsigned i = RECORD_SILVERMONT; i < RECORDS; i++) {
        caps = record_caps(i);
        assert_int_equal(vmx_negotiate(VMX_CONTROL_PROC, &caps, &request, &result), 0);
        assert_int_equal(result.value & cr3, 0);
        assert_int_equal(result.forced & cr3, 0);
        /* The debug controls of exit and entry are the other default1 bits that can be 0. */
        request.required = VMX_EXIT_HOST_ADDRESS_SPACE_SIZE;
        vmx_negotiate(VMX_CONTROL_EXIT, &caps, &request, &result);
        assert_int_equal(result.value & VMX_EXIT_SAVE_DEBUG_CONTROLS, 0);
        request.required = VMX_ENTRY_IA32E_MODE_GUEST;
        vmx_negotiate(VMX_CONTROL_ENTRY, &caps, &request, &result);
        assert_int_equal(result.value & VMX_ENTRY_LOAD_DEBUG_CONTROLS, 0);
        request.required = VMX_PROC_SECONDARY_CONTROLS;
    }

    /* Without BASIC[55] the same CPU must be taken by the plain MSRs. */
    caps = record_caps(RECORD_BROADWELL);
    caps.basic &= ~VMX_BASIC_TRUE_CONTROLS;
    assert_int_equal(vmx_negotiate(VMX_CONTROL_PROC, &caps, &request, &result), 0);
    assert_int_equal(result.value & cr3, cr3);
}

static void test_wanted_forced_bits_are_not_reported(void **state)
{
    (void)state;
    struct vmx_caps caps = record_caps(RECORD_PENRYN);
    struct vmx_control_request request = {.required = VMX_PROC_CR3_LOAD_EXITING,
                                          .optional = VMX_PROC_CR3_STORE_EXITING};
    struct vmx_control_result result;
    assert_int_equal(vmx_negotiate(VMX_CONTROL_PROC, &caps, &request, &result), 0);
    assert_int_equal(result.forced, 0x0401e172 & ~(request.required | request.optional));
}

static void test_value_is_always_allowed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct vmx_caps caps = record_caps(i);
        for (enum vmx_control_field f = VMX_CONTROL_PIN; f < VMX_CONTROL_FIELDS; f++) {
            for (unsigned bit = 0; bit < 32; bit++) {
                struct vmx_control_request request = {.required = 1u << bit,
                                                      .optional = 0x55555555};
                struct vmx_control_result result;
                int error = vmx_negotiate(f, &caps, &request, &result);
                uint32_t must = vmx_control_must_be_1(f, &caps);
                uint32_t may = vmx_control_may_be_1(f, &caps);
                assert_int_equal(result.value & must, must);
                assert_int_equal(result.value & ~may, 0);
                assert_int_equal(error, may >> bit & 1 ? 0 : -1);
                assert_int_equal(result.missing, may >> bit & 1 ? 0 : 1u << bit);
            }
        }
    }
}

/* The controls that the hypervisor needs exist from the first CPU with unrestricted guest on. */
static void test_hypervisor_needs(void **state)
{
    (void)state;
    struct vmx_control_request request = {
        .required = VMX_PROC2_ENABLE_EPT | VMX_PROC2_ENABLE_VPID | VMX_PROC2_UNRESTRICTED_GUEST,
    };
    for (unsigned i = 0; i < RECORDS; i++) {
        struct vmx_caps caps = record_caps(i);
        struct vmx_control_result result;
        int expected = i == RECORD_PENRYN ? -1 : 0;
        assert_int_equal(vmx_negotiate(VMX_CONTROL_PROC2, &caps, &request, &result), expected);
    }
}

static void test_names_are_unique(void **state)
{
    (void)state;
    for (enum vmx_control_field f = VMX_CONTROL_PIN; f < VMX_CONTROL_FIELDS; f++) {
        unsigned named = 0;
        for (unsigned a = 0; a < 32; a++) {
            const char *name = vmx_control_name(f, a);
            named += name != NULL;
            for (unsigned b = 0; b < a; b++) {
                const char *other = vmx_control_name(f, b);
                assert_true(name == NULL || other == NULL || strcmp(name, other) != 0);
            }
        }
        assert_true(named >= 5);
        assert_non_null(vmx_control_field_name(f));
    }
    assert_null(vmx_control_name(VMX_CONTROL_PIN, 32));
    assert_null(vmx_control_name(VMX_CONTROL_PIN, 1));
    assert_null(vmx_control_name(VMX_CONTROL_FIELDS, 0));
    assert_null(vmx_control_field_name(VMX_CONTROL_FIELDS));
}

/* A real CPU allows no control that the SDM does not name, but for the default1 class. */
static void test_recorded_controls_have_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct vmx_caps caps = record_caps(i);
        for (enum vmx_control_field f = VMX_CONTROL_PIN; f < VMX_CONTROL_FIELDS; f++) {
            uint32_t optional = vmx_control_may_be_1(f, &caps) & ~vmx_control_must_be_1(f, &caps);
            for (unsigned bit = 0; bit < 32; bit++) {
                if (optional >> bit & 1) {
                    assert_non_null(vmx_control_name(f, bit));
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_required_and_optional),
        cmocka_unit_test(test_missing_required_is_named),
        cmocka_unit_test(test_no_secondary_controls_at_all),
        cmocka_unit_test(test_true_controls_free_the_default1_bits),
        cmocka_unit_test(test_wanted_forced_bits_are_not_reported),
        cmocka_unit_test(test_value_is_always_allowed),
        cmocka_unit_test(test_hypervisor_needs),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_recorded_controls_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
