#include "hv/vcpu.h"

#include <string.h>

#include "hv/cpu.h"
#include "hv/disk.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/pml.h"
#include "hv/policy_cpuid.h"
#include "hv/sched.h"
#include "hv/view.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"

/* Access rights of segments in the VMCS (SDM 24.4.1). */
enum segment_rights {
    RIGHTS_CODE64 = 0xa09b, /* present, execute/read/accessed, L, G */
    RIGHTS_DATA = 0xc093,   /* present, read/write/accessed, D/B, G */
    RIGHTS_TSS_BUSY = 0x8b,
    RIGHTS_UNUSABLE = 0x10000,
};

enum {
    SEGMENT_LIMIT = 0xffffffff,
    TSS_LIMIT = 0x67,
    DR7_RESET = 0x400,
    DR6_RESET = 0xffff0ff0,
    FPU_ALIGN = 4096,
    FCW_RESET = 0x37f,
    MXCSR_RESET = 0x1f80,
    FXSAVE_FCW = 0,     /* 16 bits at this offset of the legacy area (SDM 10.5.1) */
    FXSAVE_MXCSR = 24,  /* 32 bits */
    XSAVE_HEADER = 512, /* XSTATE_BV, XCOMP_BV */
};

#define PAT_RESET     0x0007040600070406ull
#define LINK_POINTER  UINT64_MAX
#define GUEST_CR0     (CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define GUEST_CR4     (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define CR0_HOST_OWNS (CR0_NE | CR0_CD | CR0_NW | CR0_PG | CR0_PE)

static const uint32_t switched_msrs[SWITCHED_COUNT] = {
    [SWITCHED_STAR] = MSR_IA32_STAR,
    [SWITCHED_LSTAR] = MSR_IA32_LSTAR,
    [SWITCHED_CSTAR] = MSR_IA32_CSTAR,
    [SWITCHED_FMASK] = MSR_IA32_FMASK,
    [SWITCHED_KERNEL_GS_BASE] = MSR_IA32_KERNEL_GS_BASE,
    [SWITCHED_TSC_AUX] = MSR_IA32_TSC_AUX,
};

static unsigned switched_count(void)
{
    return vmx_setup.rdtscp ? SWITCHED_COUNT : SWITCHED_TSC_AUX;
}

static void set_segment(enum vmcs_field selector, enum vmcs_field base, enum vmcs_field limit,
                        enum vmcs_field rights, uint16_t value, uint32_t limit_value,
                        uint32_t rights_value)
{
    vmwrite(selector, value);
    vmwrite(base, 0);
    vmwrite(limit, limit_value);
    vmwrite(rights, rights_value);
}

