/* VMCALL: the table of hypercalls, and those that are not primitives (print, exit, statistics). */
#ifndef TRAPLINE_HV_HYPERCALL_H
#define TRAPLINE_HV_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx/entry.h"

struct vcpu;

/* Results that are not for the guest; no error or count has these values. */
#define HYPERCALL_AGAIN (INT64_MIN)     /* not finished: the guest executes its VMCALL again */
#define HYPERCALL_ENDED (INT64_MIN + 1) /* the guest has ended */

typedef int64_t hypercall_function(struct vcpu *vcpu, struct vmx_regs *regs);

/* The exit handler for VMCALL; true: the vCPU goes on. */
bool hypercall_exit(struct vcpu *vcpu);

#endif
