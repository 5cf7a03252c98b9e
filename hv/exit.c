/*
 * VM exits: one table from exit reason to handler. A handler returns true when the same vCPU goes
 * on and false when its turn is over; a reason without a handler stops the guest with a dump, never
 * the machine.
 */
#include "hv/exit.h"

#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/dump.h"
#include "hv/exit_cr.h"
#include "hv/guest.h"
#include "hv/hypercall.h"
#include "hv/machine.h"
#include "hv/policy_cpuid.h"
#include "hv/policy_msr.h"
#include "hv/pml.h"
#include "hv/primitives.h"
#include "hv/sched.h"
#include "hv/vcpu.h"
#include "hv/view.h"
#include "hv/vmx_setup.h"
#include "vmx/check.h"
#include "vmx/instructions.h"

enum {
    DR6_SINGLE_STEP = 1u << 14,
    DR6_RESERVED_ONES = 0xffff0ff0,
    DEBUGCTL_BTF = 1u << 1,
    DR7_GENERAL_DETECT = 1u << 13,
};

bool exit_stop(struct vcpu *vcpu, const char *why)
{
    if (guest_begin_end(vcpu->guest)) {
        dump_vcpu(vcpu);
        guest_stop(vcpu->guest, "%s", why);
    }
    return false;
}

bool exit_deny(struct vcpu *vcpu, enum guest_denial kind, const char *what, uint64_t which)
{
    if (guest_denied(vcpu->guest, kind))
        kprintf(
            "trapline: guest %s: %s 0x%llx at 0x%llx is denied (#GP; further ones are counted)\n",
            vcpu->guest->config->name, what, (unsigned long long)which,
            (unsigned long long)vmread(VMCS_GUEST_RIP));
    vcpu_inject(VECTOR_GP, 0);
    return true;
}

void exit_redeliver(void)
{
    uint32_t info = (uint32_t)vmread(VMCS_IDT_VECTORING_INFO);
    uint32_t again = vmx_reinject(info);

    if (!again)
        return;
    if (again & INTERRUPTION_ERROR_CODE)
        vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE, vmread(VMCS_IDT_VECTORING_ERROR_CODE));
    vmwrite(VMCS_ENTRY_INSTRUCTION_LENGTH, vmread(VMCS_EXIT_INSTRUCTION_LENGTH));
    vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, again);
}

/* #DB: DR6 is not written by an intercepted exception (SDM 27.1), and DR7.GD and BTF are cleared by
 * its delivery. */
static void reflect_debug(void)
{
    uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
    uint64_t dr6;

    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    dr6 =
        (dr6 & ~(uint64_t)DEBUG_EXIT_BREAKPOINTS) | DR6_RESERVED_ONES |
        (qualification & (DEBUG_EXIT_BREAKPOINTS | DEBUG_EXIT_DR_ACCESS | DEBUG_EXIT_SINGLE_STEP));
    __asm__ volatile("mov %0, %%dr6" : : "r"(dr6));
    vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~(uint64_t)DR7_GENERAL_DETECT);
    vmwrite(VMCS_GUEST_DEBUGCTL, vmread(VMCS_GUEST_DEBUGCTL) & ~(uint64_t)DEBUGCTL_BTF);
    vcpu_inject(VECTOR_DB, 0);
}

