/*
 * Into a guest and out of it again: the register file that VM entry and exit do not switch, and the
 * stub in entry.asm that does.
 *
 * struct vmx_context is the first member of the hypervisor's vCPU. Its VMCS has
 *   HOST_RSP = vmx_context_host_rsp(context): the end of regs, so that the stub pushes into it;
 *   HOST_RIP = vmx_context_host_rip(context).
 * Interrupts stay off in root mode and NMI, #MC and #DF have IST stacks: while the stub moves
 * registers, RSP points into the context.
 */
#ifndef TRAPLINE_VMX_ENTRY_H
#define TRAPLINE_VMX_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First the registers that C functions preserve, then those that they may change. */
struct vmx_regs {
    uint64_t rbx, rbp, r12, r13, r14, r15;
    uint64_t rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11;
};

enum vmx_reg_number {
    VMX_REG_RSP = 4,
    VMX_REG_NUMBERS = 16,
    VMX_REG_IN_VMCS = 0xff, /* in the table of vmx_reg() */
};

/* What stands between a VM entry and the short way in. */
enum vmx_entry_flag {
    VMX_CONTEXT_LAUNCH = 1u << 0,          /* the VMCS is clear: VMLAUNCH; the stub clears it */
    VMX_CONTEXT_L1D_FLUSH = 1u << 1,       /* write IA32_FLUSH_CMD */
    VMX_CONTEXT_VERW = 1u << 2,            /* overwrite the CPU's buffers */
    VMX_CONTEXT_TIMER = 1u << 4,           /* set the preemption timer by timer_deadline */
    VMX_CONTEXT_GUEST_SPEC_CTRL = 1u << 3, /* load spec_ctrl_guest */
};

/* What a VM exit does before anything else; with 0 it is not even tested for. */
enum vmx_exit_flag {
    VMX_CONTEXT_RSB_FILL = 1u << 0,       /* overwrite the return stack buffer */
    VMX_CONTEXT_HOST_SPEC_CTRL = 1u << 1, /* load spec_ctrl_host */
};

struct vmx_context {
    struct vmx_regs regs; /* the guest's, while it does not run */
    uint64_t host_stack;  /* RSP for vmx_handle_exit, a multiple of 16 */
    uint32_t entry_flags; /* enum vmx_entry_flag; but for the launch fixed before HOST_RIP is */
    uint32_t exit_flags;  /* enum vmx_exit_flag; fixed before HOST_RIP is written */
    uint32_t spec_ctrl_guest;
    uint32_t spec_ctrl_host;
    uint32_t verw_selector;  /* a writable data segment's, the operand of VERW */
    uint32_t timer_shift;    /* the timer's rate: one count in 2^timer_shift ticks of the TSC */
    uint64_t timer_deadline; /* TSC value at which the timer is to expire, for VMX_CONTEXT_TIMER */
    /*
     * How many VMCALLs with RAX = 0 the stub answered, with 0, and how many other exits there were
     * on the two short tiers; both count up from -VMX_SHORT_EXITS. See vmx_context_is_due().
     */
    int64_t null_calls, short_exits;
};

enum {
    VMX_SHORT_EXITS = 1024,
    VMX_FAST_WEIGHT = 8, /* an exit of the fast tier counts for as many of the shortest */
};

/* VMCALLs with RAX = 0 that the stub answered since the last vmx_context_renew(). */
static inline uint64_t vmx_context_null_calls(const struct vmx_context *context)
{
    return (uint64_t)(context->null_calls + VMX_SHORT_EXITS);
}

/* Begin to count anew. */
static inline void vmx_context_renew(struct vmx_context *context)
{
    context->null_calls = context->short_exits = -VMX_SHORT_EXITS;
}

/*
 * Whether it is time for the slow tier to look at the clock: the preemption timer counts in the
 * guest alone, so that one who comes for short calls all the time would keep its CPU for a hundred
 * times its slice. The exit that found it so has changed nothing.
 */
