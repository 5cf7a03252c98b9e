/* How interrupts reach a vCPU: what the exits and entries of each way do to VMCS, APIC and state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/interrupt.h"
#include "hv/cpu.h"
#include "hv/vmx_setup.h"
#include "tests/unit/hv_world.h"
#include "vmx/controls.h"
#include "vmx/instructions.h"

enum {
    VECTOR = 0x51,
    HIGHER = 0x92,
    WINDOW = VMX_PROC_INTERRUPT_WINDOW_EXITING,
    INTERRUPT = INTERRUPTION_VALID | EVENT_EXTERNAL_INTERRUPT << INTERRUPTION_TYPE_SHIFT,
    MSR_BASE = 0x1b,
    MSR_DEADLINE = 0x6e0,
    MSR_EOI = 0x80b,
    MSR_ICR = 0x830,
    MSR_SELF_IPI = 0x83f,
    IF = 1 << 9,
    STI_SHADOW = 1,
    RIP = 0x1000,
    HLT_BYTES = 1,
    FAR_AWAY = 1 << 30,
};

static struct vcpu *vcpu;

static void open_path(enum interrupt_path path)
{
    world_open_plain();
    vmx_setup.tsc_deadline = true;
    vcpu = world.vcpu;
    vcpu->vapic.tsc_deadline = true;
    vcpu->path = path;
    fake_vmcs[VMCS_PROC_CONTROLS] =
        VMX_PROC_HLT_EXITING | VMX_PROC_CR8_LOAD_EXITING | VMX_PROC_CR8_STORE_EXITING;
    fake_vmcs[VMCS_PIN_CONTROLS] = VMX_PIN_EXTERNAL_INTERRUPT_EXITING | VMX_PIN_NMI_EXITING;
    interrupt_init_controls(vcpu);
    fake_vmcs[VMCS_GUEST_RFLAGS] = IF | 2;
    fake_vmcs[VMCS_GUEST_RIP] = RIP;
}

static bool wrmsr_exit(uint32_t msr, uint64_t value)
{
    vcpu->context.regs.rcx = msr;
    vcpu->context.regs.rax = (uint32_t)value;
    vcpu->context.regs.rdx = value >> 32;
    fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO] = 0;
    return vm_exit(EXIT_REASON_WRMSR);
}

static uint64_t rdmsr_exit(uint32_t msr)
{
    vcpu->context.regs.rcx = msr;
    assert_true(vm_exit(EXIT_REASON_RDMSR));
    return vcpu->context.regs.rdx << 32 | vcpu->context.regs.rax;
}

static uint32_t entry_event(void)
{
    return (uint32_t)fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO];
}

static bool window(void)
{
    return fake_vmcs[VMCS_PROC_CONTROLS] & WINDOW;
}

/* An open guest gets its interrupt at once; the next one waits for the EOI. */
static void test_injection(void **state)
{
    (void)state;
    open_path(INTERRUPT_INJECTED);
    assert_true(wrmsr_exit(MSR_SELF_IPI, VECTOR));
    assert_int_equal(entry_event(), INTERRUPT | VECTOR);
    assert_int_equal(vapic_in_service(&vcpu->vapic), VECTOR);
    assert_false(window());
    assert_true(wrmsr_exit(MSR_SELF_IPI, VECTOR + 1));
    assert_int_equal(entry_event(), 0);
    assert_false(window()); /* its class is in service: no use */
    assert_true(wrmsr_exit(MSR_EOI, 0));
    assert_int_equal(entry_event(), INTERRUPT | (VECTOR + 1));
    assert_true(wrmsr_exit(MSR_SELF_IPI, HIGHER));
    assert_int_equal(entry_event(), INTERRUPT | HIGHER);
    world_close();
}

/* A guest that takes none is asked to tell when it does. */
static void test_window(void **state)
{
    static const struct {
        uint64_t rflags, interruptibility;
    } closed[] = {{2, 0}, {IF | 2, STI_SHADOW}, {IF | 2, 2}, {2, 2}};

    (void)state;
    for (unsigned i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        open_path(INTERRUPT_INJECTED);
        vapic_raise(vcpu, VECTOR);
        fake_vmcs[VMCS_GUEST_RFLAGS] = closed[i].rflags;
        fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = closed[i].interruptibility;
        interrupt_prepare(vcpu);
        assert_int_equal(entry_event(), 0);
        assert_true(window());
        fake_vmcs[VMCS_GUEST_RFLAGS] = IF | 2;
        fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
        assert_true(vm_exit(EXIT_REASON_INTERRUPT_WINDOW));
        assert_int_equal(entry_event(), INTERRUPT | VECTOR);
        assert_false(window());
        world_close();
    }
}

