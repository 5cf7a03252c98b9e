/* The VM-entry check: good states pass; each broken rule of controls and host state is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vmx_states.h"

static const struct row control_rows[] = {
    {NULL, {{VMCS_PIN_CONTROLS, GOOD_PIN & ~2}}, VMCS_PIN_CONTROLS, "must be 1 is 0"},
    {NULL, {{VMCS_PIN_CONTROLS, GOOD_PIN | 1u << 8}}, VMCS_PIN_CONTROLS, "must be 0 is 1"},
    {NULL,
     {{VMCS_PROC_CONTROLS, GOOD_PROC_SECONDARY & ~0x100u}},
     VMCS_PROC_CONTROLS,
     "must be 1 is 0"},
    {NULL, {{VMCS_PROC_CONTROLS, GOOD_PROC_SECONDARY | 1}}, VMCS_PROC_CONTROLS, "must be 0 is 1"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_TSC_SCALING}},
     VMCS_PROC_CONTROLS2,
     "must be 0 is 1"},
    {NULL, {{VMCS_EXIT_CONTROLS, GOOD_EXIT & ~1}}, VMCS_EXIT_CONTROLS, "must be 1 is 0"},
    {NULL, {{VMCS_EXIT_CONTROLS, GOOD_EXIT | 1u << 28}}, VMCS_EXIT_CONTROLS, "must be 0 is 1"},
    {NULL, {{VMCS_ENTRY_CONTROLS, GOOD_ENTRY_64 & ~1}}, VMCS_ENTRY_CONTROLS, "must be 1 is 0"},
    {NULL,
     {{VMCS_ENTRY_CONTROLS, GOOD_ENTRY_64 | 1u << 22}},
     VMCS_ENTRY_CONTROLS,
     "must be 0 is 1"},
    {NULL, {{VMCS_CR3_TARGET_COUNT, 5}}, VMCS_CR3_TARGET_COUNT, "CR3-target"},
    {NULL, {{VMCS_IO_BITMAP_A, TABLE + 8}}, VMCS_IO_BITMAP_A, "aligned"},
    {NULL, {{VMCS_IO_BITMAP_B, TOO_HIGH}}, VMCS_IO_BITMAP_B, "width"},
    {NULL, {{VMCS_MSR_BITMAP, TABLE + 1}}, VMCS_MSR_BITMAP, "aligned"},
    {NULL,
     {{VMCS_PIN_CONTROLS, GOOD_PIN & ~VMX_PIN_NMI_EXITING}},
     VMCS_PIN_CONTROLS,
     "needs \"NMI exiting\""},
    {NULL,
     {{VMCS_PIN_CONTROLS, GOOD_PIN & ~VMX_PIN_VIRTUAL_NMIS},
      {VMCS_PROC_CONTROLS, GOOD_PROC_SECONDARY | VMX_PROC_NMI_WINDOW_EXITING}},
     VMCS_PROC_CONTROLS,
     "needs \"virtual NMIs\""},
    {NULL,
     {{VMCS_PROC_CONTROLS, GOOD_PROC_SECONDARY | VMX_PROC_TPR_SHADOW},
      {VMCS_VIRTUAL_APIC_ADDRESS, TABLE + 16},
      {VMCS_TPR_THRESHOLD, 0}},
     VMCS_VIRTUAL_APIC_ADDRESS,
     "aligned"},
    {NULL,
     {{VMCS_PROC_CONTROLS, GOOD_PROC_SECONDARY | VMX_PROC_TPR_SHADOW},
      {VMCS_VIRTUAL_APIC_ADDRESS, TABLE},
      {VMCS_TPR_THRESHOLD, 0x10}},
     VMCS_TPR_THRESHOLD,
     "31:4"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_VIRTUALIZE_X2APIC}},
     VMCS_PROC_CONTROLS2,
     "TPR shadow"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_VIRTUALIZE_APIC_ACCESSES},
      {VMCS_APIC_ACCESS_ADDRESS, TOO_HIGH}},
     VMCS_APIC_ACCESS_ADDRESS,
     "width"},
    {NULL,
     {{VMCS_PROC_CONTROLS, GOOD_PROC_SECONDARY | VMX_PROC_TPR_SHADOW},
      {VMCS_PROC_CONTROLS2,
       GOOD_PROC2 | VMX_PROC2_VIRTUALIZE_APIC_ACCESSES | VMX_PROC2_VIRTUALIZE_X2APIC},
      {VMCS_VIRTUAL_APIC_ADDRESS, TABLE},
      {VMCS_APIC_ACCESS_ADDRESS, TABLE}},
     VMCS_PROC_CONTROLS2,
     "excludes"},
    {NULL, {{VMCS_EPT_POINTER, TABLE | 0x5c}}, VMCS_EPT_POINTER, "memory type"},
    {NULL, {{VMCS_EPT_POINTER, TABLE | 0x66}}, VMCS_EPT_POINTER, "walk length"},
    {NULL, {{VMCS_EPT_POINTER, TABLE | 0xde}}, VMCS_EPT_POINTER, "bit 7"},
    {NULL, {{VMCS_EPT_POINTER, TABLE | 0x15e}}, VMCS_EPT_POINTER, "11:8"},
    {NULL, {{VMCS_EPT_POINTER, TOO_HIGH | 0x5e}}, VMCS_EPT_POINTER, "width"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 & ~VMX_PROC2_ENABLE_EPT}},
     VMCS_PROC_CONTROLS2,
     "needs \"enable EPT\""},
    {NULL, {{VMCS_PML_ADDRESS, TABLE + 0x10}}, VMCS_PML_ADDRESS, "aligned"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_ENABLE_VM_FUNCTIONS},
      {VMCS_VM_FUNCTION_CONTROLS, 2}},
     VMCS_VM_FUNCTION_CONTROLS,
     "must be 0 is 1"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_ENABLE_VM_FUNCTIONS},
      {VMCS_VM_FUNCTION_CONTROLS, 1},
      {VMCS_EPTP_LIST_ADDRESS, TABLE + 8}},
     VMCS_EPTP_LIST_ADDRESS,
     "aligned"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_EPT_VIOLATION_VE},
      {VMCS_VE_INFORMATION_ADDRESS, TOO_HIGH}},
     VMCS_VE_INFORMATION_ADDRESS,
     "width"},
    {NULL,
     {{VMCS_PIN_CONTROLS, GOOD_PIN & ~VMX_PIN_PREEMPTION_TIMER}},
     VMCS_EXIT_CONTROLS,
     "needs the timer"},
    {NULL,
     {{VMCS_EXIT_MSR_STORE_COUNT, 1}, {VMCS_EXIT_MSR_STORE_ADDRESS, TABLE + 8}},
     VMCS_EXIT_MSR_STORE_ADDRESS,
     "aligned"},
    {NULL,
     {{VMCS_EXIT_MSR_LOAD_COUNT, 1}, {VMCS_EXIT_MSR_LOAD_ADDRESS, TOO_HIGH}},
     VMCS_EXIT_MSR_LOAD_ADDRESS,
     "width"},
    {NULL,
     {{VMCS_ENTRY_MSR_LOAD_COUNT, 2}, {VMCS_ENTRY_MSR_LOAD_ADDRESS, TOO_HIGH - 16}},
     VMCS_ENTRY_MSR_LOAD_ADDRESS,
     "end within"},
    {NULL, {{VMCS_ENTRY_CONTROLS, GOOD_ENTRY_64 | VMX_ENTRY_TO_SMM}}, VMCS_ENTRY_CONTROLS, "SMM"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_NMI, 3, 0)}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "vector 2"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, 32, 0)}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "up to 31"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_OTHER, 1, 0)}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "type 7"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(1, 0, 0)}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "type 1"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_EXTERNAL_INTERRUPT, 0x30, 0) | 1u << 12}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "30:12"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_EXTERNAL_INTERRUPT, 0x30, 1)},
      {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "no error code"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_GP, 0)}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "suit"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 1)},
      {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "suit"},
    {state_real,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_GP, 1)},
      {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0}},
     VMCS_ENTRY_INTERRUPTION_INFO,
     "no error code"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_PF, 1)},
      {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0x10000}},
     VMCS_ENTRY_EXCEPTION_ERROR_CODE,
     "31:16"},
    {NULL,
     {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_SOFTWARE_INTERRUPT, 0x80, 0)},
      {VMCS_ENTRY_INSTRUCTION_LENGTH, 16}},
     VMCS_ENTRY_INSTRUCTION_LENGTH,
     "length"},
};

static const struct row host_rows[] = {
    {NULL, {{VMCS_HOST_CR0, 0x80010013}}, VMCS_HOST_CR0, "fixes"},
    {NULL, {{VMCS_HOST_CR0, 0x00010033}}, VMCS_HOST_CR0, "fixes"},
    {NULL, {{VMCS_HOST_CR4, 0x20}}, VMCS_HOST_CR4, "fixes"},
    {NULL, {{VMCS_HOST_CR4, 0x2000}}, VMCS_HOST_CR4, "PAE"},
    {NULL, {{VMCS_HOST_CR3, TOO_HIGH}}, VMCS_HOST_CR3, "width"},
    {NULL, {{VMCS_HOST_SYSENTER_ESP, NOT_CANONICAL}}, VMCS_HOST_SYSENTER_ESP, "canonical"},
    {NULL, {{VMCS_HOST_SYSENTER_EIP, NOT_CANONICAL}}, VMCS_HOST_SYSENTER_EIP, "canonical"},
    {NULL, {{VMCS_HOST_PAT, 2}}, VMCS_HOST_PAT, "each byte"},
    {NULL, {{VMCS_HOST_EFER, EFER_LME | EFER_LMA | 2}}, VMCS_HOST_EFER, "reserved"},
    {NULL, {{VMCS_HOST_EFER, EFER_LME}}, VMCS_HOST_EFER, "LMA"},
    {NULL, {{VMCS_HOST_CS_SELECTOR, 0x0b}}, VMCS_HOST_CS_SELECTOR, "RPL"},
    {NULL, {{VMCS_HOST_GS_SELECTOR, 0x04}}, VMCS_HOST_GS_SELECTOR, "RPL"},
    {NULL, {{VMCS_HOST_CS_SELECTOR, 0}}, VMCS_HOST_CS_SELECTOR, "not be 0"},
    {NULL, {{VMCS_HOST_TR_SELECTOR, 0}}, VMCS_HOST_TR_SELECTOR, "not be 0"},
    {NULL, {{VMCS_HOST_FS_BASE, NOT_CANONICAL}}, VMCS_HOST_FS_BASE, "canonical"},
    {NULL, {{VMCS_HOST_GS_BASE, NOT_CANONICAL}}, VMCS_HOST_GS_BASE, "canonical"},
    {NULL, {{VMCS_HOST_TR_BASE, NOT_CANONICAL}}, VMCS_HOST_TR_BASE, "canonical"},
    {NULL, {{VMCS_HOST_GDTR_BASE, NOT_CANONICAL}}, VMCS_HOST_GDTR_BASE, "canonical"},
    {NULL, {{VMCS_HOST_IDTR_BASE, NOT_CANONICAL}}, VMCS_HOST_IDTR_BASE, "canonical"},
    {NULL,
     {{VMCS_EXIT_CONTROLS, GOOD_EXIT & ~VMX_EXIT_HOST_ADDRESS_SPACE_SIZE}},
     VMCS_EXIT_CONTROLS,
     "host address-space size"},
    {NULL, {{VMCS_HOST_RIP, NOT_CANONICAL}}, VMCS_HOST_RIP, "canonical"},
};

/* With everything_caps(). */
#define APIC_PROC2 (GOOD_PROC2 | VMX_PROC2_VIRTUAL_INTERRUPT_DELIVERY)
#define APIC_FIELDS                                                                                \
    {VMCS_PROC_CONTROLS, GOOD_PROC_SECONDARY | VMX_PROC_TPR_SHADOW},                               \
    {                                                                                              \
        VMCS_VIRTUAL_APIC_ADDRESS, TABLE                                                           \
    }

