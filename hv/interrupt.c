#include "hv/interrupt.h"

#include "hv/apic.h"
#include "hv/cpu.h"
#include "hv/direct.h"
#include "hv/exit.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/sched.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

enum {
    STATUS_RVI = 0xff, /* guest interrupt status (SDM 24.4.2): RVI, then SVI */
    STATUS_SVI_SHIFT = 8,
    CR8_EXITS = VMX_PROC_CR8_LOAD_EXITING | VMX_PROC_CR8_STORE_EXITING,
    APICV_PROC2 = VMX_PROC2_VIRTUALIZE_X2APIC | VMX_PROC2_APIC_REGISTER_VIRTUALIZATION |
                  VMX_PROC2_VIRTUAL_INTERRUPT_DELIVERY,
};

static const char stuck_reason[] = "HLT, and nothing is there to wake it";

static void choose_path(struct vcpu *vcpu)
{
    if (vcpu->guest->direct)
        vcpu->path = INTERRUPT_DIRECT;
    else
        vcpu->path = vmx_setup.apicv ? INTERRUPT_APICV : INTERRUPT_INJECTED;
}

bool interrupt_create(struct vcpu *vcpu)
{
    uint64_t page = memory_alloc(VAPIC_PAGE_BYTES, VAPIC_PAGE_BYTES);

    if (!page)
        return false;
    vapic_init(&vcpu->vapic, phys_to_virt(page), vcpu->index, vcpu->guest->config->vcpus,
               vmx_setup.tsc_deadline);
    choose_path(vcpu);
    return true;
}

void interrupt_release(struct vcpu *vcpu)
{
    if (vcpu->vapic.regs)
        memory_free(virt_to_phys(vcpu->vapic.regs), VAPIC_PAGE_BYTES);
    vcpu->vapic.regs = NULL;
}

const char *interrupt_choose(struct guest *guest)
{
    const char *problem = vmx_setup.direct ? NULL : "this machine cannot (see the features)";

    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        if (guest->vcpus[i]->cpu->vcpu_count > 1)
            problem = "a CPU of its vCPUs has other vCPUs, too";
    }
    if (problem || guest->config->interrupts == HANDOVER_INTERRUPTS_VIRTUAL)
        return guest->config->interrupts == HANDOVER_INTERRUPTS_DIRECT ? problem : NULL;
    guest->direct = true;
    for (unsigned i = 0; i < guest->vcpu_count; i++)
        choose_path(guest->vcpus[i]);
    guest_add_features(guest, TRAPLINE_FEATURE_DIRECT);
    return NULL;
}

void interrupt_init_controls(struct vcpu *vcpu)
{
    uint32_t proc = (uint32_t)vmread(VMCS_PROC_CONTROLS);

    if (vcpu->path == INTERRUPT_APICV) {
        proc = (proc & ~(uint32_t)CR8_EXITS) | VMX_PROC_TPR_SHADOW;
        vmwrite(VMCS_PROC_CONTROLS2, vmread(VMCS_PROC_CONTROLS2) | APICV_PROC2);
        vmwrite(VMCS_MSR_BITMAP, vmx_setup.msr_bitmap_apicv);
        vmwrite(VMCS_VIRTUAL_APIC_ADDRESS, virt_to_phys(vcpu->vapic.regs));
        vmwrite(VMCS_TPR_THRESHOLD, 0);
        vmwrite(VMCS_GUEST_INTERRUPT_STATUS, 0);
        vmwrite(VMCS_EOI_EXIT_BITMAP_0, 0);
        vmwrite(VMCS_EOI_EXIT_BITMAP_1, 0);
        vmwrite(VMCS_EOI_EXIT_BITMAP_2, 0);
        vmwrite(VMCS_EOI_EXIT_BITMAP_3, 0);
    } else if (vcpu->path == INTERRUPT_DIRECT) {
        proc &= ~(uint32_t)(CR8_EXITS | VMX_PROC_HLT_EXITING);
        vmwrite(VMCS_PIN_CONTROLS,
                vmread(VMCS_PIN_CONTROLS) & ~(uint64_t)VMX_PIN_EXTERNAL_INTERRUPT_EXITING);
        vmwrite(VMCS_MSR_BITMAP, vmx_setup.msr_bitmap_direct);
    }
    vmwrite(VMCS_PROC_CONTROLS, proc);
    vcpu->proc = proc;
}

