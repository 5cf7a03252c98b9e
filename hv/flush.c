#include "hv/flush.h"

#include "hv/cpu.h"
#include "hv/raised.h"
#include "hv/view.h"

/* Whether this vCPU may run, or come to run, on what it cached before the generation. */
static bool may_be_stale(const struct vcpu *vcpu, uint64_t generation)
{
    return atomic_load(&vcpu->loaded) && !atomic_load(&vcpu->waiting) &&
           atomic_load(&vcpu->seen_gen) < generation;
}

/*
 * Send the NMIs for a generation to all vCPUs but self (NULL = it is none of them), counted for by
 * (NULL = nobody); returns which got one, as bits.
 */
static uint64_t kick(struct guest *guest, const struct vcpu *self, struct vcpu *by,
                     uint64_t generation)
{
    uint64_t kicked = 0;

    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        struct vcpu *vcpu = guest->vcpus[i];

        if (vcpu == self || !may_be_stale(vcpu, generation))
            continue;
        cpu_kick(vcpu->cpu);
        if (by)
            by->stats.ipis++;
        kicked |= 1ull << i;
    }
    return kicked;
}

/* Wait until none of those that were kicked may be stale. */
static void await(struct guest *guest, uint64_t kicked, uint64_t generation)
{
    for (unsigned i = 0; kicked >> i; i++) {
        while ((kicked >> i & 1) && may_be_stale(guest->vcpus[i], generation))
            __builtin_ia32_pause();
    }
}

/* here: whether this CPU's own translations are to go, too. */
static void shoot(struct vcpu *vcpu, bool here)
{
    struct guest *guest = vcpu->guest;
    uint64_t generation = atomic_fetch_add(&guest->flush_gen, 1) + 1;
    uint64_t kicked = kick(guest, vcpu, vcpu, generation);

    if (here)
        flush_here(vcpu);
    atomic_store(&vcpu->seen_gen, generation); /* no other can have come: this one has the lock */
    await(guest, kicked, generation);
}

void flush_others(struct vcpu *vcpu)
{
    shoot(vcpu, true);
}

int64_t flush_call(struct vcpu *vcpu, struct vmx_regs *regs)
{
    (void)regs;
    guest_lock(vcpu);
    if (vcpu->guest->ept.flush_owed)
        flush_ept(vcpu);
    else if (vcpu->guest->vcpus_started > 1)
        shoot(vcpu, false);
    guest_unlock(vcpu);
    return 0;
}

void flush_barred(struct vcpu *vcpu)
{
    struct guest *guest = vcpu->guest;

    if (guest->vcpus_started > 1)
        flush_others(vcpu);
    else
        flush_here(vcpu);
    if (guest->leaf_barred & LEAF_BAR_RAISED)
        raised_forget(guest);
    guest->leaf_barred &= ~(uint32_t)LEAF_BAR_OWES;
}

void guest_lock_outside(struct guest *guest)
{
    spin_lock(&guest->lock);
    guest->holder = NULL;
}

void flush_outside(struct guest *guest)
{
    uint64_t generation = atomic_fetch_add(&guest->flush_gen, 1) + 1;

    await(guest, kick(guest, NULL, this_cpu()->current, generation), generation);
    ept_fast_flushed(&guest->ept);
}

void flush_and_unlock_outside(struct guest *guest)
{
    if (guest->ept.flush_owed)
        flush_outside(guest);
    spin_unlock(&guest->lock);
}

void flush_catch_up(struct vcpu *vcpu)
{
    uint64_t generation = atomic_load(&vcpu->guest->flush_gen);

    /* Again when an NMI came in between and saw a later one: the store would undo its own. */
    while (atomic_load(&vcpu->seen_gen) != generation) {
        flush_here(vcpu);
        if (atomic_load(&vcpu->loaded))
            view_note(vcpu);
        atomic_store(&vcpu->seen_gen, generation);
        generation = atomic_load(&vcpu->guest->flush_gen);
    }
}

void flush_wait_for_lock(struct vcpu *vcpu)
{
    view_note(vcpu);
    atomic_store(&vcpu->waiting, true);
    spin_queue(&vcpu->guest->lock);
    atomic_store(&vcpu->waiting, false);
    flush_catch_up(vcpu);
}