static const struct field_value state_posted[] = {
    APIC_FIELDS,
    {VMCS_PROC_CONTROLS2, APIC_PROC2},
    {VMCS_PIN_CONTROLS, GOOD_PIN | VMX_PIN_POSTED_INTERRUPTS},
    {VMCS_POSTED_INTERRUPT_VECTOR, 0xf2},
    {VMCS_POSTED_INTERRUPT_DESCRIPTOR, TABLE + 64},
    {0, 0},
};

static const struct field_value state_host_cet[] = {
    {VMCS_EXIT_CONTROLS, GOOD_EXIT | VMX_EXIT_LOAD_CET | VMX_EXIT_LOAD_PKRS},
    {VMCS_HOST_S_CET, CANONICAL_HOST | 5},
    {VMCS_HOST_SSP, CANONICAL_HOST},
    {VMCS_HOST_INTERRUPT_SSP_TABLE, CANONICAL_HOST},
    {VMCS_HOST_PKRS, 0xffffffff},
    {0, 0},
};

static const struct row newer_control_rows[] = {
    {state_posted,
     {{VMCS_PIN_CONTROLS, GOOD_PIN & ~VMX_PIN_EXTERNAL_INTERRUPT_EXITING}},
     VMCS_PIN_CONTROLS,
     "external-interrupt exiting"},
    {state_posted,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2}, {VMCS_TPR_THRESHOLD, 0}},
     VMCS_PROC_CONTROLS2,
     "posted interrupts need"},
    {state_posted,
     {{VMCS_EXIT_CONTROLS, GOOD_EXIT & ~VMX_EXIT_ACKNOWLEDGE_INTERRUPT}},
     VMCS_EXIT_CONTROLS,
     "acknowledge"},
    {state_posted, {{VMCS_POSTED_INTERRUPT_VECTOR, 256}}, VMCS_POSTED_INTERRUPT_VECTOR, "255"},
    {state_posted,
     {{VMCS_POSTED_INTERRUPT_DESCRIPTOR, TABLE + 32}},
     VMCS_POSTED_INTERRUPT_DESCRIPTOR,
     "aligned"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_SUB_PAGE_PERMISSIONS},
      {VMCS_SPP_TABLE_POINTER, TABLE + 8}},
     VMCS_SPP_TABLE_POINTER,
     "aligned"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, (GOOD_PROC2 & ~(VMX_PROC2_ENABLE_EPT | VMX_PROC2_ENABLE_PML |
                                            VMX_PROC2_UNRESTRICTED_GUEST)) |
                                VMX_PROC2_ENABLE_VM_FUNCTIONS},
      {VMCS_VM_FUNCTION_CONTROLS, 1},
      {VMCS_EPTP_LIST_ADDRESS, TABLE}},
     VMCS_PROC_CONTROLS2,
     "EPTP switching"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_VMCS_SHADOWING},
      {VMCS_VMREAD_BITMAP, TABLE + 8},
      {VMCS_VMWRITE_BITMAP, TABLE}},
     VMCS_VMREAD_BITMAP,
     "aligned"},
    {NULL,
     {{VMCS_PROC_CONTROLS2, GOOD_PROC2 | VMX_PROC2_VMCS_SHADOWING},
      {VMCS_VMREAD_BITMAP, TABLE},
      {VMCS_VMWRITE_BITMAP, TOO_HIGH}},
     VMCS_VMWRITE_BITMAP,
     "width"},
};

