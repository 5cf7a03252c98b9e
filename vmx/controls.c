#include "vmx/controls.h"

#include <stddef.h>

#include "vmx/caps.h"

enum {
    CONTROL_BITS = 32,
};

static uint64_t capability(enum vmx_control_field field, const struct vmx_caps *caps)
{
    bool true_controls = vmx_caps_has_true_controls(caps) && field != VMX_CONTROL_PROC2;
    return true_controls ? caps->true_control[field] : caps->control[field];
}

uint32_t vmx_control_must_be_1(enum vmx_control_field field, const struct vmx_caps *caps)
{
    return (uint32_t)capability(field, caps);
}

uint32_t vmx_control_may_be_1(enum vmx_control_field field, const struct vmx_caps *caps)
{
    return (uint32_t)(capability(field, caps) >> 32);
}

int vmx_negotiate(enum vmx_control_field field, const struct vmx_caps *caps,
                  const struct vmx_control_request *request, struct vmx_control_result *result)
{
    uint32_t must = vmx_control_must_be_1(field, caps);
    uint32_t may = vmx_control_may_be_1(field, caps);

    result->value = must | ((request->required | request->optional) & may);
    result->missing = request->required & ~may;
    result->forced = must & ~(request->required | request->optional);
    return result->missing ? -1 : 0;
}

const char *vmx_control_name(enum vmx_control_field field, unsigned bit)
{
#define VMX_CONTROL_NAME(name, number, text) [number] = text,
    static const char *const names[VMX_CONTROL_FIELDS][CONTROL_BITS] = {
        [VMX_CONTROL_PIN] = {VMX_PIN_BITS(VMX_CONTROL_NAME)},
        [VMX_CONTROL_PROC] = {VMX_PROC_BITS(VMX_CONTROL_NAME)},
        [VMX_CONTROL_PROC2] = {VMX_PROC2_BITS(VMX_CONTROL_NAME)},
        [VMX_CONTROL_EXIT] = {VMX_EXIT_BITS(VMX_CONTROL_NAME)},
        [VMX_CONTROL_ENTRY] = {VMX_ENTRY_BITS(VMX_CONTROL_NAME)},
    };
#undef VMX_CONTROL_NAME
    return (unsigned)field < VMX_CONTROL_FIELDS && bit < CONTROL_BITS ? names[field][bit] : NULL;
}

const char *vmx_control_field_name(enum vmx_control_field field)
{
    static const char *const names[VMX_CONTROL_FIELDS] = {
        [VMX_CONTROL_PIN] = "pin-based",
        [VMX_CONTROL_PROC] = "primary processor-based",
        [VMX_CONTROL_PROC2] = "secondary processor-based",
        [VMX_CONTROL_EXIT] = "VM-exit",
        [VMX_CONTROL_ENTRY] = "VM-entry",
    };
    return (unsigned)field < VMX_CONTROL_FIELDS ? names[field] : NULL;
}