static inline bool vmx_context_is_due(const struct vmx_context *context)
{
    return context->short_exits >= 0;
}

/*
 * Where VM exits arrive; only for HOST_RIP. The guarded one obeys exit_flags and all entry_flags;
 * the other two are for contexts with no entry_flags but the launch, and with VERW besides, and
 * have the shortest way.
 */
void vmx_exit_stub(void);
void vmx_exit_stub_verw(void);
void vmx_exit_stub_guarded(void);

static inline uint64_t vmx_context_host_rsp(const struct vmx_context *context)
{
    return (uint64_t)(uintptr_t)context + sizeof(struct vmx_regs);
}

static inline uint64_t vmx_context_host_rip(const struct vmx_context *context)
{
    uint32_t flags = context->entry_flags & ~(uint32_t)VMX_CONTEXT_LAUNCH;

    if (context->exit_flags || (flags & ~(uint32_t)VMX_CONTEXT_VERW))
        return (uint64_t)(uintptr_t)vmx_exit_stub_guarded;
    return (uint64_t)(uintptr_t)(flags ? vmx_exit_stub_verw : vmx_exit_stub);
}

/* The VMCS of this context has just been VMCLEARed (or was never entered): the next entry launches.
 */
static inline void vmx_context_cleared(struct vmx_context *context)
{
    context->entry_flags |= VMX_CONTEXT_LAUNCH;
}

/*
 * The register with this number (0 to 15, as in instruction encodings and exit qualifications);
 * NULL for 4: the guest's RSP is in the VMCS.
 */
uint64_t *vmx_reg(struct vmx_regs *regs, unsigned number);

/* Enter the context, whose VMCS is current, and go on with what vmx_handle_exit returns, for ever.
 */
_Noreturn void vmx_run(struct vmx_context *context);

/*
 * Provided by the hypervisor: the shortest way. These functions preserve every register but RAX
 * themselves (VMX_LEAF), so that only RCX, the context, has been saved when they are called; the
 * other registers are the guest's, of which three come as arguments. They return 0 when the exit is
 * dealt with, or something else, having changed nothing: then it takes the long way.
 *
 * vmx_leaf_calls[] is for VMCALLs at CPL 0, outside the shadow of STI and MOV SS and with TF clear,
 * by number from 1 on; what they return for "not this way" is their number. After 0 the guest gets
 * RAX = 0 and its next instruction. Number 0 is answered by the stub.
 */
#define VMX_LEAF __attribute__((target("general-regs-only"), no_caller_saved_registers))
enum {
    VMX_LEAF_CALLS = 29,
};
typedef uint64_t vmx_leaf_function(uint64_t rdi, uint64_t rsi, uint64_t rdx,
                                   struct vmx_context *context);
extern vmx_leaf_function *const vmx_leaf_calls[VMX_LEAF_CALLS];

/* The same for EPT violations, with nothing done for the guest afterwards. */
VMX_LEAF uint64_t vmx_leaf_violation(uint64_t rdi, uint64_t rsi, uint64_t rdx,
                                     struct vmx_context *context);

/* In what vmx_handle_fast_exit() returns: it is for the slow tier. */
enum {
    VMX_EXIT_SLOW = 1,
};

/*
 * Provided by the hypervisor: the first tier. Of context->regs only the part from rax on is the
 * guest's; the preserved registers are in the CPU. Returns the context when the exit is dealt with
 * and it goes on, or, having changed nothing, the context's address | VMX_EXIT_SLOW.
 */
uintptr_t vmx_handle_fast_exit(struct vmx_context *context);

/*
 * Provided by the hypervisor, all three on context->host_stack, which the stub resets each time.
 * These two see all registers in context->regs and return the context to enter next, with its VMCS
 * current.
 */
struct vmx_context *vmx_handle_exit(struct vmx_context *context);

/* VMLAUNCH or VMRESUME failed: VMCS_INSTRUCTION_ERROR of the current VMCS says why. */
struct vmx_context *vmx_handle_entry_failure(struct vmx_context *context);

#endif
