#include "vmx/fields.h"

const char *vmcs_field_name(enum vmcs_field field)
{
    switch (field) {
#define VMCS_FIELD_CASE(name, encoding)                                                            \
    case name: return #name;
        VMCS_FIELDS(VMCS_FIELD_CASE)
#undef VMCS_FIELD_CASE
    }
    return "unknown field";
}