void interrupt_load(struct vcpu *vcpu)
{
    if (vcpu->path == INTERRUPT_DIRECT)
        direct_attach(vcpu);
}

void interrupt_unload(struct vcpu *vcpu)
{
    if (vcpu->path == INTERRUPT_DIRECT)
        direct_detach(vcpu);
}

/* Bring the IRR up to date. */
static void update(struct vapic *apic, uint64_t now)
{
    vapic_collect(apic);
    vapic_timer_run(apic, now);
}

static void set_window(struct vcpu *vcpu, bool on)
{
    if (vcpu->window == on)
        return;
    vcpu->window = on;
    vmwrite(VMCS_PROC_CONTROLS, vcpu->proc | (on ? VMX_PROC_INTERRUPT_WINDOW_EXITING : 0));
}

/* Whether the guest takes an interrupt at its next instruction (SDM 26.3.1.4, 26.3.1.5). */
static bool open_for_interrupts(void)
{
    return (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) &&
           !(vmread(VMCS_GUEST_INTERRUPTIBILITY) &
             (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

/* An event that is to be delivered already goes first. */
static void inject(struct vcpu *vcpu)
{
    struct vapic *apic = &vcpu->vapic;
    int vector = vapic_deliverable(apic);

    if (vector != VAPIC_NONE && !(vmread(VMCS_ENTRY_INTERRUPTION_INFO) & INTERRUPTION_VALID) &&
        open_for_interrupts()) {
        vmwrite(VMCS_ENTRY_INTERRUPTION_INFO,
                vmx_interruption(EVENT_EXTERNAL_INTERRUPT, (uint8_t)vector, false));
        vapic_accept(apic, (unsigned)vector);
        vector = vapic_deliverable(apic);
    }
    set_window(vcpu, vector != VAPIC_NONE);
}

/* The CPU does the rest by itself at the entry (SDM 29.2.1). */
static void request(struct vcpu *vcpu)
{
    int vector = vapic_requested(&vcpu->vapic);
    uint64_t status;

    if (vector == VAPIC_NONE)
        return;
    status = vmread(VMCS_GUEST_INTERRUPT_STATUS);
    if ((uint64_t)vector > (status & STATUS_RVI))
        vmwrite(VMCS_GUEST_INTERRUPT_STATUS, (status & ~(uint64_t)STATUS_RVI) | (unsigned)vector);
}

/*
 * The preemption timer is for the earlier of the slice's end and the APIC's timer. For the latter
 * every entry, those of the fast tier, too, sets it anew: it stands still in root mode.
 */
static void arm_timer(struct vcpu *vcpu)
{
    uint64_t next = vapic_timer_next(&vcpu->vapic);

    if (next < vcpu->slice_end) {
        vcpu->timer_event = true;
        vcpu->context.timer_deadline = next;
        vcpu_time_entries(vcpu, true);
    } else if (vcpu->timer_event) {
        vcpu_arm_slice(vcpu);
    }
}

void interrupt_prepare(struct vcpu *vcpu)
{
    struct vapic *apic = &vcpu->vapic;

    if (vcpu->path == INTERRUPT_DIRECT) {
        if (vapic_has_posted(apic))
            direct_send_posted(vcpu);
        return;
    }
    /* An NMI for what is posted behind the last look sees to it that this is done again. */
    do {
        update(apic, apic->expiry == VAPIC_NEVER ? 0 : rdtsc());
        if (vcpu->path == INTERRUPT_APICV)
            request(vcpu);
        else
            inject(vcpu);
    } while (vapic_has_posted(apic));
    arm_timer(vcpu);
}

void interrupt_nmi(struct vcpu *vcpu)
{
    if (this_cpu()->vmxon_region &&
        (vapic_has_posted(&vcpu->vapic) || vcpu->guest->state != GUEST_RUNNING ||
         atomic_load(&this_cpu()->called)))
        vmwrite(VMCS_PROC_CONTROLS, vmread(VMCS_PROC_CONTROLS) | VMX_PROC_NMI_WINDOW_EXITING);
}

void interrupt_window(struct vcpu *vcpu)
{
    vcpu->window = false;
    vmwrite(VMCS_PROC_CONTROLS, vcpu->proc);
}

/* Bring the vCPU to where it looks for interrupts. */
static void tell(struct vcpu *vcpu)
{
    struct vcpu *by = this_cpu()->current;

    if (vcpu->path == INTERRUPT_DIRECT) {
        atomic_store(&vcpu->halted, false);
        if (direct_send_posted(vcpu) && by)
            by->stats.ipis++;
    } else if (atomic_load(&vcpu->halted)) {
        sched_woken(vcpu);
    } else if (vcpu->cpu != this_cpu() && atomic_load(&vcpu->loaded)) {
        cpu_kick(vcpu->cpu);
        if (by)
            by->stats.ipis++;
    }
}

void vapic_raise(struct vcpu *vcpu, unsigned vector)
{
    if (vapic_post(&vcpu->vapic, vector))
        tell(vcpu);
}

bool interrupt_has_msr(uint32_t msr)
{
    return msr == MSR_IA32_APIC_BASE || msr == MSR_IA32_TSC_DEADLINE ||
           (msr >= VAPIC_MSR_FIRST && msr <= VAPIC_MSR_LAST);
}

bool interrupt_read_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    uint64_t now = rdtsc();

    if (msr == MSR_IA32_APIC_BASE) {
        *value = vapic_base(&vcpu->vapic);
        return true;
    }
    if (vcpu->path != INTERRUPT_DIRECT)
        update(&vcpu->vapic, now);
    if (msr == MSR_IA32_TSC_DEADLINE) {
        *value = vapic_deadline_read(&vcpu->vapic);
        return vmx_setup.tsc_deadline;
    }
    return vapic_read(&vcpu->vapic, msr, now, value);
}

static bool write_register(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    struct vapic_ipi ipi;

    if (vcpu->path == INTERRUPT_DIRECT && msr == VAPIC_MSR_FIRST + VAPIC_SVR)
        return direct_write_spurious(vcpu, value);
    if (vcpu->path == INTERRUPT_DIRECT && msr == VAPIC_MSR_FIRST + VAPIC_ESR)
        return direct_write_errors(vcpu, value);
    if (!vapic_write(&vcpu->vapic, msr, value, rdtsc(), &ipi))
        return false;
    for (unsigned i = 0; ipi.targets >> i; i++) {
        if (ipi.targets >> i & 1)
            vapic_raise(vcpu->guest->vcpus[i], ipi.vector);
    }
    return true;
}

bool interrupt_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (msr == MSR_IA32_APIC_BASE)
        return value == vapic_base(&vcpu->vapic);
    if (vcpu->path != INTERRUPT_DIRECT)
        update(&vcpu->vapic, rdtsc());
    if (msr == MSR_IA32_TSC_DEADLINE) {
        vapic_deadline_write(&vcpu->vapic, value);
        return vmx_setup.tsc_deadline;
    }
    return write_register(vcpu, msr, value);
}

void interrupt_finish_write(struct vcpu *vcpu, unsigned offset)
{
    struct vapic *apic = &vcpu->vapic;
    struct vapic_ipi none;

    if (offset == VAPIC_SELF_IPI * VAPIC_WORD * sizeof(uint32_t))
        vapic_write(apic, VAPIC_MSR_FIRST + VAPIC_SELF_IPI, *vapic_reg(apic, VAPIC_SELF_IPI), 0,
                    &none);
}

unsigned interrupt_read_cr8(const struct vcpu *vcpu)
{
    return vapic_cr8(&vcpu->vapic);
}

void interrupt_write_cr8(struct vcpu *vcpu, unsigned value)
{
    vapic_set_cr8(&vcpu->vapic, value);
}

/* Whether this vCPU, or an interrupt on its way to it, can still do anything. */
static bool may_act(struct vcpu *vcpu)
{
    switch (atomic_load(&vcpu->state)) {
    case VCPU_OFF: return false;
    case VCPU_SLEEPING:
        return vcpu->wake_at || atomic_load(&vcpu->wake) || atomic_load(&vcpu->unparked) ||
               vapic_has_posted(&vcpu->vapic);
    default: return !atomic_load(&vcpu->halted) || vapic_has_posted(&vcpu->vapic);
    }
}

/* Nobody is left who could wake anybody: the one who goes to sleep last sees it. */
static bool all_stuck(const struct guest *guest)
{
    if (atomic_load(&guest->listening))
        return false;
    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        if (may_act(guest->vcpus[i]))
            return false;
    }
    return true;
}