/* An event that is on its way goes first. */
static void test_event_first(void **state)
{
    uint32_t fault = vmx_interruption(EVENT_HARDWARE_EXCEPTION, 14, true);

    (void)state;
    open_path(INTERRUPT_INJECTED);
    vapic_raise(vcpu, VECTOR);
    fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO] = fault;
    interrupt_prepare(vcpu);
    assert_int_equal(entry_event(), fault);
    assert_true(window());
    assert_int_equal(vapic_requested(&vcpu->vapic), VECTOR);
    world_close();
}

/* With APICv the CPU is told what is requested, and nothing else is done. */
static void test_apicv(void **state)
{
    (void)state;
    open_path(INTERRUPT_APICV);
    assert_int_equal(fake_vmcs[VMCS_PROC_CONTROLS], VMX_PROC_HLT_EXITING | VMX_PROC_TPR_SHADOW);
    assert_int_equal(fake_vmcs[VMCS_PROC_CONTROLS2] &
                         (VMX_PROC2_VIRTUALIZE_X2APIC | VMX_PROC2_APIC_REGISTER_VIRTUALIZATION |
                          VMX_PROC2_VIRTUAL_INTERRUPT_DELIVERY),
                     VMX_PROC2_VIRTUALIZE_X2APIC | VMX_PROC2_APIC_REGISTER_VIRTUALIZATION |
                         VMX_PROC2_VIRTUAL_INTERRUPT_DELIVERY);
    fake_vmcs[VMCS_GUEST_RFLAGS] = 2;
    vapic_raise(vcpu, VECTOR);
    interrupt_prepare(vcpu);
    assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPT_STATUS], VECTOR);
    fake_vmcs[VMCS_GUEST_INTERRUPT_STATUS] = 0x4000 | VECTOR;
    vapic_raise(vcpu, 0x20); /* less than what is requested already */
    interrupt_prepare(vcpu);
    assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPT_STATUS], 0x4000 | VECTOR);
    vapic_raise(vcpu, HIGHER);
    interrupt_prepare(vcpu);
    assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPT_STATUS], 0x4000 | HIGHER);
    assert_int_equal(entry_event(), 0);
    assert_false(window());
    world_close();
}

/* The CPU took the self-IPI but not its vector. */
static void test_apicv_self_ipi_exit(void **state)
{
    (void)state;
    open_path(INTERRUPT_APICV);
    *vapic_reg(&vcpu->vapic, VAPIC_SELF_IPI) = 5;
    fake_vmcs[VMCS_EXIT_QUALIFICATION] = 0x3f0;
    assert_true(vm_exit(EXIT_REASON_APIC_WRITE));
    assert_int_equal(vcpu->vapic.errors, VAPIC_ERROR_SEND_VECTOR);
    assert_int_equal(fake_vmcs[VMCS_GUEST_RIP], RIP);
    assert_int_equal(vapic_requested(&vcpu->vapic), VAPIC_NONE);
    world_close();
}

/* Whose delivery failed is pending again, on each way. */
static void test_put_back(void **state)
{
    (void)state;
    open_path(INTERRUPT_INJECTED);
    vapic_raise_own(&vcpu->vapic, VECTOR);
    vapic_accept(&vcpu->vapic, VECTOR);
    interrupt_put_back(vcpu, VECTOR);
    assert_int_equal(vapic_deliverable(&vcpu->vapic), VECTOR);
    world_close();

    open_path(INTERRUPT_APICV); /* one in service below it, another one requested below it */
    vapic_raise_own(&vcpu->vapic, 0x44);
    vapic_accept(&vcpu->vapic, 0x44);
    vapic_raise_own(&vcpu->vapic, VECTOR);
    vapic_raise_own(&vcpu->vapic, HIGHER);
    vapic_accept(&vcpu->vapic, HIGHER);
    fake_vmcs[VMCS_GUEST_INTERRUPT_STATUS] = HIGHER << 8 | VECTOR;
    interrupt_put_back(vcpu, HIGHER);
    assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPT_STATUS], 0x44 << 8 | HIGHER);
    assert_int_equal(*vapic_reg(&vcpu->vapic, VAPIC_PPR), 0x40);
    world_close();

    open_path(INTERRUPT_DIRECT);
    interrupt_put_back(vcpu, VECTOR);
    assert_int_equal(world.eois, 1);
    assert_int_equal(world.self_ipi_count, 1);
    assert_int_equal(world.self_ipis[0], VECTOR);
    world_close();
}

