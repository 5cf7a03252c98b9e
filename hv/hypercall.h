/* VMCALL: the table of hypercalls, and those that are not primitives (print, exit, statistics). */
#ifndef TRAPLINE_HV_HYPERCALL_H
#define TRAPLINE_HV_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/include/trapline/abi.h"
#include "hv/vcpu.h"
#include "vmx/entry.h"
#include "vmx/instructions.h"

enum {
    HYPERCALL_SS_DPL = 3 << 5, /* in the access rights */
};

/* A result that is not for the guest; no error or count has this value. */
#define HYPERCALL_AGAIN INT64_MIN /* not finished: the guest executes its VMCALL again */

typedef int64_t hypercall_function(struct vcpu *vcpu, struct vmx_regs *regs);

/*
 * The calls on the fast tier (vmx/entry.h), by number. They finish the call themselves and return
 * what vmx_handle_fast_exit() is to return, so that nothing is left to do when they do.
 */
typedef uintptr_t hypercall_fast_function(struct vcpu *vcpu);
extern hypercall_fast_function *const hypercall_fast_functions[TRAPLINE_HC_COUNT];

/* VMCALL exits at every CPL, and only CPL 0 is answered: the DPL of SS (SDM 24.4.1). */
static inline bool hypercall_above_cpl0(void)
{
    return vmread(VMCS_GUEST_SS_ACCESS_RIGHTS) & HYPERCALL_SS_DPL;
}

/*
 * VMCALL on the fast tier: the call is done, or it is one for the slow tier and nothing has changed
 * but its count.
 */
static inline uintptr_t hypercall_fast(struct vcpu *vcpu)
{
    uint64_t number = vcpu->context.regs.rax;

    if (__builtin_expect(number >= TRAPLINE_HC_COUNT || hypercall_above_cpl0(), 0))
        return (uintptr_t)&vcpu->context | VMX_EXIT_SLOW;
    vcpu->stats.hypercalls[number]++;
    return hypercall_fast_functions[number](vcpu);
}

/* VMCALL on the slow tier: refusals and the guest's end. True: the vCPU goes on. */
bool hypercall_exit(struct vcpu *vcpu);

#endif