static bool exit_exception(struct vcpu *vcpu)
{
    struct interruption event =
        vmx_decode_interruption((uint32_t)vmread(VMCS_EXIT_INTERRUPTION_INFO));
    struct interruption vectoring =
        vmx_decode_interruption((uint32_t)vmread(VMCS_IDT_VECTORING_INFO));

    if (event.type == EVENT_NMI) {
        cpu_handle_nmi();
        /* The exit has blocked NMIs as their delivery does (SDM 27.1), and no IRET ends that
         * here. */
        cpu_unblock_nmis();
        exit_redeliver();
        /* A kick may be meant to end its turn. */
        return vcpu->guest->state == GUEST_RUNNING && !sched_is_called(vcpu);
    }
    if (event.vector == VECTOR_MC) {
        cpu_handle_machine_check();
        exit_redeliver();
        return true;
    }
    if (event.nmi_unblocking && !vectoring.valid)
        vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
                vmread(VMCS_GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
    /* The same fault in its own delivery would go on for ever. */
    if (vectoring.valid && vectoring.type == EVENT_HARDWARE_EXCEPTION &&
        vectoring.vector == event.vector)
        return exit_stop(vcpu, "an exception's delivery raised the same exception again");
    if (event.vector == VECTOR_DB)
        reflect_debug();
    else
        vcpu_inject(event.vector, (uint32_t)vmread(VMCS_EXIT_INTERRUPTION_ERROR_CODE));
    return true;
}

static bool exit_interrupt(struct vcpu *vcpu)
{
    struct interruption event =
        vmx_decode_interruption((uint32_t)vmread(VMCS_EXIT_INTERRUPTION_INFO));

    (void)vcpu;
    cpu_handle_interrupt(event.vector);
    exit_redeliver();
    return true;
}

static bool exit_triple_fault(struct vcpu *vcpu)
{
    return exit_stop(vcpu, "triple fault");
}

static bool exit_hlt(struct vcpu *vcpu)
{
    return interrupt_halt(vcpu);
}

static struct cpuid_regs raw_cpuid(uint32_t leaf, uint32_t subleaf)
{
    return cpuid(leaf, subleaf);
}

static bool exit_cpuid(struct vcpu *vcpu)
{
    struct vmx_regs *regs = &vcpu->context.regs;
    struct cpuid_policy policy = {
        .features = vcpu->guest->features,
        .vcpu_index = vcpu->index,
        .xcr0_max = vmx_setup.xcr0_max,
        .guest_cr4 = exit_cr4(),
        .rdtscp = vmx_setup.rdtscp,
        .invpcid = vmx_setup.invpcid,
        .pku = vmx_setup.pku,
        .pcid = vmx_setup.pcid,
        .xsaves = vmx_setup.xsaves,
        .pat = vmx_setup.pat,
        .tsc_deadline = vmx_setup.tsc_deadline,
        .raw = raw_cpuid,
    };
    struct cpuid_regs r = policy_cpuid(&policy, (uint32_t)regs->rax, (uint32_t)regs->rcx);

    regs->rax = r.eax;
    regs->rbx = r.ebx;
    regs->rcx = r.ecx;
    regs->rdx = r.edx;
    vcpu_skip_instruction();
    return true;
}

/* VMX, SMX and MONITOR are not shown to guests: their instructions do not exist. */
static bool exit_undefined(struct vcpu *vcpu)
{
    uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON) & EXIT_REASON_BASIC;

    if (guest_denied(vcpu->guest, DENIAL_VMX))
        kprintf("trapline: guest %s: %s at 0x%llx is denied (#UD; further ones are counted)\n",
                vcpu->guest->config->name, vmx_exit_name(reason),
                (unsigned long long)vmread(VMCS_GUEST_RIP));
    vcpu_inject(VECTOR_UD, 0);
    return true;
}

static bool exit_rdpmc(struct vcpu *vcpu)
{
    return exit_deny(vcpu, DENIAL_RDPMC, "RDPMC of counter", (uint32_t)vcpu->context.regs.rcx);
}

/* Caches are coherent and no guest has a device that reaches memory: there is nothing to write back
 * or to lose. */
static bool exit_cache_flush(struct vcpu *vcpu)
{
    (void)vcpu;
    vcpu_skip_instruction();
    return true;
}

static bool exit_io(struct vcpu *vcpu)
{
    struct io_access io = vmx_decode_io(vmread(VMCS_EXIT_QUALIFICATION));

    return exit_deny(vcpu, io.in ? DENIAL_IN : DENIAL_OUT, io.in ? "IN from port" : "OUT to port",
                     io.port);
}

static struct policy_msr_guest msr_guest(void)
{
    return (struct policy_msr_guest){
        .efer = vmread(VMCS_GUEST_EFER),
        .paging = vmread(VMCS_GUEST_CR0) & CR0_PG,
        .pat = vmx_setup.pat,
        .xsaves = vmx_setup.xsaves,
    };
}

static bool exit_rdmsr(struct vcpu *vcpu)
{
    struct vmx_regs *regs = &vcpu->context.regs;
    struct policy_msr_guest guest = msr_guest();
    uint64_t value;
    bool good = interrupt_has_msr((uint32_t)regs->rcx)
                    ? interrupt_read_msr(vcpu, (uint32_t)regs->rcx, &value)
                    : policy_msr_read(&guest, (uint32_t)regs->rcx, &value) != POLICY_MSR_DENY;

    if (!good)
        return exit_deny(vcpu, DENIAL_RDMSR, "RDMSR of", (uint32_t)regs->rcx);
    regs->rax = (uint32_t)value;
    regs->rdx = value >> 32;
    vcpu_skip_instruction();
    return true;
}

static bool exit_wrmsr(struct vcpu *vcpu)
{
    struct vmx_regs *regs = &vcpu->context.regs;
    struct policy_msr_guest guest = msr_guest();
    uint64_t value = regs->rdx << 32 | (uint32_t)regs->rax;

    if (interrupt_has_msr((uint32_t)regs->rcx)) {
        if (!interrupt_write_msr(vcpu, (uint32_t)regs->rcx, value))
            return exit_deny(vcpu, DENIAL_WRMSR, "WRMSR to", (uint32_t)regs->rcx);
        vcpu_skip_instruction();
        return true;
    }
    switch (policy_msr_write(&guest, (uint32_t)regs->rcx, &value)) {
    case POLICY_MSR_DENY: return exit_deny(vcpu, DENIAL_WRMSR, "WRMSR to", (uint32_t)regs->rcx);
    case POLICY_MSR_OK: break;
    case POLICY_MSR_EFER: vmwrite(VMCS_GUEST_EFER, value); break;
    case POLICY_MSR_PAT: vmwrite(VMCS_GUEST_PAT, value); break;
    }
    vcpu_skip_instruction();
    return true;
}