static const struct row newer_host_rows[] = {
    {state_host_cet, {{VMCS_HOST_S_CET, 0x40}}, VMCS_HOST_S_CET, "9:6"},
    {state_host_cet, {{VMCS_HOST_S_CET, NOT_CANONICAL}}, VMCS_HOST_S_CET, "canonical"},
    {state_host_cet, {{VMCS_HOST_SSP, 1}}, VMCS_HOST_SSP, "1:0"},
    {state_host_cet, {{VMCS_HOST_SSP, NOT_CANONICAL}}, VMCS_HOST_SSP, "canonical"},
    {state_host_cet,
     {{VMCS_HOST_INTERRUPT_SSP_TABLE, NOT_CANONICAL}},
     VMCS_HOST_INTERRUPT_SSP_TABLE,
     "canonical"},
    {state_host_cet, {{VMCS_HOST_PKRS, 1ull << 32}}, VMCS_HOST_PKRS, "63:32"},
    {NULL,
     {{VMCS_HOST_CR0, 0x80000033}, {VMCS_HOST_CR4, 0x2020 | CR4_CET}},
     VMCS_HOST_CR4,
     "CR0.WP"},
};

static void test_newer_states_pass(void **state)
{
    (void)state;
    static const struct field_value *const overs[] = {state_posted, state_host_cet};
    struct vmx_caps caps = everything_caps();
    for (size_t i = 0; i < sizeof overs / sizeof overs[0]; i++) {
        struct fake_vmcs vmcs;
        struct vmx_violation first;
        struct vmx_check_input input = {fake_read, &vmcs, &caps};
        build(&vmcs, overs[i]);
        if (vmx_check_first(&input, &first)) {
            fail_msg("%s: %s", first.name, first.rule);
        }
    }
}