bool interrupt_halt(struct vcpu *vcpu)
{
    struct vapic *apic = &vcpu->vapic;
    uint64_t next;

    if (!(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF))
        return exit_stop(vcpu, stuck_reason);
    update(apic, rdtsc());
    vapic_update_ppr(apic);
    if (vapic_deliverable(apic) == VAPIC_NONE) {
        next = vapic_timer_next(apic);
        atomic_store(&vcpu->halted, true);
        vcpu_sleep(vcpu, next == VAPIC_NEVER ? 0 : next);
        if (all_stuck(vcpu->guest))
            return exit_stop(vcpu, stuck_reason);
    }
    vcpu_skip_instruction();
    return !atomic_load(&vcpu->halted);
}

bool interrupt_ends_halt(struct vcpu *vcpu, uint64_t now)
{
    struct vapic *apic = &vcpu->vapic;
    uint64_t next;

    update(apic, now);
    vapic_update_ppr(apic);
    next = vapic_timer_next(apic);
    vcpu->wake_at = next == VAPIC_NEVER ? 0 : next;
    if (vapic_deliverable(apic) == VAPIC_NONE)
        return false;
    atomic_store(&vcpu->halted, false);
    return true;
}

bool interrupt_is_timer(const struct vcpu *vcpu)
{
    return vcpu->timer_event && rdtsc() < vcpu->slice_end;
}

bool interrupt_check_halt(struct vcpu *vcpu)
{
    if (vcpu->path != INTERRUPT_DIRECT)
        return true;
    if (vmread(VMCS_GUEST_ACTIVITY) != ACTIVITY_HLT) {
        atomic_store(&vcpu->halted, false);
        return true;
    }
    if (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) {
        atomic_store(&vcpu->halted, !apic_timer_armed() && !apic_pending());
        if (!all_stuck(vcpu->guest))
            return true;
    }
    return exit_stop(vcpu, stuck_reason);
}

void interrupt_put_back(struct vcpu *vcpu, unsigned vector)
{
    struct vapic *apic = &vcpu->vapic;

    if (vcpu->path == INTERRUPT_DIRECT) {
        direct_put_back(vector);
        return;
    }
    vapic_put_back(apic, vector);
    if (vcpu->path == INTERRUPT_APICV) {
        int service = vapic_in_service(apic);

        vmwrite(VMCS_GUEST_INTERRUPT_STATUS, (uint64_t)(service == VAPIC_NONE ? 0 : service)
                                                     << STATUS_SVI_SHIFT |
                                                 (unsigned)vapic_requested(apic));
    }
}
