/*
 * What VM entry checks (SDM volume 3, 26.2 and 26.3), in software: to name the field at fault when
 * a VM entry has failed with "invalid control fields", "invalid host state" or exit reason 33.
 *
 * Prints nothing and touches no CPU: fields come from a callback, limits from struct vmx_caps.
 */
#ifndef TRAPLINE_VMX_CHECK_H
#define TRAPLINE_VMX_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx/caps.h"
#include "vmx/fields.h"

struct vmx_violation {
    enum vmcs_field field;
    const char *name; /* of the field */
    const char *rule; /* what the SDM demands, as text */
    uint64_t value;   /* the field's */
};

/* The VMCS to be checked. read is asked only for fields that exist on a CPU with these
 * capabilities. */
struct vmx_check_input {
    uint64_t (*read)(void *ctx, enum vmcs_field field);
    void *read_ctx;
    const struct vmx_caps *caps;
};

typedef void vmx_check_report(void *ctx, const struct vmx_violation *violation);

/*
 * Check the control fields (26.2.1), the host state (26.2.2, 26.2.4) or the guest state (26.3.1);
 * each violation is reported. How many there were. report may be NULL.
 */
unsigned vmx_check_controls(const struct vmx_check_input *input, vmx_check_report *report,
                            void *report_ctx);
unsigned vmx_check_host(const struct vmx_check_input *input, vmx_check_report *report,
                        void *report_ctx);
unsigned vmx_check_guest(const struct vmx_check_input *input, vmx_check_report *report,
                         void *report_ctx);

/* All three in the processor's order. */
unsigned vmx_check_entry(const struct vmx_check_input *input, vmx_check_report *report,
                         void *report_ctx);

/* The first violation of all three into *first; false if there is none. */
bool vmx_check_first(const struct vmx_check_input *input, struct vmx_violation *first);

#endif