static void test_controls(void **state)
{
    (void)state;
    struct vmx_caps recorded = record_caps(RECORD_COFFEE_LAKE);
    struct vmx_caps everything = everything_caps();
    run_rows(vmx_check_controls, &recorded, control_rows,
             sizeof control_rows / sizeof control_rows[0]);
    run_rows(vmx_check_controls, &everything, newer_control_rows,
             sizeof newer_control_rows / sizeof newer_control_rows[0]);
}

static void test_host(void **state)
{
    (void)state;
    struct vmx_caps recorded = record_caps(RECORD_COFFEE_LAKE);
    struct vmx_caps everything = everything_caps();
    run_rows(vmx_check_host, &recorded, host_rows, sizeof host_rows / sizeof host_rows[0]);
    run_rows(vmx_check_host, &everything, newer_host_rows,
             sizeof newer_host_rows / sizeof newer_host_rows[0]);
}

static void assert_good(const struct field_value *over, const struct field_value *more)
{
    struct vmx_caps caps = record_caps(RECORD_COFFEE_LAKE);
    struct fake_vmcs vmcs;
    struct vmx_violation first;
    struct vmx_check_input input = {fake_read, &vmcs, &caps};

    build(&vmcs, over);
    if (more != NULL) {
        fake_write_all(&vmcs, more);
    }
    if (vmx_check_first(&input, &first)) {
        fail_msg("%s = %#llx: %s", first.name, (unsigned long long)first.value, first.rule);
    }
    /* Fields of features that are off are not even read: they may not exist. */
    if (vmcs.unknown != NULL) {
        fail_msg("%s was read", vmcs.unknown);
    }
}