static void test_direct(void **state)
{
    (void)state;
    open_path(INTERRUPT_DIRECT);
    assert_int_equal(fake_vmcs[VMCS_PIN_CONTROLS], VMX_PIN_NMI_EXITING);
    assert_int_equal(fake_vmcs[VMCS_PROC_CONTROLS], 0);
    vapic_raise(vcpu, VECTOR); /* it has no APIC yet: kept */
    assert_int_equal(world.self_ipi_count, 0);
    interrupt_load(vcpu);
    assert_int_equal(world.quiesced, 1);
    assert_int_equal(world.self_ipi_count, 1);
    assert_int_equal(world.self_ipis[0], VECTOR);
    interrupt_load(vcpu);
    assert_int_equal(world.quiesced, 1);
    assert_true(wrmsr_exit(MSR_ICR, HIGHER)); /* to vCPU 0, itself */
    assert_int_equal(world.self_ipi_count, 2);
    assert_int_equal(world.self_ipis[1], HIGHER);
    assert_int_equal(entry_event(), 0);
    interrupt_unload(vcpu);
    assert_int_equal(world.quiesced, 2);
    vapic_raise(vcpu, VECTOR); /* and has it no more */
    assert_int_equal(world.self_ipi_count, 2);
    world_close();
}

/* What a vCPU with the CPU's APIC may write there by an exit, and nothing else. */
static void test_direct_registers(void **state)
{
    (void)state;
    open_path(INTERRUPT_DIRECT);
    interrupt_load(vcpu);
    assert_true(wrmsr_exit(0x80f, 0x1e0));
    assert_int_equal(world.spurious_vector, 0x1e0);
    assert_true(wrmsr_exit(0x80f, 0x2e0));
    assert_int_equal(world.spurious_vector, 0x1e0);
    assert_int_equal(entry_event() & 0xff, 13);
    world.apic_errors = 0x40;
    assert_true(wrmsr_exit(0x828, 0));
    assert_int_equal(rdmsr_exit(0x828), 0x40);
    assert_true(wrmsr_exit(0x837, 0x400)); /* the error's LVT entry as an NMI */
    assert_int_equal(entry_event() & 0xff, 13);
    assert_true(wrmsr_exit(MSR_ICR, 0xc4500)); /* INIT to all others */
    assert_int_equal(entry_event() & 0xff, 13);
    assert_true(wrmsr_exit(MSR_BASE, 0));
    assert_int_equal(entry_event() & 0xff, 13);
    assert_int_equal(rdmsr_exit(0x802), 0);
    assert_int_equal(world.self_ipi_count, 0);
    interrupt_unload(vcpu);
    world_close();
}

/* The preemption timer serves the earlier of slice and deadline. */
static void test_deadline(void **state)
{
    uint64_t soon;

    (void)state;
    open_path(INTERRUPT_INJECTED);
    vmx_setup.timer_save = true;
    vcpu->slice_end = rdtsc() + 100ull * FAR_AWAY;
    wrmsr_exit(0x832, 2 << 17 | VECTOR);
    soon = rdtsc() + FAR_AWAY;
    assert_true(wrmsr_exit(MSR_DEADLINE, soon));
    assert_int_equal(vcpu->context.timer_deadline, soon);
    assert_true(vcpu->context.entry_flags & VMX_CONTEXT_TIMER);
    assert_int_equal(rdmsr_exit(MSR_DEADLINE), soon);
    fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO] = 0;
    vcpu->vapic.expiry = 1; /* it has come */
    assert_true(vm_exit(EXIT_REASON_PREEMPTION_TIMER));
    assert_int_equal(world.charges, 0);
    assert_int_equal(entry_event(), INTERRUPT | VECTOR);
    assert_int_equal(vcpu->context.timer_deadline, vcpu->slice_end);
    assert_false(vcpu->context.entry_flags & VMX_CONTEXT_TIMER);
    wrmsr_exit(MSR_DEADLINE, UINT64_MAX - 1); /* beyond the slice */
    assert_int_equal(vcpu->context.timer_deadline, vcpu->slice_end);
    world_close();
}

