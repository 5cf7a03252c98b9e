/* The control fields: SDM volume 3, 26.2.1. */
#include "vmx/check_state.h"

#include "vmx/controls.h"
#include "vmx/exits.h"
#include "vmx/x86.h"

enum {
    PAGE = 4096,
    MSR_AREA_ALIGNMENT = 16,
    MSR_AREA_ENTRY = 16,
    DESCRIPTOR_ALIGNMENT = 64,
    MAX_VECTOR = 255,
    LAST_EXCEPTION = 31,
    MAX_INSTRUCTION_LENGTH = 15,
};

enum {
    TPR_THRESHOLD_RESERVED = 0xfffffff0u,
    ERROR_CODE_RESERVED = 0xffff0000u,
};

/* EPTP (24.6.11) */
enum eptp {
    EPTP_MEMORY_TYPE = 7,
    EPTP_TYPE_UC = 0,
    EPTP_TYPE_WB = 6,
    EPTP_WALK_SHIFT = 3,
    EPTP_WALK = 7,
    EPTP_WALK_4 = 3,
    EPTP_WALK_5 = 4,
    EPTP_ACCESSED_DIRTY = 1 << 6,
    EPTP_SUPERVISOR_SHADOW = 1 << 7,
    EPTP_RESERVED = 0xf00,
};

static void allowed(struct vmx_check *c, enum vmx_control_field control, enum vmcs_field field,
                    uint32_t value)
{
    const struct vmx_caps *caps = c->input->caps;
    uint32_t must = vmx_control_must_be_1(control, caps);
    vmx_check_require(c, (value & must) == must, field, "a bit that must be 1 is 0");
    vmx_check_require(c, !(value & ~vmx_control_may_be_1(control, caps)), field,
                      "a bit that must be 0 is 1");
}

/* Where the premise holds, so must the conclusion. */
static void implies(struct vmx_check *c, bool premise, bool conclusion, enum vmcs_field field,
                    const char *rule)
{
    vmx_check_require(c, !premise || conclusion, field, rule);
}

static void check_eptp(struct vmx_check *c)
{
    const struct vmx_caps *caps = c->input->caps;
    uint64_t eptp = vmx_check_read(c, VMCS_EPT_POINTER);
    unsigned type = eptp & EPTP_MEMORY_TYPE;
    unsigned walk = (eptp >> EPTP_WALK_SHIFT) & EPTP_WALK;

    vmx_check_require(c,
                      (type == EPTP_TYPE_UC && (caps->ept_vpid & VMX_EPT_MEMORY_UC)) ||
                          (type == EPTP_TYPE_WB && (caps->ept_vpid & VMX_EPT_MEMORY_WB)),
                      VMCS_EPT_POINTER, "bits 2:0 must be a supported memory type");
    vmx_check_require(c,
                      (walk == EPTP_WALK_4 && (caps->ept_vpid & VMX_EPT_WALK_4)) ||
                          (walk == EPTP_WALK_5 && (caps->ept_vpid & VMX_EPT_WALK_5)),
                      VMCS_EPT_POINTER, "bits 5:3 must be a supported walk length less 1");
    implies(c, eptp & EPTP_ACCESSED_DIRTY, vmx_caps_has_ept_ad(caps), VMCS_EPT_POINTER,
            "bit 6 must be 0 without accessed and dirty flags");
    implies(c, eptp & EPTP_SUPERVISOR_SHADOW, caps->ept_vpid & VMX_EPT_SUPERVISOR_SHADOW,
            VMCS_EPT_POINTER, "bit 7 must be 0 without supervisor shadow-stack pages");
    vmx_check_require(c, !(eptp & EPTP_RESERVED), VMCS_EPT_POINTER, "bits 11:8 must be 0");
    vmx_check_require(c, vmx_check_is_physical(c, eptp), VMCS_EPT_POINTER,
                      "must lie within the physical-address width");
}