#define SET_SEGMENT(name, value, limit, rights)                                                    \
    set_segment(VMCS_GUEST_##name##_SELECTOR, VMCS_GUEST_##name##_BASE, VMCS_GUEST_##name##_LIMIT, \
                VMCS_GUEST_##name##_ACCESS_RIGHTS, value, limit, rights)

/* How a guest starts: see abi.h. */
static void init_guest_state(struct vcpu *vcpu, uint64_t info)
{
    const struct handover_guest *config = vcpu->guest->config;

    SET_SEGMENT(CS, TRAPLINE_SEL_CODE, SEGMENT_LIMIT, RIGHTS_CODE64);
    SET_SEGMENT(SS, TRAPLINE_SEL_DATA, SEGMENT_LIMIT, RIGHTS_DATA);
    SET_SEGMENT(DS, TRAPLINE_SEL_DATA, SEGMENT_LIMIT, RIGHTS_DATA);
    SET_SEGMENT(ES, TRAPLINE_SEL_DATA, SEGMENT_LIMIT, RIGHTS_DATA);
    SET_SEGMENT(FS, TRAPLINE_SEL_DATA, SEGMENT_LIMIT, RIGHTS_DATA);
    SET_SEGMENT(GS, TRAPLINE_SEL_DATA, SEGMENT_LIMIT, RIGHTS_DATA);
    SET_SEGMENT(LDTR, 0, 0, RIGHTS_UNUSABLE);
    SET_SEGMENT(TR, 0, TSS_LIMIT, RIGHTS_TSS_BUSY);
    vmwrite(VMCS_GUEST_GDTR_BASE, 0);
    vmwrite(VMCS_GUEST_GDTR_LIMIT, 0);
    vmwrite(VMCS_GUEST_IDTR_BASE, 0);
    vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);

    vmwrite(VMCS_GUEST_CR0, vmx_cr0_adjust(&vmx_setup.caps, GUEST_CR0, true));
    vmwrite(VMCS_CR0_READ_SHADOW, GUEST_CR0);
    vmwrite(VMCS_CR0_MASK, CR0_HOST_OWNS);
    vmwrite(VMCS_GUEST_CR3, info + PAGE_SIZE);
    vmwrite(VMCS_GUEST_CR4, vmx_cr4_adjust(&vmx_setup.caps, GUEST_CR4 | CR4_VMXE | CR4_MCE));
    vmwrite(VMCS_CR4_READ_SHADOW, GUEST_CR4);
    vmwrite(VMCS_CR4_MASK, ~vmx_setup.cr4_allowed);
    vmwrite(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
    vmwrite(VMCS_GUEST_DR7, DR7_RESET);
    vmwrite(VMCS_GUEST_RSP, 0);
    vmwrite(VMCS_GUEST_RIP, config->entry);
    vmwrite(VMCS_GUEST_RFLAGS, vmx_setup.spoil_entry && vcpu->guest->id == 0 ? 0 : RFLAGS_FIXED);
    vmwrite(VMCS_GUEST_DEBUGCTL, 0);
    vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
    vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
    vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmwrite(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
    vmwrite(VMCS_LINK_POINTER, LINK_POINTER);
    if (vmx_setup.pat)
        vmwrite(VMCS_GUEST_PAT, PAT_RESET);
    vcpu->context.regs.rdi = info;
}

/* How another vCPU wanted this one to start. */
static void apply_start(struct vcpu *vcpu)
{
    const struct vcpu_start *start = &vcpu->start;

    vmwrite(VMCS_GUEST_CR0, start->cr0);
    vmwrite(VMCS_CR0_READ_SHADOW, start->cr0_shadow);
    vmwrite(VMCS_GUEST_CR3, start->cr3);
    vmwrite(VMCS_GUEST_CR4, start->cr4);
    vmwrite(VMCS_CR4_READ_SHADOW, start->cr4_shadow);
    vmwrite(VMCS_GUEST_EFER, start->efer);
    if (vmx_setup.pat)
        vmwrite(VMCS_GUEST_PAT, start->pat);
    vmwrite(VMCS_GUEST_GDTR_BASE, start->gdtr_base);
    vmwrite(VMCS_GUEST_GDTR_LIMIT, start->gdtr_limit);
    vmwrite(VMCS_GUEST_IDTR_BASE, start->idtr_base);
    vmwrite(VMCS_GUEST_IDTR_LIMIT, start->idtr_limit);
    vmwrite(VMCS_GUEST_RIP, start->entry);
    vmwrite(VMCS_GUEST_RSP, start->stack);
    vcpu->context.regs.rdi = start->argument;
}

void vcpu_read_start(struct vcpu_start *start)
{
    start->cr0 = vmread(VMCS_GUEST_CR0);
    start->cr0_shadow = vmread(VMCS_CR0_READ_SHADOW);
    start->cr3 = vmread(VMCS_GUEST_CR3);
    start->cr4 = vmread(VMCS_GUEST_CR4);
    start->cr4_shadow = vmread(VMCS_CR4_READ_SHADOW);
    start->efer = vmread(VMCS_GUEST_EFER);
    if (vmx_setup.pat)
        start->pat = vmread(VMCS_GUEST_PAT);
    start->gdtr_base = vmread(VMCS_GUEST_GDTR_BASE);
    start->gdtr_limit = vmread(VMCS_GUEST_GDTR_LIMIT);
    start->idtr_base = vmread(VMCS_GUEST_IDTR_BASE);
    start->idtr_limit = vmread(VMCS_GUEST_IDTR_LIMIT);
}

/* The CPU that runs this is the one that the vCPU is pinned to. */
static void init_host_state(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) table;

    vmwrite(VMCS_HOST_CS_SELECTOR, SEL_CODE);
    vmwrite(VMCS_HOST_SS_SELECTOR, SEL_DATA);
    vmwrite(VMCS_HOST_DS_SELECTOR, SEL_DATA);
    vmwrite(VMCS_HOST_ES_SELECTOR, SEL_DATA);
    vmwrite(VMCS_HOST_FS_SELECTOR, SEL_DATA);
    vmwrite(VMCS_HOST_GS_SELECTOR, SEL_DATA);
    vmwrite(VMCS_HOST_TR_SELECTOR, SEL_TSS);
    vmwrite(VMCS_HOST_FS_BASE, 0);
    vmwrite(VMCS_HOST_GS_BASE, (uint64_t)cpu);
    vmwrite(VMCS_HOST_TR_BASE, (uint64_t)&cpu->tss);
    __asm__ volatile("sgdt %0" : "=m"(table));
    vmwrite(VMCS_HOST_GDTR_BASE, table.base);
    __asm__ volatile("sidt %0" : "=m"(table));
    vmwrite(VMCS_HOST_IDTR_BASE, table.base);
    vmwrite(VMCS_HOST_CR0, read_cr0());
    vmwrite(VMCS_HOST_CR3, read_cr3());
    vmwrite(VMCS_HOST_CR4, read_cr4());
    vmwrite(VMCS_HOST_EFER, rdmsr(MSR_IA32_EFER));
    vmwrite(VMCS_HOST_SYSENTER_CS, 0);
    vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
    vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
    if (vmx_setup.exit & VMX_EXIT_LOAD_PAT)
        vmwrite(VMCS_HOST_PAT, rdmsr(MSR_IA32_PAT));

    vcpu->context.host_stack = (uint64_t)cpu->stack_top;
    vmx_mitigations_apply(&vmx_setup.mitigations, &vcpu->context, SEL_DATA);
    if (!vmx_setup.timer_save)
        vcpu->context.entry_flags |= VMX_CONTEXT_TIMER;
    vcpu->context.timer_shift = vmx_setup.timer_shift;
    vmwrite(VMCS_HOST_RSP, vmx_context_host_rsp(&vcpu->context));
    vmwrite(VMCS_HOST_RIP, vmx_context_host_rip(&vcpu->context));
}

static void init_controls(struct vcpu *vcpu)
{
    vmwrite(VMCS_PIN_CONTROLS, vmx_setup.pin);
    vmwrite(VMCS_PROC_CONTROLS, vmx_setup.proc);
    vmwrite(VMCS_PROC_CONTROLS2, vmx_setup.proc2);
    vmwrite(VMCS_EXIT_CONTROLS, vmx_setup.exit);
    vmwrite(VMCS_ENTRY_CONTROLS, vmx_setup.entry);
    /*
     * #AC and #DB that fault again while they are delivered would keep the CPU in microcode for
     * ever (CVE-2015-5307, CVE-2015-8104); #MC is the machine's.
     */
    vmwrite(VMCS_EXCEPTION_BITMAP, 1u << VECTOR_AC | 1u << VECTOR_DB | 1u << VECTOR_MC);
    vmwrite(VMCS_PAGE_FAULT_ERROR_MASK, 0);
    vmwrite(VMCS_PAGE_FAULT_ERROR_MATCH, 0);
    vmwrite(VMCS_CR3_TARGET_COUNT, 0);
    vmwrite(VMCS_EXIT_MSR_STORE_COUNT, 0);
    vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
    vmwrite(VMCS_MSR_BITMAP, vmx_setup.msr_bitmap);
    vmwrite(VMCS_IO_BITMAP_A, disk_io_bitmap_a(vcpu->guest));
    vmwrite(VMCS_IO_BITMAP_B, vmx_setup.io_bitmap);
    vmwrite(VMCS_VPID, vcpu->vpid);
    vmwrite(VMCS_EPT_POINTER, vcpu->eptp);
    pml_init_vmcs(vcpu);
    if (vmx_setup.ept.ve)
        vmwrite(VMCS_EPTP_INDEX, 0);
    view_init_vmcs(vcpu);
    if (vmx_setup.xsaves)
        vmwrite(VMCS_XSS_EXITING_BITMAP, UINT64_MAX);
    interrupt_init_controls(vcpu);
}

/* A fresh FPU: x87 and SSE control words as after reset, everything else in its initial state. */
static void init_fpu(void *area)
{
    *(uint16_t *)((char *)area + FXSAVE_FCW) = FCW_RESET;
    *(uint32_t *)((char *)area + FXSAVE_MXCSR) = MXCSR_RESET;
}

struct vcpu *vcpu_create(struct guest *guest, unsigned index)
{
    uint64_t phys = memory_alloc(sizeof(struct vcpu), PAGE_SIZE);
    struct vcpu *vcpu = phys ? phys_to_virt(phys) : NULL;

    if (!vcpu)
        return NULL;
    vcpu->guest = guest;
    vcpu->index = index;
    return vcpu;
}

bool vcpu_begin(struct vcpu *vcpu, uint64_t info)
{
    struct guest *guest = vcpu->guest;
    struct vcpu_stats past = vcpu->past;
    struct cpu *cpu = vcpu->cpu;
    unsigned index = vcpu->index;
    uint64_t fpu, buffer;

    memset(vcpu, 0, sizeof(*vcpu));
    vcpu->guest = guest;
    vcpu->cpu = cpu;
    vcpu->index = index;
    vcpu->past = past;
    vcpu->info = info;
    vcpu->vmcs = memory_alloc(vmx_caps_region_size(&vmx_setup.caps), PAGE_SIZE);
    fpu = memory_alloc(vmx_setup.fpu_bytes, FPU_ALIGN);
    vcpu->fpu = fpu ? phys_to_virt(fpu) : NULL;
    buffer = memory_alloc_raw(sizeof(*vcpu->protn_buffer), PAGE_SIZE);
    vcpu->protn_buffer = buffer ? phys_to_virt(buffer) : NULL;
    if (!vcpu->vmcs || !fpu || !buffer || !pml_create(vcpu) || !interrupt_create(vcpu))
        return false;
    *(uint32_t *)phys_to_virt(vcpu->vmcs) = vmx_caps_revision(&vmx_setup.caps);
    init_fpu(vcpu->fpu);
    vcpu->vpid = (uint16_t)(guest->id * GUEST_MAX_VCPUS + index + 1); /* 0 is root mode's */
    vcpu->eptp = ept_pointer(&guest->ept);
    atomic_store(&vcpu->state, index == 0 ? VCPU_RUNNABLE : VCPU_OFF);
    vcpu->flush.eptp = vcpu->eptp;
    vcpu->time_limit = guest->config->time_limit_ms * cpu_tsc_per_ms;
    vcpu->dr6 = DR6_RESET;
    vcpu->xcr0 = XCR0_X87;
    vmx_context_renew(&vcpu->context);
    return true;
}

void vcpu_keep_stats(struct vcpu *vcpu)
{
    const uint64_t *from = (const uint64_t *)&vcpu->stats;
    uint64_t *to = (uint64_t *)&vcpu->past;

    for (size_t i = 0; i < sizeof(vcpu->stats) / sizeof(uint64_t); i++)
        to[i] += from[i];
    vcpu->past.hypercalls[TRAPLINE_HC_NOP] += vmx_context_null_calls(&vcpu->context);
    vcpu->stats = (struct vcpu_stats){0};
    vmx_context_renew(&vcpu->context);
}

void vcpu_destroy(struct vcpu *vcpu)
{
    memory_free(virt_to_phys(vcpu), sizeof(*vcpu));
}

void vcpu_unload(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    interrupt_unload(vcpu);
    atomic_store(&vcpu->loaded, false);
    if (cpu->current == vcpu)
        cpu->current = NULL;
    vmclear(vcpu->vmcs);
    flush_here(vcpu);
}

void vcpu_release(struct vcpu *vcpu)
{
    if (vcpu->vmcs)
        memory_free(vcpu->vmcs, vmx_caps_region_size(&vmx_setup.caps));
    if (vcpu->fpu)
        memory_free(virt_to_phys(vcpu->fpu), vmx_setup.fpu_bytes);
    if (vcpu->protn_buffer)
        memory_free(virt_to_phys(vcpu->protn_buffer), sizeof(*vcpu->protn_buffer));
    pml_release(vcpu);
    interrupt_release(vcpu);
    vcpu->vmcs = 0;
    vcpu->fpu = NULL;
    vcpu->protn_buffer = NULL;
}

/* Both with every component that any guest may use, so that nothing of one reaches another. */
static void save_fpu(struct vcpu *vcpu)
{
    if (!vmx_setup.xcr0_max) {
        __asm__ volatile("fxsave64 (%0)" : : "r"(vcpu->fpu) : "memory");
        return;
    }
    vcpu->xcr0 = xgetbv(0);
    xsetbv(0, vmx_setup.xcr0_max);
    __asm__ volatile("xsave64 (%0)" : : "r"(vcpu->fpu), "a"(-1), "d"(-1) : "memory");
}

static void restore_fpu(struct vcpu *vcpu)
{
    if (!vmx_setup.xcr0_max) {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(vcpu->fpu) : "memory");
        return;
    }
    xsetbv(0, vmx_setup.xcr0_max);
    __asm__ volatile("xrstor64 (%0)" : : "r"(vcpu->fpu), "a"(-1), "d"(-1) : "memory");
    xsetbv(0, vcpu->xcr0);
}

