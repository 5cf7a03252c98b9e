#include "hv/flush.h"

#include "hv/cpu.h"
#include "hv/raised.h"

/* Whether this vCPU may run, or come to run, on what it cached before the generation. */
static bool may_be_stale(const struct vcpu *vcpu, uint64_t generation)
{
    return atomic_load(&vcpu->loaded) && !atomic_load(&vcpu->waiting) &&
           atomic_load(&vcpu->seen_gen) < generation;
}

void flush_others(struct vcpu *vcpu)
{
    struct guest *guest = vcpu->guest;
    uint64_t generation = atomic_fetch_add(&guest->flush_gen, 1) + 1;
    uint64_t kicked = 0;

    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        struct vcpu *other = guest->vcpus[i];

        if (other == vcpu || !may_be_stale(other, generation))
            continue;
        cpu_kick(other->cpu);
        vcpu->stats.ipis++;
        kicked |= 1ull << i;
    }
    flush_here(vcpu);
    atomic_store(&vcpu->seen_gen, generation); /* no other can have come: this one has the lock */
    for (unsigned i = 0; kicked >> i; i++) {
        while ((kicked >> i & 1) && may_be_stale(guest->vcpus[i], generation))
            __builtin_ia32_pause();
    }
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

void flush_catch_up(struct vcpu *vcpu)
{
    uint64_t generation = atomic_load(&vcpu->guest->flush_gen);

    /* Again when an NMI came in between and saw a later one: the store would undo its own. */
    while (atomic_load(&vcpu->seen_gen) != generation) {
        flush_here(vcpu);
        atomic_store(&vcpu->seen_gen, generation);
        generation = atomic_load(&vcpu->guest->flush_gen);
    }
}

void flush_wait_for_lock(struct vcpu *vcpu)
{
    atomic_store(&vcpu->waiting, true);
    spin_lock(&vcpu->guest->lock);
    atomic_store(&vcpu->waiting, false);
    flush_catch_up(vcpu);
}
