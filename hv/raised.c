#include "hv/raised.h"

#include "hv/memory.h"

static void note_in(struct vcpu *vcpu, uint64_t page, uint64_t pages)
{
    if (pages > TRAPLINE_RAISED_BITS)
        pages = TRAPLINE_RAISED_BITS;
    for (; pages; pages--, page++)
        raised_set(vcpu, page);
}

void raised_note_converting(struct vcpu *vcpu, uint64_t gpa, uint64_t pages)
{
    struct guest *guest = vcpu->guest;

    if (pages == 1 && !ept_fast_cached(&guest->ept, gpa))
        return;
    if (pages != 1) {
        flush_here(vcpu);
        if (guest->vcpus_started == 1)
            return;
    }
    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        struct vcpu *other = guest->vcpus[i];

        if (other->trap_area && (other != vcpu || pages == 1))
            note_in(other, gpa >> PAGE_SHIFT, pages);
    }
    guest->leaf_barred |= LEAF_BAR_RAISED;
}

void raised_forget(struct guest *guest)
{
    for (unsigned i = 0; i < guest->vcpu_count; i++)
        raised_clear(guest->vcpus[i]);
    guest->leaf_barred &= ~(uint32_t)LEAF_BAR_RAISED;
}
