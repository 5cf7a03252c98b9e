/* Holds struct vmx_context to the numbers in entry_offsets.inc. */
#include "vmx/entry.h"

#include "vmx/exits.h"
#include "vmx/fields.h"
#include "vmx/x86.h"

_Static_assert(offsetof(struct vmx_context, regs) == 0, "regs come first");
_Static_assert(sizeof(struct vmx_regs) == 120, "CONTEXT_REGS_SIZE");
_Static_assert(offsetof(struct vmx_regs, rbx) == 0, "CONTEXT_RBX");
_Static_assert(offsetof(struct vmx_regs, rbp) == 8, "CONTEXT_RBP");
_Static_assert(offsetof(struct vmx_regs, r12) == 16, "CONTEXT_R12");
_Static_assert(offsetof(struct vmx_regs, r13) == 24, "CONTEXT_R13");
_Static_assert(offsetof(struct vmx_regs, r14) == 32, "CONTEXT_R14");
_Static_assert(offsetof(struct vmx_regs, r15) == 40, "CONTEXT_R15");
_Static_assert(offsetof(struct vmx_regs, rax) == 48, "CONTEXT_RAX: pushed last");
_Static_assert(offsetof(struct vmx_regs, rcx) == 56, "CONTEXT_RCX: before it");
_Static_assert(offsetof(struct vmx_regs, rdx) == 64, "RDX");
_Static_assert(offsetof(struct vmx_regs, rsi) == 72, "RSI");
_Static_assert(offsetof(struct vmx_regs, rdi) == 80, "RDI");
_Static_assert(offsetof(struct vmx_regs, r8) == 88, "R8");
_Static_assert(offsetof(struct vmx_regs, r11) == 112, "R11 first");
_Static_assert(VMX_EXIT_SLOW == 1, "EXIT_SLOW");
_Static_assert(offsetof(struct vmx_context, host_stack) == 120, "CONTEXT_HOST_STACK");
_Static_assert(offsetof(struct vmx_context, entry_flags) == 128, "CONTEXT_ENTRY_FLAGS");
_Static_assert(offsetof(struct vmx_context, exit_flags) == 132, "CONTEXT_EXIT_FLAGS");
_Static_assert(offsetof(struct vmx_context, spec_ctrl_guest) == 136, "CONTEXT_SPEC_CTRL_GUEST");
_Static_assert(offsetof(struct vmx_context, spec_ctrl_host) == 140, "CONTEXT_SPEC_CTRL_HOST");
_Static_assert(offsetof(struct vmx_context, verw_selector) == 144, "CONTEXT_VERW_SELECTOR");
_Static_assert(offsetof(struct vmx_context, timer_shift) == 148, "CONTEXT_TIMER_SHIFT");
_Static_assert(offsetof(struct vmx_context, timer_deadline) == 152, "CONTEXT_TIMER_DEADLINE");
_Static_assert(offsetof(struct vmx_context, null_calls) == 160, "CONTEXT_NULL_CALLS");
_Static_assert(offsetof(struct vmx_context, short_exits) == 168, "CONTEXT_SHORT_EXITS");
_Static_assert(VMX_LEAF_CALLS == 29, "LEAF_CALLS");
_Static_assert(VMX_CONTEXT_TIMER == 16, "CONTEXT_TIMER");
_Static_assert(VMCS_EXIT_REASON == 0x4402, "FIELD_EXIT_REASON");
_Static_assert(VMCS_EXIT_INSTRUCTION_LENGTH == 0x440c, "FIELD_INSTRUCTION_LENGTH");
_Static_assert(VMCS_GUEST_SS_ACCESS_RIGHTS == 0x4818, "FIELD_SS_RIGHTS");
_Static_assert(VMCS_GUEST_INTERRUPTIBILITY == 0x4824, "FIELD_INTERRUPTIBILITY");
_Static_assert(VMCS_GUEST_PREEMPTION_TIMER == 0x482e, "FIELD_PREEMPTION_TIMER");
_Static_assert(VMCS_GUEST_RIP == 0x681e, "FIELD_RIP");
_Static_assert(VMCS_GUEST_RFLAGS == 0x6820, "FIELD_RFLAGS");
_Static_assert(VMCS_HOST_RSP == 0x6c14, "FIELD_HOST_RSP");
_Static_assert(EXIT_REASON_VMCALL == 18, "REASON_VMCALL");
_Static_assert(EXIT_REASON_EPT_VIOLATION == 48, "REASON_EPT_VIOLATION");
_Static_assert((RFLAGS_IF | RFLAGS_TF) == (1 << 9 | 1 << 8), "RFLAGS_IF_TF");
_Static_assert((INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS) == 3, "INTERRUPTIBILITY_SHADOW");
_Static_assert(VMX_CONTEXT_LAUNCH == 1, "CONTEXT_LAUNCH");
_Static_assert(VMX_CONTEXT_L1D_FLUSH == 2, "CONTEXT_L1D_FLUSH");
_Static_assert(VMX_CONTEXT_VERW == 4, "CONTEXT_VERW");
_Static_assert(VMX_CONTEXT_GUEST_SPEC_CTRL == 8, "CONTEXT_GUEST_SPEC_CTRL");
_Static_assert(VMX_CONTEXT_RSB_FILL == 1, "CONTEXT_RSB_FILL");
_Static_assert(VMX_CONTEXT_HOST_SPEC_CTRL == 2, "CONTEXT_HOST_SPEC_CTRL");

uint64_t *vmx_reg(struct vmx_regs *regs, unsigned number)
{
    static const uint8_t offset[VMX_REG_NUMBERS] = {
        offsetof(struct vmx_regs, rax),
        offsetof(struct vmx_regs, rcx),
        offsetof(struct vmx_regs, rdx),
        offsetof(struct vmx_regs, rbx),
        VMX_REG_IN_VMCS,
        offsetof(struct vmx_regs, rbp),
        offsetof(struct vmx_regs, rsi),
        offsetof(struct vmx_regs, rdi),
        offsetof(struct vmx_regs, r8),
        offsetof(struct vmx_regs, r9),
        offsetof(struct vmx_regs, r10),
        offsetof(struct vmx_regs, r11),
        offsetof(struct vmx_regs, r12),
        offsetof(struct vmx_regs, r13),
        offsetof(struct vmx_regs, r14),
        offsetof(struct vmx_regs, r15),
    };

    if (offset[number] == VMX_REG_IN_VMCS)
        return NULL;
    return (uint64_t *)((char *)regs + offset[number]);
}
