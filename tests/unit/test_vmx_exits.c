/* Names of fields, exit reasons and errors; decoders of qualifications and event information. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "vmx/exits.h"
#include "vmx/fields.h"
#include "vmx/segments.h"
#include "vmx/x86.h"

static void test_exit_names(void **state)
{
    (void)state;
    /* Numbers that appendix C does not have. */
    static const bool hole[EXIT_REASONS] = {[35] = 1, [38] = 1, [42] = 1, [71] = 1};

    assert_int_equal(EXIT_REASONS, 80);
    for (uint32_t a = 0; a < EXIT_REASONS; a++) {
        const char *name = vmx_exit_name(a);
        assert_int_equal(name == NULL, hole[a]);
        for (uint32_t b = 0; name != NULL && b < a; b++) {
            assert_true(hole[b] || strcmp(name, vmx_exit_name(b)) != 0);
        }
    }
    assert_null(vmx_exit_name(EXIT_REASONS));
    assert_string_equal(vmx_exit_name(EXIT_REASON_ENTRY_FAILURE | 33),
                        "VM-entry failure: invalid guest state");
    assert_string_equal(vmx_exit_name(48), "EPT violation");
    assert_string_equal(vmx_exit_name(18), "VMCALL");
    assert_string_equal(vmx_exit_name(62), "page-modification log full");
}

static void test_instruction_errors(void **state)
{
    (void)state;
    static const bool hole[29] = {[0] = 1, [14] = 1, [21] = 1, [27] = 1};
    for (uint32_t a = 0; a < 29; a++) {
        const char *name = vmx_instruction_error_name(a);
        assert_int_equal(name == NULL, hole[a]);
        for (uint32_t b = 0; name != NULL && b < a; b++) {
            assert_true(hole[b] || strcmp(name, vmx_instruction_error_name(b)) != 0);
        }
    }
    assert_null(vmx_instruction_error_name(29));
    assert_null(vmx_instruction_error_name(UINT32_MAX));
    assert_string_equal(vmx_instruction_error_name(7), "VM entry with invalid control field(s)");
}