static void test_good_states_pass(void **state)
{
    (void)state;
    assert_good(NULL, NULL);
    assert_good(state_real, NULL);
    assert_good(state_pae, NULL);
    assert_good(state_restricted, NULL);
    assert_good(state_v86, NULL);
}

/* Near the rules, on the right side of them. */
static void test_boundary_states_pass(void **state)
{
    (void)state;
    static const struct field_value cases[][4] = {
        {{VMCS_GUEST_CR0, 0xe0010033}}, /* NW and CD are never checked */
        {{VMCS_GUEST_RIP, 0x00007fffffffffff}},
        {{VMCS_GUEST_CR3, TOO_HIGH - 0x1000}},
        {{VMCS_CR3_TARGET_COUNT, 4}},
        {{VMCS_EPT_POINTER, TABLE | 0x18}}, /* uncacheable, no accessed and dirty flags */
        {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_PF, 1)},
         {VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0xffff}},
        {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_VE, 0)}},
        {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 0)},
         {VMCS_ENTRY_INSTRUCTION_LENGTH, 0}}, /* MISC[30] is 1 on this CPU */
        {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_NMI, VECTOR_NMI, 0)},
         {VMCS_GUEST_ACTIVITY, ACTIVITY_HLT}},
        {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_MC, 0)},
         {VMCS_GUEST_ACTIVITY, ACTIVITY_SHUTDOWN}},
        {{VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_NMI, VECTOR_NMI, 0)},
         {VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI}},
        {{VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_ENCLAVE}},
        {{VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS},
         {VMCS_GUEST_RFLAGS, 0x302},
         {VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_SINGLE_STEP}},
        {{VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS},
         {VMCS_GUEST_RFLAGS, 0x302},
         {VMCS_GUEST_DEBUGCTL, 2}},
        {{VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_SINGLE_STEP | PENDING_DEBUG_ENABLED}},
        {{VMCS_LINK_POINTER, TABLE}},
        {{VMCS_GUEST_CS_ACCESS_RIGHTS, CODE_64 | 4}},
        {{VMCS_GUEST_SS_ACCESS_RIGHTS, SEGMENT_UNUSABLE}, {VMCS_GUEST_SS_BASE, UINT64_MAX}},
        {{VMCS_GUEST_SS_ACCESS_RIGHTS, FLAT_DATA | 4}},
        {{VMCS_GUEST_DS_ACCESS_RIGHTS, CODE_32}},
        {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, SEGMENT_PRESENT | SEGMENT_TYPE_LDT}},
        {{VMCS_EXIT_MSR_STORE_COUNT, 1}, {VMCS_EXIT_MSR_STORE_ADDRESS, TOO_HIGH - 16}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct field_value more[5] = {{0, 0}};
        memcpy(more, cases[i], sizeof cases[i]);
        assert_good(NULL, more);
    }
    static const struct field_value code_as_data[] = {{VMCS_GUEST_CS_ACCESS_RIGHTS, RIGHTS(3, 0)},
                                                      {0, 0}};
    assert_good(state_real, code_as_data);
    static const struct field_value tss_16[] = {
        {VMCS_GUEST_TR_ACCESS_RIGHTS, SEGMENT_PRESENT | SEGMENT_TYPE_BUSY_TSS_16}, {0, 0}};
    assert_good(state_pae, tss_16);
}

