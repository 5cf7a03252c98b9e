#include "hv/hypercall.h"

#include "hv/channel.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/multi.h"
#include "hv/primitives.h"
#include "hv/vcpu.h"
#include "hv/vcpu_calls.h"
#include "hv/view.h"
#include "vmx/instructions.h"

enum {
    PRINT_MAX = 4096, /* bytes a call, so that no guest keeps the console for long */
};

static int64_t hc_print(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t text = regs->rdi, bytes = regs->rsi > PRINT_MAX ? PRINT_MAX : regs->rsi;
    bool readable;

    guest_lock(vcpu);
    readable = guest_may_access(guest, text, bytes, EPT_ACCESS_R);
    guest_unlock(vcpu);
    if (!readable)
        return -TRAPLINE_EFAULT;
    spin_lock(&guest->print_lock);
    for (uint64_t at = text, left = bytes; left;) {
        uint64_t piece = GUEST_BLOCK_BYTES - (at & (GUEST_BLOCK_BYTES - 1));

        if (piece > left)
            piece = left;
        guest_print(guest, guest_ram(guest, at), piece);
        at += piece;
        left -= piece;
    }
    spin_unlock(&guest->print_lock);
    return (int64_t)bytes;
}

static int64_t hc_stats(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    struct trapline_stats stats = {0};
    bool writable;

    if (regs->rdi % sizeof(uint64_t))
        return -TRAPLINE_EINVAL;
    for (unsigned i = 0; i < guest->vcpu_count; i++)
        vcpu_sum_stats(guest->vcpus[i], &stats);
    guest_lock(vcpu);
    stats.table_pages = guest->pool.used;
    stats.table_budget = guest->pool.pages;
    stats.splits = guest->ept.stats.splits;
    stats.merges = guest->ept.stats.merges;
    writable = guest_may_access(guest, regs->rdi, sizeof(stats), EPT_ACCESS_W);
    if (writable)
        guest_write(guest, regs->rdi, &stats, sizeof(stats));
    guest_unlock(vcpu);
    return writable ? 0 : -TRAPLINE_EFAULT;
}

/* The call is finished: give the guest its result. */
static inline uintptr_t complete(struct vcpu *vcpu, int64_t result)
{
    vcpu->context.regs.rax = (uint64_t)result;
    vcpu_skip_instruction();
    return (uintptr_t)&vcpu->context;
}

/* The table's functions finish the call themselves, so that nothing is left to do when they return.
 */
static uintptr_t fast_nop(struct vcpu *vcpu)
{
    return complete(vcpu, 0);
}

#define FAST(name, function)                                                                       \
    static uintptr_t fast_##name(struct vcpu *vcpu)                                                \
    {                                                                                              \
        return complete(vcpu, function(vcpu, &vcpu->context.regs));                                \
    }

/* A primitive, under the lock; what it owes is paid before the guest goes on. */
#define FAST_LOCKED(name, function)                                                                \
    static uintptr_t fast_##name(struct vcpu *vcpu)                                                \
    {                                                                                              \
        guest_lock(vcpu);                                                                          \
        return complete(vcpu, flush_and_unlock(vcpu, function(vcpu, &vcpu->context.regs)));        \
    }

/* One that may want to go on after the timer had its chance, and pays at the end. */
static uintptr_t fast_protn(struct vcpu *vcpu)
{
    int64_t result;

    guest_lock(vcpu);
    result = primitive_protn(vcpu, &vcpu->context.regs);
    if (result != HYPERCALL_AGAIN)
        return complete(vcpu, flush_and_unlock(vcpu, result));
    vcpu->guest->leaf_barred |= LEAF_BAR_OWES;
    guest_unlock(vcpu);
    return (uintptr_t)&vcpu->context;
}