/* An encoding says its width and its type: the field's place in the list must agree. */
static void test_fields(void **state)
{
    (void)state;
    static const struct {
        enum vmcs_field field;
        enum vmcs_width width;
        enum vmcs_type type;
        const char *name;
    } samples[] = {
        {VMCS_VPID, VMCS_WIDTH_16, VMCS_TYPE_CONTROL, "VMCS_VPID"},
        {VMCS_PML_INDEX, VMCS_WIDTH_16, VMCS_TYPE_GUEST, "VMCS_PML_INDEX"},
        {VMCS_HOST_TR_SELECTOR, VMCS_WIDTH_16, VMCS_TYPE_HOST, "VMCS_HOST_TR_SELECTOR"},
        {VMCS_EPT_POINTER, VMCS_WIDTH_64, VMCS_TYPE_CONTROL, "VMCS_EPT_POINTER"},
        {VMCS_GUEST_PHYSICAL_ADDRESS, VMCS_WIDTH_64, VMCS_TYPE_READ_ONLY,
         "VMCS_GUEST_PHYSICAL_ADDRESS"},
        {VMCS_GUEST_EFER, VMCS_WIDTH_64, VMCS_TYPE_GUEST, "VMCS_GUEST_EFER"},
        {VMCS_HOST_EFER, VMCS_WIDTH_64, VMCS_TYPE_HOST, "VMCS_HOST_EFER"},
        {VMCS_PROC_CONTROLS2, VMCS_WIDTH_32, VMCS_TYPE_CONTROL, "VMCS_PROC_CONTROLS2"},
        {VMCS_EXIT_REASON, VMCS_WIDTH_32, VMCS_TYPE_READ_ONLY, "VMCS_EXIT_REASON"},
        {VMCS_GUEST_PREEMPTION_TIMER, VMCS_WIDTH_32, VMCS_TYPE_GUEST,
         "VMCS_GUEST_PREEMPTION_TIMER"},
        {VMCS_HOST_SYSENTER_CS, VMCS_WIDTH_32, VMCS_TYPE_HOST, "VMCS_HOST_SYSENTER_CS"},
        {VMCS_CR4_READ_SHADOW, VMCS_WIDTH_NATURAL, VMCS_TYPE_CONTROL, "VMCS_CR4_READ_SHADOW"},
        {VMCS_EXIT_QUALIFICATION, VMCS_WIDTH_NATURAL, VMCS_TYPE_READ_ONLY,
         "VMCS_EXIT_QUALIFICATION"},
        {VMCS_GUEST_RIP, VMCS_WIDTH_NATURAL, VMCS_TYPE_GUEST, "VMCS_GUEST_RIP"},
        {VMCS_HOST_RIP, VMCS_WIDTH_NATURAL, VMCS_TYPE_HOST, "VMCS_HOST_RIP"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        assert_int_equal(vmcs_field_width(samples[i].field), samples[i].width);
        assert_int_equal(vmcs_field_type(samples[i].field), samples[i].type);
        assert_string_equal(vmcs_field_name(samples[i].field), samples[i].name);
    }

    static const enum vmcs_field all[] = {
#define FIELD(name, encoding) name,
        VMCS_FIELDS(FIELD)
#undef FIELD
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const char *name = vmcs_field_name(all[i]);
        assert_int_equal((unsigned)all[i] & ~0x6ffeu, 0);
        for (size_t j = 0; j < i; j++) {
            assert_true(all[i] != all[j]);
        }
        if (strncmp(name, "VMCS_GUEST_", 11) == 0) {
            enum vmcs_type type = vmcs_field_type(all[i]);
            bool data =
                all[i] == VMCS_GUEST_PHYSICAL_ADDRESS || all[i] == VMCS_GUEST_LINEAR_ADDRESS;
            assert_int_equal(type, data ? VMCS_TYPE_READ_ONLY : VMCS_TYPE_GUEST);
        }
        if (strncmp(name, "VMCS_HOST_", 10) == 0) {
            assert_int_equal(vmcs_field_type(all[i]), VMCS_TYPE_HOST);
        }
    }
    assert_string_equal(vmcs_field_name((enum vmcs_field)0x7ffe), "unknown field");
}

static void test_segment_fields(void **state)
{
    (void)state;
    assert_int_equal(vmx_segment_selector(VMX_SEGMENT_CS), VMCS_GUEST_CS_SELECTOR);
    assert_int_equal(vmx_segment_selector(VMX_SEGMENT_TR), VMCS_GUEST_TR_SELECTOR);
    assert_int_equal(vmx_segment_base(VMX_SEGMENT_ES), VMCS_GUEST_ES_BASE);
    assert_int_equal(vmx_segment_base(VMX_SEGMENT_LDTR), VMCS_GUEST_LDTR_BASE);
    assert_int_equal(vmx_segment_base(VMX_SEGMENT_TR), VMCS_GUEST_TR_BASE);
    assert_int_equal(vmx_segment_limit(VMX_SEGMENT_GS), VMCS_GUEST_GS_LIMIT);
    assert_int_equal(vmx_segment_access_rights(VMX_SEGMENT_SS), VMCS_GUEST_SS_ACCESS_RIGHTS);
    assert_int_equal(vmx_segment_access_rights(VMX_SEGMENT_TR), VMCS_GUEST_TR_ACCESS_RIGHTS);
}

static void test_ept_violation(void **state)
{
    (void)state;
    struct ept_violation v = vmx_decode_ept_violation(0x182);
    assert_true(v.write);
    assert_false(v.read || v.fetch || v.readable || v.writable || v.executable);
    assert_true(v.linear_valid);
    assert_false(v.paging_structure);

    v = vmx_decode_ept_violation(0x9b);
    assert_true(v.read && v.write && v.readable && v.writable);
    assert_false(v.executable);
    assert_true(v.linear_valid && v.paging_structure);

    v = vmx_decode_ept_violation(0x1064);
    assert_true(v.fetch && v.executable && v.user_executable && v.nmi_unblocking);
    assert_false(v.linear_valid || v.paging_structure || v.asynchronous);

    assert_true(vmx_decode_ept_violation(0x10000).asynchronous);
}

static void test_cr_dr_io_task(void **state)
{
    (void)state;
    struct cr_access cr = vmx_decode_cr_access(0x004 | 0 << 4 | 13 << 8);
    assert_int_equal(cr.type, CR_ACCESS_MOV_TO);
    assert_int_equal(cr.cr, 4);
    assert_int_equal(cr.reg, 13);
    cr = vmx_decode_cr_access(0x008 | 1 << 4 | 4 << 8);
    assert_int_equal(cr.type, CR_ACCESS_MOV_FROM);
    assert_int_equal(cr.cr, 8);
    assert_int_equal(cr.reg, 4);
    cr = vmx_decode_cr_access(2 << 4);
    assert_int_equal(cr.type, CR_ACCESS_CLTS);
    cr = vmx_decode_cr_access(3 << 4 | 1 << 6 | 0xabcdu << 16);
    assert_int_equal(cr.type, CR_ACCESS_LMSW);
    assert_true(cr.lmsw_memory);
    assert_int_equal(cr.lmsw_source, 0xabcd);
    assert_int_equal(cr.reg, 0);

    struct dr_access dr = vmx_decode_dr_access(7 | 1 << 4 | 15 << 8);
    assert_int_equal(dr.dr, 7);
    assert_int_equal(dr.reg, 15);
    assert_true(dr.from);
    assert_false(vmx_decode_dr_access(7).from);

    struct io_access io = vmx_decode_io(0x03f80000 | 1 << 3);
    assert_int_equal(io.port, 0x3f8);
    assert_int_equal(io.size, 1);
    assert_true(io.in);
    assert_false(io.string || io.rep || io.immediate);
    io = vmx_decode_io(0x01700000 | 3 | 1 << 4 | 1 << 5);
    assert_int_equal(io.size, 4);
    assert_true(!io.in && io.string && io.rep);
    assert_true(vmx_decode_io(0x00800040).immediate);

    struct task_switch task = vmx_decode_task_switch(0xc0000028);
    assert_int_equal(task.selector, 0x28);
    assert_int_equal(task.source, TASK_SWITCH_TASK_GATE);
}

static void test_interruption_information(void **state)
{
    (void)state;
    assert_int_equal(vmx_interruption(EVENT_HARDWARE_EXCEPTION, VECTOR_GP, true), 0x80000b0d);
    assert_int_equal(vmx_interruption(EVENT_NMI, VECTOR_NMI, false), 0x80000202);
    assert_int_equal(vmx_interruption(EVENT_EXTERNAL_INTERRUPT, 0xfe, false), 0x800000fe);

    struct interruption i = vmx_decode_interruption(0x80000b0e);
    assert_true(i.valid && i.has_error_code && !i.nmi_unblocking);
    assert_int_equal(i.vector, VECTOR_PF);
    assert_int_equal(i.type, EVENT_HARDWARE_EXCEPTION);
    assert_true(vmx_decode_interruption(0x80001202).nmi_unblocking);
    assert_false(vmx_decode_interruption(0x202).valid);

    assert_int_equal(vmx_reinject(0x80001b0e), 0x80000b0e);
    assert_int_equal(vmx_reinject(0x00000b0e), 0);
}

static void test_exceptions(void **state)
{
    (void)state;
    const unsigned with_code =
        1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21;
    for (unsigned v = 0; v < 32; v++) {
        assert_int_equal(vmx_exception_has_error_code(v), with_code >> v & 1);
    }
    assert_string_equal(vmx_exception_name(6), "#UD");
    assert_string_equal(vmx_exception_name(20), "#VE");
    assert_null(vmx_exception_name(9));
    assert_null(vmx_exception_name(32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_names),
        cmocka_unit_test(test_instruction_errors),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_segment_fields),
        cmocka_unit_test(test_ept_violation),
        cmocka_unit_test(test_cr_dr_io_task),
        cmocka_unit_test(test_interruption_information),
        cmocka_unit_test(test_exceptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