/* The same VMCS under other capabilities. */
static void test_capabilities_decide(void **state)
{
    (void)state;
    struct vmx_caps caps = record_caps(RECORD_COFFEE_LAKE);
    struct fake_vmcs vmcs;
    struct vmx_violation first;
    struct vmx_check_input input = {fake_read, &vmcs, &caps};
    build(&vmcs, NULL);

    caps.ept_vpid &= ~VMX_EPT_ACCESSED_DIRTY;
    assert_true(vmx_check_first(&input, &first));
    assert_int_equal(first.field, VMCS_EPT_POINTER);
    caps = record_caps(RECORD_COFFEE_LAKE);

    caps.physical_bits = 20;
    assert_true(vmx_check_first(&input, &first));
    assert_int_equal(first.field, VMCS_IO_BITMAP_A);
    caps = record_caps(RECORD_COFFEE_LAKE);

    fake_write(&vmcs, VMCS_GUEST_RIP, 0x00ff000000000000);
    caps.linear_bits = 57;
    assert_false(vmx_check_first(&input, &first));
    fake_write(&vmcs, VMCS_GUEST_RIP, CANONICAL_HOST);
    caps = record_caps(RECORD_COFFEE_LAKE);

    fake_write(&vmcs, VMCS_GUEST_ACTIVITY, ACTIVITY_HLT);
    assert_false(vmx_check_first(&input, &first));
    caps.misc &= ~VMX_MISC_ACTIVITY_HLT;
    assert_true(vmx_check_first(&input, &first));
    assert_int_equal(first.field, VMCS_GUEST_ACTIVITY);
    fake_write(&vmcs, VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    caps = record_caps(RECORD_COFFEE_LAKE);

    /* A CPU with BASIC[56] takes an exception without its error code. */
    fake_write(&vmcs, VMCS_ENTRY_INTERRUPTION_INFO, INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_GP, 0));
    assert_true(vmx_check_first(&input, &first));
    caps.basic |= VMX_BASIC_ANY_ERROR_CODE;
    assert_false(vmx_check_first(&input, &first));
}

static void test_without_secondary_controls(void **state)
{
    (void)state;
    struct vmx_caps caps = record_caps(RECORD_COFFEE_LAKE);
    struct fake_vmcs vmcs;
    struct vmx_violation first;
    struct vmx_check_input input = {fake_read, &vmcs, &caps};

    /* Inactive, the secondary controls do not count, whatever they hold. */
    build(&vmcs, NULL);
    fake_write(&vmcs, VMCS_PROC_CONTROLS, GOOD_PROC);
    fake_write(&vmcs, VMCS_PROC_CONTROLS2, UINT32_MAX);
    assert_false(vmx_check_first(&input, &first));
}

static void count_reports(void *ctx, const struct vmx_violation *violation)
{
    (void)violation;
    ++*(unsigned *)ctx;
}

static void test_all_violations_are_reported(void **state)
{
    (void)state;
    struct vmx_caps caps = record_caps(RECORD_COFFEE_LAKE);
    struct fake_vmcs vmcs;
    struct vmx_violation first;
    struct vmx_check_input input = {fake_read, &vmcs, &caps};
    unsigned reports = 0;

    build(&vmcs, NULL);
    fake_write(&vmcs, VMCS_VPID, 0);
    fake_write(&vmcs, VMCS_HOST_RIP, NOT_CANONICAL);
    fake_write(&vmcs, VMCS_GUEST_RFLAGS, 0);
    fake_write(&vmcs, VMCS_LINK_POINTER, 1);
    assert_int_equal(vmx_check_entry(&input, count_reports, &reports), 4);
    assert_int_equal(reports, 4);
    assert_int_equal(vmx_check_guest(&input, NULL, NULL), 2);
    assert_true(vmx_check_first(&input, &first));
    assert_int_equal(first.field, VMCS_VPID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_states_pass),
        cmocka_unit_test(test_boundary_states_pass),
        cmocka_unit_test(test_newer_states_pass),
        cmocka_unit_test(test_controls),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_capabilities_decide),
        cmocka_unit_test(test_without_secondary_controls),
        cmocka_unit_test(test_all_violations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