/* XSETBV exits always; #UD without CR4.OSXSAVE and #GP above CPL 0 come before the exit
 * (SDM 25.1.1). */
static bool exit_xsetbv(struct vcpu *vcpu)
{
    struct vmx_regs *regs = &vcpu->context.regs;
    uint64_t value = regs->rdx << 32 | (uint32_t)regs->rax;

    if ((uint32_t)regs->rcx != 0 || !policy_xcr0_valid(value, vmx_setup.xcr0_max))
        return exit_deny(vcpu, DENIAL_XSETBV, "XSETBV of", value);
    xsetbv(0, value);
    vcpu_skip_instruction();
    return true;
}

/* A window is open: interrupts are looked at before the next entry, as they always are. */
static bool exit_window(struct vcpu *vcpu)
{
    interrupt_window(vcpu);
    /* An NMI in root mode may have opened it. */
    return vcpu->guest->state == GUEST_RUNNING && !sched_is_called(vcpu);
}

/* The CPU has virtualized a write and leaves the rest to us: after the instruction (SDM 29.4.3.3).
 */
static bool exit_apic_write(struct vcpu *vcpu)
{
    interrupt_finish_write(vcpu, (unsigned)vmread(VMCS_EXIT_QUALIFICATION));
    return true;
}

static bool exit_timer(struct vcpu *vcpu)
{
    exit_redeliver();
    if (interrupt_is_timer(vcpu))
        return true;
    sched_charge(vcpu);
    if (!interrupt_check_halt(vcpu))
        return false;
    vcpu_arm_timer(vcpu);
    return false;
}

static bool exit_misconfiguration(struct vcpu *vcpu)
{
    return exit_stop(vcpu, "EPT misconfiguration: a fault of the hypervisor's own tables");
}

typedef bool exit_handler(struct vcpu *vcpu);

static exit_handler *const handlers[EXIT_REASONS] = {
    [EXIT_REASON_EXCEPTION_OR_NMI] = exit_exception,
    [EXIT_REASON_EXTERNAL_INTERRUPT] = exit_interrupt,
    [EXIT_REASON_TRIPLE_FAULT] = exit_triple_fault,
    [EXIT_REASON_INTERRUPT_WINDOW] = exit_window,
    [EXIT_REASON_NMI_WINDOW] = exit_window,
    [EXIT_REASON_CPUID] = exit_cpuid,
    [EXIT_REASON_GETSEC] = exit_undefined,
    [EXIT_REASON_HLT] = exit_hlt,
    [EXIT_REASON_INVD] = exit_cache_flush,
    [EXIT_REASON_RDPMC] = exit_rdpmc,
    [EXIT_REASON_VMCALL] = hypercall_exit,
    [EXIT_REASON_VMCLEAR] = exit_undefined,
    [EXIT_REASON_VMLAUNCH] = exit_undefined,
    [EXIT_REASON_VMPTRLD] = exit_undefined,
    [EXIT_REASON_VMPTRST] = exit_undefined,
    [EXIT_REASON_VMREAD] = exit_undefined,
    [EXIT_REASON_VMRESUME] = exit_undefined,
    [EXIT_REASON_VMWRITE] = exit_undefined,
    [EXIT_REASON_VMXOFF] = exit_undefined,
    [EXIT_REASON_VMXON] = exit_undefined,
    [EXIT_REASON_CR_ACCESS] = exit_cr_access,
    [EXIT_REASON_IO] = exit_io,
    [EXIT_REASON_RDMSR] = exit_rdmsr,
    [EXIT_REASON_WRMSR] = exit_wrmsr,
    [EXIT_REASON_MWAIT] = exit_undefined,
    [EXIT_REASON_MONITOR] = exit_undefined,
    [EXIT_REASON_EPT_VIOLATION] = primitives_ept_violation,
    [EXIT_REASON_EPT_MISCONFIGURATION] = exit_misconfiguration,
    [EXIT_REASON_INVEPT] = exit_undefined,
    [EXIT_REASON_PREEMPTION_TIMER] = exit_timer,
    [EXIT_REASON_INVVPID] = exit_undefined,
    [EXIT_REASON_WBINVD] = exit_cache_flush,
    [EXIT_REASON_PML_FULL] = pml_full,
    [EXIT_REASON_XSETBV] = exit_xsetbv,
    [EXIT_REASON_APIC_WRITE] = exit_apic_write,
    [EXIT_REASON_VMFUNC] = view_vmfunc_exit,
};

