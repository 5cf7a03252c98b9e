#include "hv/costs.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "hv/console.h"
#include "hv/costs_guest.h"
#include "hv/cpu.h"
#include "hv/series.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

enum {
    ROUNDS = SERIES_MAX,
    FIELD_OPS = 16, /* VMREADs or VMWRITEs that are timed together */
    IPI_TIMEOUT_MS = 10,
};

/* A field that the guest of the measurement has no use for. */
#define FIELD VMCS_GUEST_SYSENTER_ESP

static struct series series;
static uint64_t clock; /* ticks of reading the clock twice */

/* An instruction of root mode. It runs with the guest's VMCS current; false: it failed. */
struct instruction {
    struct series_row row;
    bool (*run)(const struct vcpu *vcpu);
    bool (*exists)(const struct vmx_caps *caps); /* NULL: always */
};

static bool run_nothing(const struct vcpu *vcpu)
{
    (void)vcpu;
    return true;
}

static bool run_invept_single(const struct vcpu *vcpu)
{
    return invept(INVEPT_SINGLE_CONTEXT, vcpu->eptp) == VMX_SUCCEED;
}

static bool run_invept_all(const struct vcpu *vcpu)
{
    (void)vcpu;
    return invept(INVEPT_ALL_CONTEXTS, 0) == VMX_SUCCEED;
}

static bool run_invvpid_address(const struct vcpu *vcpu)
{
    return invvpid(INVVPID_ADDRESS, vcpu->vpid, 0) == VMX_SUCCEED;
}

static bool run_invvpid_single(const struct vcpu *vcpu)
{
    return invvpid(INVVPID_SINGLE_CONTEXT, vcpu->vpid, 0) == VMX_SUCCEED;
}

static bool run_invvpid_all(const struct vcpu *vcpu)
{
    (void)vcpu;
    return invvpid(INVVPID_ALL_CONTEXTS, 0, 0) == VMX_SUCCEED;
}

static bool run_invvpid_globals(const struct vcpu *vcpu)
{
    return invvpid(INVVPID_RETAIN_GLOBALS, vcpu->vpid, 0) == VMX_SUCCEED;
}

static bool run_vmread(const struct vcpu *vcpu)
{
    uint64_t value = 0;

    (void)vcpu;
#pragma GCC unroll 16
    for (unsigned i = 0; i < FIELD_OPS; i++)
        value |= vmread(FIELD);
    return value == FIELD_OPS - 1;
}

static bool run_vmwrite(const struct vcpu *vcpu)
{
    (void)vcpu;
#pragma GCC unroll 16
    for (unsigned i = 0; i < FIELD_OPS; i++)
        vmwrite(FIELD, i);
    return true;
}

#define FLUSH(which)                                                                               \
    {                                                                                              \
        .name = which, .per = "op", .ops = 1, .flushes = 1                                         \
    }

/* VMREAD expects what VMWRITE leaves. */
static const struct instruction instructions[] = {
    {FLUSH("cost.invept.single"), run_invept_single, vmx_caps_has_invept_single},
    {FLUSH("cost.invept.all"), run_invept_all, vmx_caps_has_invept_all},
    {FLUSH("cost.invvpid.address"), run_invvpid_address, vmx_caps_has_invvpid_address},
    {FLUSH("cost.invvpid.single"), run_invvpid_single, vmx_caps_has_invvpid_single},
    {FLUSH("cost.invvpid.all"), run_invvpid_all, vmx_caps_has_invvpid_all},
    {FLUSH("cost.invvpid.globals"), run_invvpid_globals, vmx_caps_has_invvpid_retain_globals},
    {{.name = "cost.vmwrite", .per = "op", .ops = FIELD_OPS}, run_vmwrite, NULL},
    {{.name = "cost.vmread", .per = "op", .ops = FIELD_OPS}, run_vmread, NULL},
};

/* Fill the series with the ticks of each run, the clock's and the call's included. */
__attribute__((noinline, noclone)) static bool time_rounds(bool (*run)(const struct vcpu *vcpu),
                                                           const struct vcpu *vcpu)
{
    bool good = true;

    series.count = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t start = rdtsc_ordered(), stop;

        good &= run(vcpu);
        stop = rdtsc_ordered();
        series_add(&series, stop - start);
    }
    return good;
}

static void measure_instructions(const struct vcpu *vcpu)
{
    uint64_t call;

    time_rounds(run_nothing, vcpu);
    call = series_median(&series);
    for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
        const struct instruction *one = &instructions[i];

        if (one->exists && !one->exists(&vmx_setup.caps))
            costs_none(one->row.name, "this CPU does not offer it");
        else if (!time_rounds(one->run, vcpu))
            costs_none(one->row.name, "the instruction failed");
        else
            series_print(&series, &one->row, call);
    }
}

/* Exits that come again at each entry, since nobody goes on to the next instruction. */
static void measure_exit(struct costs_guest *guest, const char *name, const char *place,
                         uint32_t reason)
{
    const struct series_row row = {.name = name, .per = "op", .ops = 1, .exits = 1};
    const char *why = NULL;

    series.count = 0;
    for (unsigned i = 0; !why && i < ROUNDS; i++) {
        struct costs_visit visit = {.rdi = guest->barred};

        why = costs_guest_visit(guest, &visit, place, reason);
        series_add(&series, visit.stop - visit.start);
    }
    if (why)
        costs_none(name, why);
    else
        series_print(&series, &row, clock);
}

/* From sending an NMI to another CPU until its handler's effect is seen; false: it never was. */
static bool time_nmi(struct cpu *other)
{
    const volatile uint64_t *nmis = &other->nmis;
    uint64_t before = *nmis, start = rdtsc_ordered(), stop;

    cpu_kick(other);
    do {
        stop = rdtsc();
        if (stop - start > IPI_TIMEOUT_MS * cpu_tsc_per_ms)
            return false;
    } while (*nmis == before);
    series_add(&series, rdtsc_ordered() - start);
    return true;
}

static void measure_ipi(void)
{
    const struct series_row row = {.name = "cost.ipi", .per = "op", .ops = 1, .ipis = 1};
    bool good = true;

    if (cpu_count < 2) {
        costs_none(row.name, "there is one CPU");
        return;
    }
    series.count = 0;
    for (unsigned i = 0; good && i < ROUNDS; i++)
        good = time_nmi(cpus[1]);
    if (good)
        series_print(&series, &row, clock);
    else
        costs_none(row.name, "CPU 1 does not answer to an NMI");
}

static uint64_t clock_cost(void)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t start = rdtsc_ordered(), spent = rdtsc_ordered() - start;

        if (spent < least)
            least = spent;
    }
    return least;
}

void costs_measure(void)
{
    struct costs_guest guest;

    kprintf("trapline: measuring what the CPU's events cost\n");
    clock = clock_cost();
    measure_ipi();
    if (!costs_guest_create(&guest)) {
        costs_none("cost.*", "no memory for a guest");
        return;
    }
    measure_exit(&guest, "cost.vmcall", costs_code_vmcall, EXIT_REASON_VMCALL);
    measure_exit(&guest, "cost.cpuid", costs_code_cpuid, EXIT_REASON_CPUID);
    measure_exit(&guest, "cost.violation", costs_code_write, EXIT_REASON_EPT_VIOLATION);
    costs_pages(&guest, clock, &series);
    measure_instructions(guest.vcpu);
    costs_guest_destroy(&guest);
}