static void save_unswitched(struct vcpu *vcpu)
{
    for (unsigned i = 0; i < switched_count(); i++)
        vcpu->msrs[i] = rdmsr(switched_msrs[i]);
    vcpu->cr2 = read_cr2();
    __asm__("mov %%dr0, %0" : "=r"(vcpu->dr[0]));
    __asm__("mov %%dr1, %0" : "=r"(vcpu->dr[1]));
    __asm__("mov %%dr2, %0" : "=r"(vcpu->dr[2]));
    __asm__("mov %%dr3, %0" : "=r"(vcpu->dr[3]));
    __asm__("mov %%dr6, %0" : "=r"(vcpu->dr6));
    if (vmx_setup.pku)
        vcpu->pkru = exchange_pkru(0);
    save_fpu(vcpu);
}

static void restore_unswitched(struct vcpu *vcpu)
{
    for (unsigned i = 0; i < switched_count(); i++)
        wrmsr(switched_msrs[i], vcpu->msrs[i]);
    write_cr2(vcpu->cr2);
    __asm__ volatile("mov %0, %%dr0" : : "r"(vcpu->dr[0]));
    __asm__ volatile("mov %0, %%dr1" : : "r"(vcpu->dr[1]));
    __asm__ volatile("mov %0, %%dr2" : : "r"(vcpu->dr[2]));
    __asm__ volatile("mov %0, %%dr3" : : "r"(vcpu->dr[3]));
    __asm__ volatile("mov %0, %%dr6" : : "r"(vcpu->dr6));
    restore_fpu(vcpu);
    if (vmx_setup.pku)
        exchange_pkru(vcpu->pkru);
}