static void check_apic(struct vmx_check *c)
{
    bool shadow = c->proc & VMX_PROC_TPR_SHADOW;
    bool x2apic = c->proc2 & VMX_PROC2_VIRTUALIZE_X2APIC;
    bool accesses = c->proc2 & VMX_PROC2_VIRTUALIZE_APIC_ACCESSES;
    bool delivery = c->proc2 & VMX_PROC2_VIRTUAL_INTERRUPT_DELIVERY;

    if (shadow) {
        vmx_check_physical(c, VMCS_VIRTUAL_APIC_ADDRESS, PAGE);
        if (!delivery) {
            uint64_t threshold = vmx_check_read(c, VMCS_TPR_THRESHOLD);
            vmx_check_require(c, !(threshold & TPR_THRESHOLD_RESERVED), VMCS_TPR_THRESHOLD,
                              "bits 31:4 must be 0");
        }
    }
    implies(c, !shadow,
            !x2apic && !delivery && !(c->proc2 & VMX_PROC2_APIC_REGISTER_VIRTUALIZATION),
            VMCS_PROC_CONTROLS2, "APIC virtualization needs \"use TPR shadow\"");
    if (accesses) {
        vmx_check_physical(c, VMCS_APIC_ACCESS_ADDRESS, PAGE);
    }
    implies(c, x2apic, !accesses, VMCS_PROC_CONTROLS2,
            "\"virtualize x2APIC mode\" excludes \"virtualize APIC accesses\"");
    implies(c, delivery, c->pin & VMX_PIN_EXTERNAL_INTERRUPT_EXITING, VMCS_PIN_CONTROLS,
            "\"virtual-interrupt delivery\" needs \"external-interrupt exiting\"");
    if (c->pin & VMX_PIN_POSTED_INTERRUPTS) {
        vmx_check_require(c, delivery, VMCS_PROC_CONTROLS2,
                          "posted interrupts need \"virtual-interrupt delivery\"");
        vmx_check_require(c, c->exit & VMX_EXIT_ACKNOWLEDGE_INTERRUPT, VMCS_EXIT_CONTROLS,
                          "posted interrupts need \"acknowledge interrupt on exit\"");
        vmx_check_require(c, vmx_check_read(c, VMCS_POSTED_INTERRUPT_VECTOR) <= MAX_VECTOR,
                          VMCS_POSTED_INTERRUPT_VECTOR, "must be at most 255");
        vmx_check_physical(c, VMCS_POSTED_INTERRUPT_DESCRIPTOR, DESCRIPTOR_ALIGNMENT);
    }
}

static void check_secondary(struct vmx_check *c)
{
    const struct vmx_caps *caps = c->input->caps;
    bool ept = c->proc2 & VMX_PROC2_ENABLE_EPT;
    uint32_t needs_ept = VMX_PROC2_UNRESTRICTED_GUEST | VMX_PROC2_MODE_BASED_EXECUTE |
                         VMX_PROC2_ENABLE_PML | VMX_PROC2_SUB_PAGE_PERMISSIONS |
                         VMX_PROC2_PT_GUEST_PHYSICAL;

    if (c->proc2 & VMX_PROC2_ENABLE_VPID) {
        vmx_check_require(c, vmx_check_read(c, VMCS_VPID) != 0, VMCS_VPID, "must not be 0");
    }
    if (ept) {
        check_eptp(c);
    }
    implies(c, c->proc2 & needs_ept, ept, VMCS_PROC_CONTROLS2, "needs \"enable EPT\"");
    if (c->proc2 & VMX_PROC2_ENABLE_PML) {
        vmx_check_physical(c, VMCS_PML_ADDRESS, PAGE);
    }
    if (c->proc2 & VMX_PROC2_SUB_PAGE_PERMISSIONS) {
        vmx_check_physical(c, VMCS_SPP_TABLE_POINTER, PAGE);
    }
    if (c->proc2 & VMX_PROC2_ENABLE_VM_FUNCTIONS) {
        uint64_t functions = vmx_check_read(c, VMCS_VM_FUNCTION_CONTROLS);
        vmx_check_require(c, !(functions & ~caps->vmfunc), VMCS_VM_FUNCTION_CONTROLS,
                          "a bit that must be 0 is 1");
        if (functions & caps->vmfunc & VMX_VMFUNC_EPTP_SWITCHING) {
            vmx_check_require(c, ept, VMCS_PROC_CONTROLS2, "EPTP switching needs \"enable EPT\"");
            vmx_check_physical(c, VMCS_EPTP_LIST_ADDRESS, PAGE);
        }
    }
    if (c->proc2 & VMX_PROC2_VMCS_SHADOWING) {
        vmx_check_physical(c, VMCS_VMREAD_BITMAP, PAGE);
        vmx_check_physical(c, VMCS_VMWRITE_BITMAP, PAGE);
    }
    if (c->proc2 & VMX_PROC2_EPT_VIOLATION_VE) {
        vmx_check_physical(c, VMCS_VE_INFORMATION_ADDRESS, PAGE);
    }
}