static uint64_t read_field(void *ctx, enum vmcs_field field)
{
    (void)ctx;
    return vmread(field);
}

static void report_violation(void *ctx, const struct vmx_violation *violation)
{
    (void)ctx;
    kprintf("trapline:   %s = 0x%llx: %s\n", violation->name, (unsigned long long)violation->value,
            violation->rule);
}

/* A VM entry that did not happen: say which field the SDM's rules speak against. */
static bool entry_failed(struct vcpu *vcpu, const char *what)
{
    struct vmx_check_input input = {.read = read_field, .caps = &vmx_setup.caps};

    kprintf("trapline: guest %s: VM entry failed: %s\n", vcpu->guest->config->name, what);
    if (vmx_check_entry(&input, report_violation, NULL) == 0)
        kprintf("trapline:   no rule of the SDM that is checked here is broken\n");
    return exit_stop(vcpu, what);
}

static bool unusual_exit(struct vcpu *vcpu, uint32_t reason)
{
    const char *name = vmx_exit_name(reason & EXIT_REASON_BASIC);
    char why[80];

    if ((reason & EXIT_REASON_BASIC) == EXIT_REASON_ENTRY_MACHINE_CHECK)
        cpu_handle_machine_check();
    if (reason & EXIT_REASON_ENTRY_FAILURE)
        return entry_failed(vcpu, name ? name : "reason unknown");
    ksnprintf(why, sizeof(why), "unexpected VM exit %u (%s)", reason & EXIT_REASON_BASIC,
              name ? name : "unknown to the SDM");
    return exit_stop(vcpu, why);
}

uintptr_t vmx_handle_fast_exit(struct vmx_context *context)
{
    struct vcpu *vcpu = (struct vcpu *)context;
    uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON);

    context->short_exits += VMX_FAST_WEIGHT;
    if (__builtin_expect(vmx_context_is_due(context), 0))
        return (uintptr_t)context | VMX_EXIT_SLOW;
    if (reason == EXIT_REASON_VMCALL)
        return hypercall_fast(vcpu);
    if (reason == EXIT_REASON_EPT_VIOLATION)
        return primitives_fast_violation(vcpu);
    if (reason == EXIT_REASON_PML_FULL)
        return pml_fast_full(vcpu);
    return (uintptr_t)context | VMX_EXIT_SLOW;
}

/*
 * The preemption timer counts in the guest alone. One whose exits follow one another without an
 * instruction in between (an exception whose delivery raises the next) would never use up its
 * slice, so that on the slow tier the clock bounds it, too.
 */
static bool slice_over(struct vcpu *vcpu)
{
    if (rdtsc() < vcpu->slice_end)
        return false;
    sched_charge(vcpu);
    vcpu_arm_timer(vcpu);
    return true;
}

/* The short tiers have had their turn. Whether this exit is one of theirs, a VMCALL: it comes
 * again. */
static bool comes_again(struct vcpu *vcpu, uint32_t reason)
{
    if (!vmx_context_is_due(&vcpu->context))
        return false;
    vcpu->stats.hypercalls[TRAPLINE_HC_NOP] += vmx_context_null_calls(&vcpu->context);
    vmx_context_renew(&vcpu->context);
    return reason == EXIT_REASON_VMCALL;
}

struct vmx_context *vmx_handle_exit(struct vmx_context *context)
{
    struct vcpu *vcpu = (struct vcpu *)context;
    uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON);
    bool go_on;

    if (comes_again(vcpu, reason)) {
        vcpu->stats.exits[reason]++;
        go_on = vcpu->guest->state == GUEST_RUNNING;
    } else if (__builtin_expect(reason < EXIT_REASONS && handlers[reason] != NULL, 1)) {
        if (reason != EXIT_REASON_VMCALL) /* these are counted by number */
            vcpu->stats.exits[reason]++;
        go_on = handlers[reason](vcpu);
    } else {
        if ((reason & EXIT_REASON_BASIC) < EXIT_REASONS)
            vcpu->stats.exits[reason & EXIT_REASON_BASIC]++;
        go_on = unusual_exit(vcpu, reason);
    }
    if (!go_on || slice_over(vcpu))
        return &sched_next()->context;
    interrupt_prepare(vcpu);
    return context;
}

struct vmx_context *vmx_handle_entry_failure(struct vmx_context *context)
{
    uint32_t error = (uint32_t)vmread(VMCS_INSTRUCTION_ERROR);
    const char *name = vmx_instruction_error_name(error);

    entry_failed((struct vcpu *)context, name ? name : "unknown VM-instruction error");
    return &sched_next()->context;
}