static void switch_vcpus(struct cpu *cpu, struct vcpu *previous, struct vcpu *vcpu)
{
    if (previous) {
        save_unswitched(previous);
        view_note(previous);
        pml_unload(previous);
        atomic_store(&previous->loaded, false);
    }
    cpu->current = vcpu;
    if (!vcpu->started) {
        vmclear(vcpu->vmcs);
        vmptrld(vcpu->vmcs);
        vmx_context_cleared(&vcpu->context);
        init_controls(vcpu);
        init_host_state(vcpu);
        init_guest_state(vcpu, vcpu->info);
        if (vcpu->index > 0)
            apply_start(vcpu);
        vcpu->started = true;
    } else {
        vmptrld(vcpu->vmcs);
    }
    restore_unswitched(vcpu);
    if (vmx_setup.mitigations.ibpb)
        wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}

void vcpu_load(struct vcpu *vcpu)
{
    struct cpu *cpu = this_cpu();
    struct vcpu *previous = cpu->current;

    if (previous == vcpu && atomic_load(&vcpu->loaded))
        return;
    vcpu->slice_start = rdtsc(); /* the switch is its own expense */
    if (previous != vcpu)
        switch_vcpus(cpu, previous, vcpu);
    atomic_store(&vcpu->loaded, true);
    flush_catch_up(vcpu);
    interrupt_load(vcpu);
    vcpu_arm_timer(vcpu);
    if (vcpu->parked) {
        vcpu->parked = false;
        vcpu->context.regs.rax = atomic_exchange(&vcpu->unparked, false);
    }
}

