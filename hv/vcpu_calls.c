#include "hv/vcpu_calls.h"

#include "hv/cpu.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/sched.h"
#include "hv/vcpu.h"
#include "vmx/x86.h"

enum {
    CANONICAL_SHIFT = 47, /* bits from here on are equal (SDM volume 1, 3.3.7.1) */
};

static bool is_canonical(uint64_t address)
{
    int64_t top = (int64_t)address >> CANONICAL_SHIFT;

    return top == 0 || top == -1;
}

/* The guest's vCPU of that number, NULL = it has none. */
static struct vcpu *find(const struct vcpu *caller, uint64_t index)
{
    return index < caller->guest->vcpu_count ? caller->guest->vcpus[index] : NULL;
}

int64_t vcpu_call_start(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct vcpu *other = find(vcpu, regs->rdi);
    unsigned off = VCPU_OFF;

    if (!other || !is_canonical(regs->rsi) || !(vmread(VMCS_GUEST_EFER) & EFER_LMA))
        return -TRAPLINE_EINVAL;
    if (!atomic_compare_exchange_strong(&other->state, &off, VCPU_STARTING))
        return -TRAPLINE_EEXIST;
    vcpu_read_start(&other->start);
    other->start.entry = regs->rsi;
    other->start.stack = regs->rdx;
    other->start.argument = regs->r10;
    guest_lock(vcpu);
    vcpu->guest->vcpus_started++;
    vcpu->guest->leaf_barred |= LEAF_BAR_VCPUS;
    guest_unlock(vcpu);
    atomic_store(&other->state, VCPU_RUNNABLE);
    sched_woken(other);
    return 0;
}

int64_t vcpu_call_unpark(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct vcpu *other = find(vcpu, regs->rdi);

    if (!other)
        return -TRAPLINE_EINVAL;
    atomic_store(&other->unparked, true);
    vcpu_wake(other);
    return 0;
}

int64_t vcpu_call_doorbell(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct vcpu *other = find(vcpu, regs->rdi);

    if (!other || regs->rsi < VAPIC_VECTOR_FIRST || regs->rsi >= VAPIC_VECTORS)
        return -TRAPLINE_EINVAL;
    vapic_raise(other, (unsigned)regs->rsi);
    return 0;
}

bool vcpu_call_take_token(struct vcpu *vcpu)
{
    return atomic_exchange(&vcpu->unparked, false);
}

void vcpu_call_park(struct vcpu *vcpu)
{
    uint64_t ticks = vcpu->context.regs.rdi, now = rdtsc();

    vcpu->parked = true;
    vcpu_sleep(vcpu, ticks && ticks <= UINT64_MAX - now ? now + ticks : 0);
}
