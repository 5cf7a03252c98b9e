#include "vmx/check_state.h"

#include <stddef.h>

#include "vmx/controls.h"

enum {
    PAT_ENTRIES = 8,
    PAT_BITS = 8,
    PAT_UC = 0,
    PAT_WC = 1,
    PAT_WT = 4,
    PAT_WP = 5,
    PAT_WB = 6,
    PAT_UC_MINUS = 7,
};

/* IA32_S_CET */
enum {
    S_CET_RESERVED = 0xfu << 6,
    S_CET_SUPPRESS = 1u << 10,
    S_CET_TRACKER_WAIT = 1u << 11,
};

uint64_t vmx_check_read(const struct vmx_check *check, enum vmcs_field field)
{
    return check->input->read(check->input->read_ctx, field);
}

void vmx_check_begin(struct vmx_check *check, const struct vmx_check_input *input,
                     vmx_check_report *report, void *report_ctx)
{
    *check = (struct vmx_check){.input = input, .report = report, .report_ctx = report_ctx};
    check->pin = (uint32_t)vmx_check_read(check, VMCS_PIN_CONTROLS);
    check->proc = (uint32_t)vmx_check_read(check, VMCS_PROC_CONTROLS);
    check->exit = (uint32_t)vmx_check_read(check, VMCS_EXIT_CONTROLS);
    check->entry = (uint32_t)vmx_check_read(check, VMCS_ENTRY_CONTROLS);
    if ((check->proc & VMX_PROC_SECONDARY_CONTROLS) &&
        vmx_caps_may(input->caps, VMX_CONTROL_PROC, VMX_PROC_SECONDARY_CONTROLS)) {
        check->proc2 = (uint32_t)vmx_check_read(check, VMCS_PROC_CONTROLS2);
    }
}

void vmx_check_require(struct vmx_check *check, bool ok, enum vmcs_field field, const char *rule)
{
    if (ok) {
        return;
    }
    check->violations++;
    if (check->report != NULL) {
        struct vmx_violation violation = {
            .field = field,
            .name = vmcs_field_name(field),
            .rule = rule,
            .value = vmx_check_read(check, field),
        };
        check->report(check->report_ctx, &violation);
    }
}

bool vmx_check_is_canonical(const struct vmx_check *check, uint64_t address)
{
    unsigned shift = 64 - check->input->caps->linear_bits;
    return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

bool vmx_check_is_physical(const struct vmx_check *check, uint64_t address)
{
    return address >> check->input->caps->physical_bits == 0;
}

void vmx_check_canonical(struct vmx_check *check, enum vmcs_field field)
{
    vmx_check_require(check, vmx_check_is_canonical(check, vmx_check_read(check, field)), field,
                      "must be a canonical address");
}

void vmx_check_physical(struct vmx_check *check, enum vmcs_field field, uint64_t alignment)
{
    uint64_t address = vmx_check_read(check, field);
    vmx_check_require(check, address % alignment == 0, field, "must be aligned");
    vmx_check_require(check, vmx_check_is_physical(check, address), field,
                      "must lie within the physical-address width");
}

void vmx_check_pat(struct vmx_check *check, enum vmcs_field field)
{
    uint64_t pat = vmx_check_read(check, field);
    bool ok = true;
    for (unsigned i = 0; i < PAT_ENTRIES; i++) {
        switch ((pat >> (i * PAT_BITS)) & 0xff) {
        case PAT_UC:
        case PAT_WC:
        case PAT_WT:
        case PAT_WP:
        case PAT_WB:
        case PAT_UC_MINUS: break;
        default: ok = false;
        }
    }
    vmx_check_require(check, ok, field, "each byte must be 0, 1, 4, 5, 6 or 7");
}

void vmx_check_s_cet(struct vmx_check *check, enum vmcs_field field)
{
    uint64_t both = S_CET_SUPPRESS | S_CET_TRACKER_WAIT;
    uint64_t value = vmx_check_read(check, field);
    vmx_check_require(check, !(value & S_CET_RESERVED), field, "bits 9:6 must be 0");
    vmx_check_require(check, (value & both) != both, field, "bits 10 and 11 must not both be 1");
    vmx_check_canonical(check, field);
}

unsigned vmx_check_entry(const struct vmx_check_input *input, vmx_check_report *report,
                         void *report_ctx)
{
    return vmx_check_controls(input, report, report_ctx) +
           vmx_check_host(input, report, report_ctx) + vmx_check_guest(input, report, report_ctx);
}

struct first {
    bool found;
    struct vmx_violation *violation;
};

static void keep_first(void *ctx, const struct vmx_violation *violation)
{
    struct first *first = ctx;
    if (!first->found) {
        first->found = true;
        *first->violation = *violation;
    }
}

bool vmx_check_first(const struct vmx_check_input *input, struct vmx_violation *violation)
{
    struct first first = {.violation = violation};
    vmx_check_entry(input, keep_first, &first);
    return first.found;
}