void vcpu_sleep(struct vcpu *vcpu, uint64_t wake_at)
{
    sched_charge(vcpu);
    vcpu->wake_at = wake_at;
    view_note(vcpu);
    pml_unload(vcpu);
    atomic_store(&vcpu->loaded, false);
    atomic_store(&vcpu->state, VCPU_SLEEPING);
}

void vcpu_wake(struct vcpu *vcpu)
{
    atomic_store(&vcpu->wake, true);
    if (atomic_load(&vcpu->state) == VCPU_SLEEPING)
        sched_woken(vcpu);
}

bool vcpu_is_runnable(struct vcpu *vcpu, uint64_t now)
{
    switch (atomic_load(&vcpu->state)) {
    case VCPU_RUNNABLE: return true;
    case VCPU_SLEEPING: break;
    default: return false;
    }
    if (atomic_load(&vcpu->halted)
            ? !interrupt_ends_halt(vcpu, now)
            : !atomic_load(&vcpu->wake) && (!vcpu->wake_at || now < vcpu->wake_at))
        return false;
    /* A wake that comes from here on counts for the next sleep. */
    atomic_store(&vcpu->wake, false);
    atomic_store(&vcpu->state, VCPU_RUNNABLE);
    return true;
}

uint64_t vcpu_vmcalls(const struct vcpu *vcpu)
{
    uint64_t calls = vcpu->stats.refused_hypercalls;

    for (unsigned i = 0; i < TRAPLINE_HC_COUNT; i++)
        calls += vcpu_hypercalls(vcpu, i);
    return calls;
}

