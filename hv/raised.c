#include "hv/raised.h"

#include "hv/memory.h"

enum {
    WORD_BITS = 64,
    WORDS = TRAPLINE_RAISED_BITS / WORD_BITS,
};

static void note_in(struct vcpu *vcpu, uint64_t page, uint64_t pages)
{
    if (pages > TRAPLINE_RAISED_BITS)
        pages = TRAPLINE_RAISED_BITS;
    for (; pages; pages--, page++) {
        unsigned word = page / WORD_BITS % WORDS;

        vcpu->trap_area->raised[word] |= 1ull << page % WORD_BITS;
        vcpu->raised_words |= 1u << word;
    }
}

void raised_note_converting(struct vcpu *vcpu, uint64_t gpa, uint64_t pages)
{
    struct guest *guest = vcpu->guest;

    if (pages == 1 && !ept_fast_cached(&guest->ept, gpa))
        return;
    flush_here(vcpu);
    if (guest->vcpus_started == 1)
        return;
    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        struct vcpu *other = guest->vcpus[i];

        if (other != vcpu && other->trap_area)
            note_in(other, gpa >> PAGE_SHIFT, pages);
    }
    guest->leaf_barred |= LEAF_BAR_RAISED;
}

void raised_forget(struct guest *guest)
{
    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        struct vcpu *vcpu = guest->vcpus[i];

        for (uint32_t words = vcpu->raised_words; words; words &= words - 1)
            vcpu->trap_area->raised[__builtin_ctz(words)] = 0;
        vcpu->raised_words = 0;
    }
    guest->leaf_barred &= ~(uint32_t)LEAF_BAR_RAISED;
}
