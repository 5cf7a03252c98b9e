#include "hv/summary.h"

#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/vcpu.h"

typedef unsigned long long ull;

static uint64_t free_at_start;

static const char *const hypercall_names[TRAPLINE_HC_COUNT] = {
    [TRAPLINE_HC_NOP] = "nop",
    [TRAPLINE_HC_TRAP] = "trap",
    [TRAPLINE_HC_PROT1] = "prot1",
    [TRAPLINE_HC_PROTN] = "protn",
    [TRAPLINE_HC_UNPROT] = "unprot",
    [TRAPLINE_HC_DIRTY] = "dirty",
    [TRAPLINE_HC_MAP2] = "map2",
    [TRAPLINE_HC_UNMAP2] = "unmap2",
    [TRAPLINE_HC_TRACK] = "track",
    [TRAPLINE_HC_PRINT] = "print",
    [TRAPLINE_HC_EXIT] = "exit",
    [TRAPLINE_HC_STATS] = "stats",
    [TRAPLINE_HC_VCPU_START] = "vcpu start",
    [TRAPLINE_HC_PARK] = "park",
    [TRAPLINE_HC_UNPARK] = "unpark",
    [TRAPLINE_HC_DOORBELL] = "doorbell",
    [TRAPLINE_HC_MULTI] = "multi",
    [TRAPLINE_HC_VIEW_CREATE] = "view create",
    [TRAPLINE_HC_VIEW_DESTROY] = "view destroy",
    [TRAPLINE_HC_VIEW_PROT] = "view prot",
    [TRAPLINE_HC_VIEW_PROTN] = "view protn",
    [TRAPLINE_HC_VIEW_SWITCH] = "view switch",
    [TRAPLINE_HC_OFFER] = "offer",
    [TRAPLINE_HC_ACCEPT] = "accept",
    [TRAPLINE_HC_WITHDRAW] = "withdraw",
    [TRAPLINE_HC_RING] = "ring",
    [TRAPLINE_HC_LISTEN] = "listen",
    [TRAPLINE_HC_SHOOTDOWN] = "shootdown",
    [TRAPLINE_HC_PROT1_UNPROT] = "prot1 and unprot",
};

static const char *const denial_names[DENIAL_COUNT] = {
    [DENIAL_RDMSR] = "RDMSR",   [DENIAL_WRMSR] = "WRMSR",
    [DENIAL_IN] = "IN",         [DENIAL_OUT] = "OUT",
    [DENIAL_RDPMC] = "RDPMC",   [DENIAL_CR] = "MOV to CR",
    [DENIAL_XSETBV] = "XSETBV", [DENIAL_VMX] = "VMX and SMX instructions",
};

static void print_vcpu(const struct vcpu *vcpu)
{
    struct trapline_stats sum = {0};

    vcpu_sum_stats(vcpu, &sum);
    kprintf("trapline:   vCPU %u on CPU %u: %llu exits, %llu traps, %llu flushes, %llu IPIs\n",
            vcpu->index, vcpu->cpu->index, (ull)sum.exits, (ull)sum.traps, (ull)sum.flushes,
            (ull)sum.ipis);
}

static void print_counts(const struct guest *guest)
{
    uint64_t refused = 0;

    for (unsigned i = 0; i < EXIT_REASONS; i++) {
        uint64_t count = 0;

        for (unsigned v = 0; v < guest->vcpu_count; v++)
            count += guest->vcpus[v]->stats.exits[i] +
                     (i == EXIT_REASON_VMCALL ? vcpu_vmcalls(guest->vcpus[v]) : 0);
        if (count)
            kprintf("trapline:   exits: %-32s %12llu\n", vmx_exit_name(i), (ull)count);
    }
    for (unsigned i = 0; i < TRAPLINE_HC_COUNT; i++) {
        uint64_t count = 0;

        for (unsigned v = 0; v < guest->vcpu_count; v++)
            count += vcpu_hypercalls(guest->vcpus[v], i);
        if (count)
            kprintf("trapline:   hypercall %2u: %-25s %12llu\n", i, hypercall_names[i], (ull)count);
    }
    for (unsigned v = 0; v < guest->vcpu_count; v++)
        refused += guest->vcpus[v]->stats.refused_hypercalls;
    if (refused)
        kprintf("trapline:   refused hypercalls: %29llu\n", (ull)refused);
    for (unsigned i = 0; i < DENIAL_COUNT; i++) {
        if (guest->denials[i])
            kprintf("trapline:   denied: %-31s %12llu\n", denial_names[i], (ull)guest->denials[i]);
    }
}

static void print_guest(struct guest *guest)
{
    struct trapline_stats sum = {0};

    for (unsigned v = 0; v < guest->vcpu_count; v++)
        vcpu_sum_stats(guest->vcpus[v], &sum);
    kprintf("trapline: summary of guest %s: ", guest->config->name);
    if (guest->config->repeat > 1)
        kprintf("%u runs, %u failed, the last: ", guest->runs, guest->failures);
    if (guest->state == GUEST_EXITED)
        kprintf("exit code %lld\n", (long long)guest->exit_code);
    else
        kprintf("stopped: %s\n", guest->stop_reason);
    kprintf("trapline:   %llu exits, %llu traps, %llu flushes, %llu IPIs, %llu splits, %llu "
            "merges\n",
            (ull)sum.exits, (ull)sum.traps, (ull)sum.flushes, (ull)sum.ipis,
            (ull)guest->ept.stats.splits, (ull)guest->ept.stats.merges);
    if (guest->config->repeat > 1)
        kprintf("trapline:   to start it again took %llu ticks, to give it back %llu\n",
                (ull)(guest->start_ticks / (guest->config->repeat - 1)),
                (ull)(guest->end_ticks / guest->runs));
    for (unsigned v = 0; guest->vcpu_count > 1 && v < guest->vcpu_count; v++)
        print_vcpu(guest->vcpus[v]);
    print_counts(guest);
}

void summary_begin(void)
{
    free_at_start = memory_free_bytes();
}

static void print_memory(void)
{
    uint64_t free_at_end = memory_free_bytes();

    kprintf("trapline: memory: %llu KiB free before the guests, %llu KiB after them: ",
            (ull)(free_at_start >> 10), (ull)(free_at_end >> 10));
    if (free_at_end == free_at_start)
        kprintf("nothing leaked\n");
    else
        kprintf("%lld KiB leaked\n", (long long)(free_at_start - free_at_end) >> 10);
}

int summary_print(void)
{
    int failed = 0;

    for (unsigned i = 0; i < guest_count; i++) {
        print_guest(guests[i]);
        failed |= guests[i]->failures != 0;
        guest_destroy(guests[i]);
    }
    print_memory();
    return failed;
}