void vcpu_sum_stats(const struct vcpu *vcpu, struct trapline_stats *stats)
{
    const struct vcpu_stats *s = &vcpu->stats;
    uint64_t calls = vcpu_vmcalls(vcpu);

    for (unsigned i = 0; i < EXIT_REASONS; i++)
        stats->exits += s->exits[i];
    stats->exits += calls;
    stats->hypercalls += calls;
    stats->flushes += s->flushes;
    stats->ipis += s->ipis;
    stats->traps += s->traps;
    stats->spurious += s->spurious;
    stats->tracked += s->tracked;
}

void vcpu_flush_linear(struct vcpu *vcpu)
{
    if (vmx_caps_has_invvpid_single(&vmx_setup.caps))
        invvpid(INVVPID_SINGLE_CONTEXT, vcpu->vpid, 0);
    else if (vmx_caps_has_invvpid_all(&vmx_setup.caps))
        invvpid(INVVPID_ALL_CONTEXTS, 0, 0);
    else /* combined mappings go with the guest-physical ones, and EPT makes all of them combined */
        invept(INVEPT_ALL_CONTEXTS, 0);
    vcpu->stats.flushes++;
}

void vcpu_end_shadow(uint64_t rflags)
{
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
            vmread(VMCS_GUEST_INTERRUPTIBILITY) &
                ~(uint64_t)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
    if (rflags & RFLAGS_TF)
        vmwrite(VMCS_GUEST_PENDING_DEBUG,
                vmread(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_SINGLE_STEP);
}

void vcpu_time_entries(struct vcpu *vcpu, bool on)
{
    uint32_t flags = vcpu->context.entry_flags & ~(uint32_t)VMX_CONTEXT_TIMER;

    if (on)
        flags |= VMX_CONTEXT_TIMER;
    if (flags == vcpu->context.entry_flags)
        return;
    vcpu->context.entry_flags = flags;
    vmwrite(VMCS_HOST_RIP, vmx_context_host_rip(&vcpu->context));
}

void vcpu_arm_slice(struct vcpu *vcpu)
{
    uint64_t now = rdtsc(), ticks = vcpu->slice_end > now ? vcpu->slice_end - now : 0;
    uint64_t counts = ticks >> vmx_setup.timer_shift;

    vmwrite(VMCS_GUEST_PREEMPTION_TIMER, counts > UINT32_MAX ? UINT32_MAX : counts);
    vcpu->context.timer_deadline = vcpu->slice_end;
    vcpu->timer_event = false;
    vcpu_time_entries(vcpu, !vmx_setup.timer_save);
}

void vcpu_arm_timer(struct vcpu *vcpu)
{
    uint64_t sleeper = sched_next_deadline(vcpu->cpu);

    vcpu->slice_end = rdtsc() + SCHED_SLICE_MS * cpu_tsc_per_ms;
    if (sleeper && sleeper < vcpu->slice_end)
        vcpu->slice_end = sleeper;
    vcpu_arm_slice(vcpu);
}
