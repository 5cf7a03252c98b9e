/* Holds struct vmx_context to the numbers in entry_offsets.inc. */
#include "vmx/entry.h"

_Static_assert(offsetof(struct vmx_context, regs) == 0, "regs come first");
_Static_assert(sizeof(struct vmx_regs) == 120, "CONTEXT_REGS_SIZE");
_Static_assert(offsetof(struct vmx_regs, rax) == 0, "the stub pushes RAX last");
_Static_assert(offsetof(struct vmx_regs, rcx) == 8, "RCX before it");
_Static_assert(offsetof(struct vmx_regs, rdx) == 16, "RDX");
_Static_assert(offsetof(struct vmx_regs, rbx) == 24, "RBX");
_Static_assert(offsetof(struct vmx_regs, rbp) == 32, "RBP");
_Static_assert(offsetof(struct vmx_regs, rsi) == 40, "RSI");
_Static_assert(offsetof(struct vmx_regs, rdi) == 48, "RDI");
_Static_assert(offsetof(struct vmx_regs, r8) == 56, "R8");
_Static_assert(offsetof(struct vmx_regs, r15) == 112, "R15 first");
_Static_assert(offsetof(struct vmx_context, host_stack) == 120, "CONTEXT_HOST_STACK");
_Static_assert(offsetof(struct vmx_context, entry_flags) == 128, "CONTEXT_ENTRY_FLAGS");
_Static_assert(offsetof(struct vmx_context, exit_flags) == 132, "CONTEXT_EXIT_FLAGS");
_Static_assert(offsetof(struct vmx_context, spec_ctrl_guest) == 136, "CONTEXT_SPEC_CTRL_GUEST");
_Static_assert(offsetof(struct vmx_context, spec_ctrl_host) == 140, "CONTEXT_SPEC_CTRL_HOST");
_Static_assert(offsetof(struct vmx_context, verw_selector) == 144, "CONTEXT_VERW_SELECTOR");
_Static_assert(VMX_CONTEXT_LAUNCH == 1, "CONTEXT_LAUNCH");
_Static_assert(VMX_CONTEXT_L1D_FLUSH == 2, "CONTEXT_L1D_FLUSH");
_Static_assert(VMX_CONTEXT_VERW == 4, "CONTEXT_VERW");
_Static_assert(VMX_CONTEXT_GUEST_SPEC_CTRL == 8, "CONTEXT_GUEST_SPEC_CTRL");
_Static_assert(VMX_CONTEXT_RSB_FILL == 1, "CONTEXT_RSB_FILL");
_Static_assert(VMX_CONTEXT_HOST_SPEC_CTRL == 2, "CONTEXT_HOST_SPEC_CTRL");