/* HLT: on at once, asleep until the deadline, or stopped. */
static void test_halt(void **state)
{
    uint64_t later;

    (void)state;
    open_path(INTERRUPT_INJECTED);
    fake_vmcs[VMCS_EXIT_INSTRUCTION_LENGTH] = HLT_BYTES;
    vapic_raise(vcpu, VECTOR);
    assert_true(vm_exit(EXIT_REASON_HLT));
    assert_int_equal(entry_event(), INTERRUPT | VECTOR);
    assert_int_equal(fake_vmcs[VMCS_GUEST_RIP], RIP + HLT_BYTES);
    wrmsr_exit(MSR_EOI, 0);
    wrmsr_exit(0x832, 2 << 17 | VECTOR);
    later = rdtsc() + FAR_AWAY;
    wrmsr_exit(MSR_DEADLINE, later);
    fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO] = 0;
    assert_false(vm_exit(EXIT_REASON_HLT));
    assert_int_equal(vcpu->wake_at, later);
    assert_false(vcpu_is_runnable(vcpu, later - 1));
    atomic_store(&vcpu->wake, true); /* an UNPARK is no interrupt */
    assert_false(vcpu_is_runnable(vcpu, later - 1));
    assert_true(vcpu_is_runnable(vcpu, later));
    interrupt_prepare(vcpu);
    assert_int_equal(entry_event(), INTERRUPT | VECTOR);
    assert_int_equal(world.guest->state, GUEST_RUNNING);
    world_close();
}

static void test_halt_for_ever(void **state)
{
    (void)state;
    open_path(INTERRUPT_INJECTED);
    assert_false(vm_exit(EXIT_REASON_HLT));
    assert_int_equal(world.guest->state, GUEST_STOPPED);
    assert_int_equal(fake_vmcs[VMCS_GUEST_RIP], RIP);
    world_close();

    open_path(INTERRUPT_INJECTED); /* interrupts off: nothing helps */
    fake_vmcs[VMCS_GUEST_RFLAGS] = 2;
    vapic_raise(vcpu, VECTOR);
    assert_false(vm_exit(EXIT_REASON_HLT));
    assert_int_equal(world.guest->state, GUEST_STOPPED);
    world_close();

    open_path(INTERRUPT_INJECTED); /* another guest may wake it */
    atomic_store(&world.guest->listening, true);
    assert_false(vm_exit(EXIT_REASON_HLT));
    assert_int_equal(world.guest->state, GUEST_RUNNING);
    assert_false(vcpu_is_runnable(vcpu, UINT64_MAX - 1));
    vapic_raise(vcpu, VECTOR);
    assert_true(vcpu_is_runnable(vcpu, 0));
    world_close();

    open_path(INTERRUPT_DIRECT); /* HLT without an exit: the slice's end finds it */
    fake_vmcs[VMCS_GUEST_ACTIVITY] = ACTIVITY_HLT;
    vcpu->slice_end = 0;
    world.timer_armed = true;
    vm_exit(EXIT_REASON_PREEMPTION_TIMER);
    assert_int_equal(world.guest->state, GUEST_RUNNING);
    world.timer_armed = false;
    vm_exit(EXIT_REASON_PREEMPTION_TIMER);
    assert_int_equal(world.guest->state, GUEST_STOPPED);
    world_close();
}

/* An NMI in root mode, behind the last look, has the entry exit again. */
static void test_nmi_in_root_mode(void **state)
{
    (void)state;
    open_path(INTERRUPT_INJECTED);
    this_cpu()->vmxon_region = 1;
    interrupt_nmi(vcpu);
    assert_false(fake_vmcs[VMCS_PROC_CONTROLS] & VMX_PROC_NMI_WINDOW_EXITING);
    vapic_post(&vcpu->vapic, VECTOR);
    interrupt_nmi(vcpu);
    assert_true(fake_vmcs[VMCS_PROC_CONTROLS] & VMX_PROC_NMI_WINDOW_EXITING);
    assert_true(vm_exit(EXIT_REASON_NMI_WINDOW));
    assert_false(fake_vmcs[VMCS_PROC_CONTROLS] & VMX_PROC_NMI_WINDOW_EXITING);
    assert_int_equal(entry_event(), INTERRUPT | VECTOR);
    this_cpu()->vmxon_region = 0;
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_injection),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_event_first),
        cmocka_unit_test(test_apicv),
        cmocka_unit_test(test_apicv_self_ipi_exit),
        cmocka_unit_test(test_put_back),
        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_direct_registers),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_halt),
        cmocka_unit_test(test_halt_for_ever),
        cmocka_unit_test(test_nmi_in_root_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