static void check_execution(struct vmx_check *c)
{
    const struct vmx_caps *caps = c->input->caps;

    allowed(c, VMX_CONTROL_PIN, VMCS_PIN_CONTROLS, c->pin);
    allowed(c, VMX_CONTROL_PROC, VMCS_PROC_CONTROLS, c->proc);
    if (c->proc & VMX_PROC_SECONDARY_CONTROLS) {
        allowed(c, VMX_CONTROL_PROC2, VMCS_PROC_CONTROLS2, c->proc2);
    }
    vmx_check_require(c,
                      vmx_check_read(c, VMCS_CR3_TARGET_COUNT) <=
                          (caps->misc & VMX_MISC_CR3_TARGETS) >> VMX_MISC_CR3_TARGETS_SHIFT,
                      VMCS_CR3_TARGET_COUNT, "more CR3-target values than the CPU has");
    if (c->proc & VMX_PROC_IO_BITMAPS) {
        vmx_check_physical(c, VMCS_IO_BITMAP_A, PAGE);
        vmx_check_physical(c, VMCS_IO_BITMAP_B, PAGE);
    }
    if (c->proc & VMX_PROC_MSR_BITMAPS) {
        vmx_check_physical(c, VMCS_MSR_BITMAP, PAGE);
    }
    check_apic(c);
    implies(c, c->pin & VMX_PIN_VIRTUAL_NMIS, c->pin & VMX_PIN_NMI_EXITING, VMCS_PIN_CONTROLS,
            "\"virtual NMIs\" needs \"NMI exiting\"");
    implies(c, c->proc & VMX_PROC_NMI_WINDOW_EXITING, c->pin & VMX_PIN_VIRTUAL_NMIS,
            VMCS_PROC_CONTROLS, "\"NMI-window exiting\" needs \"virtual NMIs\"");
    check_secondary(c);
}

static void check_msr_area(struct vmx_check *c, enum vmcs_field count, enum vmcs_field address)
{
    uint64_t entries = vmx_check_read(c, count);
    if (entries != 0) {
        uint64_t first = vmx_check_read(c, address);
        vmx_check_physical(c, address, MSR_AREA_ALIGNMENT);
        vmx_check_require(c, vmx_check_is_physical(c, first + entries * MSR_AREA_ENTRY - 1),
                          address, "the area must end within the physical-address width");
    }
}