FAST(trap, primitive_trap)
FAST_LOCKED(prot1, primitive_prot1)
FAST_LOCKED(unprot, primitive_unprot)
FAST_LOCKED(prot1_unprot, primitive_prot1_unprot)
FAST_LOCKED(dirty, primitive_dirty)
FAST_LOCKED(map2, primitive_map2)
FAST_LOCKED(unmap2, primitive_unmap2)
FAST_LOCKED(track, primitive_track)
FAST_LOCKED(multi, multi_call)
FAST(print, hc_print)
FAST(stats, hc_stats)
FAST(vcpu_start, vcpu_call_start)
FAST(unpark, vcpu_call_unpark)
FAST(offer, channel_offer)
FAST(accept, channel_accept)
FAST(withdraw, channel_withdraw)
FAST(ring, channel_ring)
FAST(listen, channel_listen)
FAST(shootdown, flush_call)
FAST(view_create, view_create)
FAST(view_destroy, view_destroy)
FAST_LOCKED(view_prot, view_prot)
FAST_LOCKED(view_protn, view_protn)
FAST(view_switch, view_switch)

static uintptr_t slow_exit(struct vcpu *vcpu)
{
    return (uintptr_t)&vcpu->context | VMX_EXIT_SLOW;
}

/* Not to sleep is the fast tier's, to sleep the slow one's. */
static uintptr_t fast_park(struct vcpu *vcpu)
{
    return vcpu_call_take_token(vcpu) ? complete(vcpu, 1) : slow_exit(vcpu);
}

hypercall_fast_function *const hypercall_fast_functions[TRAPLINE_HC_COUNT] = {
    [TRAPLINE_HC_NOP] = fast_nop,
    [TRAPLINE_HC_TRAP] = fast_trap,
    [TRAPLINE_HC_PROT1] = fast_prot1,
    [TRAPLINE_HC_PROTN] = fast_protn,
    [TRAPLINE_HC_UNPROT] = fast_unprot,
    [TRAPLINE_HC_DIRTY] = fast_dirty,
    [TRAPLINE_HC_MAP2] = fast_map2,
    [TRAPLINE_HC_UNMAP2] = fast_unmap2,
    [TRAPLINE_HC_TRACK] = fast_track,
    [TRAPLINE_HC_PRINT] = fast_print,
    [TRAPLINE_HC_EXIT] = slow_exit,
    [TRAPLINE_HC_STATS] = fast_stats,
    [TRAPLINE_HC_VCPU_START] = fast_vcpu_start,
    [TRAPLINE_HC_PARK] = fast_park,
    [TRAPLINE_HC_UNPARK] = fast_unpark,
    [TRAPLINE_HC_DOORBELL] = slow_exit,
    [TRAPLINE_HC_MULTI] = fast_multi,
    [TRAPLINE_HC_VIEW_CREATE] = fast_view_create,
    [TRAPLINE_HC_VIEW_DESTROY] = fast_view_destroy,
    [TRAPLINE_HC_VIEW_PROT] = fast_view_prot,
    [TRAPLINE_HC_VIEW_PROTN] = fast_view_protn,
    [TRAPLINE_HC_VIEW_SWITCH] = fast_view_switch,
    [TRAPLINE_HC_OFFER] = fast_offer,
    [TRAPLINE_HC_ACCEPT] = fast_accept,
    [TRAPLINE_HC_WITHDRAW] = fast_withdraw,
    [TRAPLINE_HC_RING] = fast_ring,
    [TRAPLINE_HC_LISTEN] = fast_listen,
    [TRAPLINE_HC_SHOOTDOWN] = fast_shootdown,
    [TRAPLINE_HC_PROT1_UNPROT] = fast_prot1_unprot,
};

bool hypercall_exit(struct vcpu *vcpu)
{
    if (hypercall_above_cpl0()) {
        vcpu->stats.refused_hypercalls++;
        complete(vcpu, -TRAPLINE_EPERM);
    } else if (vcpu->context.regs.rax == TRAPLINE_HC_EXIT) {
        guest_exit(vcpu->guest, (int64_t)vcpu->context.regs.rdi);
        return false;
    } else if (vcpu->context.regs.rax == TRAPLINE_HC_DOORBELL) {
        complete(vcpu, vcpu_call_doorbell(vcpu, &vcpu->context.regs));
    } else if (vcpu->context.regs.rax == TRAPLINE_HC_PARK) {
        vcpu_skip_instruction();
        vcpu_call_park(vcpu);
        return false;
    } else {
        vcpu->stats.refused_hypercalls++;
        complete(vcpu, -TRAPLINE_ENOSYS);
    }
    return true;
}
