/*
 * Inside of the VM-entry check: what its parts share. Only for vmx/check*.c.
 */
#ifndef TRAPLINE_VMX_CHECK_STATE_H
#define TRAPLINE_VMX_CHECK_STATE_H

#include "vmx/check.h"

/* One run of the check. The control words are read once; absent secondary controls read as 0. */
struct vmx_check {
    const struct vmx_check_input *input;
    vmx_check_report *report;
    void *report_ctx;
    unsigned violations;
    uint32_t pin, proc, proc2, exit, entry;
};

void vmx_check_begin(struct vmx_check *check, const struct vmx_check_input *input,
                     vmx_check_report *report, void *report_ctx);

uint64_t vmx_check_read(const struct vmx_check *check, enum vmcs_field field);

/* Report the field with this rule unless ok. */
void vmx_check_require(struct vmx_check *check, bool ok, enum vmcs_field field, const char *rule);

/* The field is a canonical linear address. */
void vmx_check_canonical(struct vmx_check *check, enum vmcs_field field);

/* The field is a physical address, within the CPU's width, whose bits below alignment are 0. */
void vmx_check_physical(struct vmx_check *check, enum vmcs_field field, uint64_t alignment);

/* The field holds eight memory types for IA32_PAT. */
void vmx_check_pat(struct vmx_check *check, enum vmcs_field field);

/* The field has a value for IA32_S_CET. */
void vmx_check_s_cet(struct vmx_check *check, enum vmcs_field field);

bool vmx_check_is_canonical(const struct vmx_check *check, uint64_t address);
bool vmx_check_is_physical(const struct vmx_check *check, uint64_t address);

/* 26.3.1.2, in check_segments.c */
void vmx_check_segments(struct vmx_check *check);

#endif
