/* VMCALL: the table of hypercalls, and those that are not primitives (print, exit, statistics). */
#ifndef TRAPLINE_HV_HYPERCALL_H
#define TRAPLINE_HV_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx/entry.h"

struct vcpu;

/* A result that is not for the guest; no error or count has this value. */
#define HYPERCALL_AGAIN INT64_MIN /* not finished: the guest executes its VMCALL again */

typedef int64_t hypercall_function(struct vcpu *vcpu, struct vmx_regs *regs);

/*
 * VMCALL on the fast tier (vmx/entry.h). Returns what vmx_handle_fast_exit() is to return: the call
 * is done, or it is one for the slow tier and nothing has changed.
 */
uintptr_t hypercall_fast(struct vcpu *vcpu);

/* VMCALL on the slow tier: refusals and the guest's end. True: the vCPU goes on. */
bool hypercall_exit(struct vcpu *vcpu);

#endif