/* 26.2.1.3: the event that the VM entry is to inject. */
static void check_injection(struct vmx_check *c)
{
    const struct vmx_caps *caps = c->input->caps;
    enum vmcs_field field = VMCS_ENTRY_INTERRUPTION_INFO;
    uint32_t info = (uint32_t)vmx_check_read(c, field);
    struct interruption event = vmx_decode_interruption(info);
    if (!event.valid) {
        return;
    }
    bool real_mode =
        (c->proc2 & VMX_PROC2_UNRESTRICTED_GUEST) && !(vmx_check_read(c, VMCS_GUEST_CR0) & CR0_PE);

    switch (event.type) {
    case EVENT_NMI:
        vmx_check_require(c, event.vector == VECTOR_NMI, field, "an NMI must have vector 2");
        break;
    case EVENT_HARDWARE_EXCEPTION:
        vmx_check_require(c, event.vector <= LAST_EXCEPTION, field,
                          "an exception must have a vector up to 31");
        break;
    case EVENT_OTHER:
        vmx_check_require(
            c,
            event.vector == 0 && vmx_caps_may(caps, VMX_CONTROL_PROC, VMX_PROC_MONITOR_TRAP_FLAG),
            field, "event type 7 must have vector 0, and needs the monitor trap flag");
        break;
    case EVENT_EXTERNAL_INTERRUPT:
    case EVENT_SOFTWARE_INTERRUPT:
    case EVENT_PRIVILEGED_SOFTWARE_EXCEPTION:
    case EVENT_SOFTWARE_EXCEPTION: break;
    default: vmx_check_require(c, false, field, "event type 1 is reserved");
    }
    vmx_check_require(c, !(info & INTERRUPTION_RESERVED), field, "bits 30:12 must be 0");

    if (event.type != EVENT_HARDWARE_EXCEPTION || real_mode) {
        vmx_check_require(c, !event.has_error_code, field, "this event delivers no error code");
    } else if (!(caps->basic & VMX_BASIC_ANY_ERROR_CODE)) {
        vmx_check_require(c, event.has_error_code == vmx_exception_has_error_code(event.vector),
                          field, "the error-code bit must suit the exception");
    }
    if (event.has_error_code) {
        vmx_check_require(
            c, !(vmx_check_read(c, VMCS_ENTRY_EXCEPTION_ERROR_CODE) & ERROR_CODE_RESERVED),
            VMCS_ENTRY_EXCEPTION_ERROR_CODE, "bits 31:16 must be 0");
    }
    if (event.type == EVENT_SOFTWARE_INTERRUPT || event.type == EVENT_SOFTWARE_EXCEPTION ||
        event.type == EVENT_PRIVILEGED_SOFTWARE_EXCEPTION) {
        uint64_t length = vmx_check_read(c, VMCS_ENTRY_INSTRUCTION_LENGTH);
        unsigned least = caps->misc & VMX_MISC_INJECT_LENGTH_0 ? 0 : 1;
        vmx_check_require(c, length >= least && length <= MAX_INSTRUCTION_LENGTH,
                          VMCS_ENTRY_INSTRUCTION_LENGTH, "must be an instruction's length");
    }
}

unsigned vmx_check_controls(const struct vmx_check_input *input, vmx_check_report *report,
                            void *report_ctx)
{
    struct vmx_check check;
    struct vmx_check *c = &check;
    vmx_check_begin(c, input, report, report_ctx);

    check_execution(c);

    allowed(c, VMX_CONTROL_EXIT, VMCS_EXIT_CONTROLS, c->exit);
    implies(c, c->exit & VMX_EXIT_SAVE_PREEMPTION_TIMER, c->pin & VMX_PIN_PREEMPTION_TIMER,
            VMCS_EXIT_CONTROLS, "\"save VMX-preemption timer value\" needs the timer");
    check_msr_area(c, VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_STORE_ADDRESS);
    check_msr_area(c, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD_ADDRESS);

    allowed(c, VMX_CONTROL_ENTRY, VMCS_ENTRY_CONTROLS, c->entry);
    check_injection(c);
    check_msr_area(c, VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_ADDRESS);
    vmx_check_require(c, !(c->entry & (VMX_ENTRY_TO_SMM | VMX_ENTRY_DEACTIVATE_DUAL_MONITOR)),
                      VMCS_ENTRY_CONTROLS, "only the SMM monitor may enter SMM or leave it");
    return c->violations;
}
