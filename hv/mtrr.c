#include "hv/mtrr.h"

#include "vmx/x86.h"

enum {
    MTRRCAP_COUNT_MASK = 0xff,
    MTRRCAP_FIXED = 1u << 8,
    DEF_TYPE_MASK = 0xff,
    DEF_TYPE_FIXED = 1u << 10,
    DEF_TYPE_ENABLE = 1u << 11,
    PHYS_TYPE_MASK = 0xff,
    PHYS_MASK_VALID = 1u << 11,
    FIXED_END = 0x100000, /* the fixed-range registers cover the first MiB */
    FIXED_16K = 0x80000,
    FIXED_4K = 0xc0000,
    PAGE = 4096,
};

static uint64_t address_mask(const struct mtrr_state *state)
{
    return ((1ull << state->physical_bits) - 1) & ~(uint64_t)(PAGE - 1);
}

static enum memory_type fixed_type(const struct mtrr_state *state, uint64_t phys)
{
    unsigned reg, byte;

    if (phys < FIXED_16K) {
        reg = 0;
        byte = (unsigned)(phys >> 16);
    } else if (phys < FIXED_4K) {
        reg = 1 + (unsigned)((phys - FIXED_16K) >> 17);
        byte = (unsigned)((phys - FIXED_16K) >> 14) & 7;
    } else {
        reg = 3 + (unsigned)((phys - FIXED_4K) >> 15);
        byte = (unsigned)((phys - FIXED_4K) >> 12) & 7;
    }
    return (enum memory_type)(state->fixed[reg] >> (8 * byte) & 0xff);
}

/* SDM 11.11.4.1: UC beats all, WT and WB together make WT; other overlaps are undefined: take UC.
 */
static enum memory_type combine(enum memory_type a, enum memory_type b)
{
    if (a == b)
        return a;
    if ((a == MEMORY_TYPE_WT && b == MEMORY_TYPE_WB) ||
        (a == MEMORY_TYPE_WB && b == MEMORY_TYPE_WT))
        return MEMORY_TYPE_WT;
    return MEMORY_TYPE_UC;
}

enum memory_type mtrr_type(const struct mtrr_state *state, uint64_t phys)
{
    uint64_t mask = address_mask(state);
    bool found = false;
    enum memory_type type = MEMORY_TYPE_UC;
    unsigned count = (unsigned)(state->cap & MTRRCAP_COUNT_MASK);

    if (!state->present)
        return MEMORY_TYPE_WB;
    if (!(state->def_type & DEF_TYPE_ENABLE))
        return MEMORY_TYPE_UC;
    if (phys < FIXED_END && (state->cap & MTRRCAP_FIXED) && (state->def_type & DEF_TYPE_FIXED))
        return fixed_type(state, phys);
    for (unsigned i = 0; i < count && i < MTRR_MAX_VARIABLE; i++) {
        uint64_t range = state->mask[i] & mask;
        enum memory_type here = (enum memory_type)(state->base[i] & PHYS_TYPE_MASK);

        if (!(state->mask[i] & PHYS_MASK_VALID) || (phys & range) != (state->base[i] & range))
            continue;
        type = found ? combine(type, here) : here;
        found = true;
    }
    return found ? type : (enum memory_type)(state->def_type & DEF_TYPE_MASK);
}

/* The next address above phys at which some register's range may begin or end. */
static uint64_t next_boundary(const struct mtrr_state *state, uint64_t phys)
{
    uint64_t mask = address_mask(state);
    uint64_t next = UINT64_MAX;
    unsigned count = (unsigned)(state->cap & MTRRCAP_COUNT_MASK);

    if (phys < FIXED_END)
        return phys + PAGE;
    for (unsigned i = 0; i < count && i < MTRR_MAX_VARIABLE; i++) {
        uint64_t range = state->mask[i] & mask;
        uint64_t step;

        if (!(state->mask[i] & PHYS_MASK_VALID) || range == 0)
            continue;
        /* A range's membership changes only at multiples of its lowest mask bit. */
        step = range & -range;
        if ((phys | (step - 1)) + 1 < next)
            next = (phys | (step - 1)) + 1;
    }
    return next;
}

bool mtrr_uniform(const struct mtrr_state *state, uint64_t phys, uint64_t bytes,
                  enum memory_type *type)
{
    uint64_t end = phys + bytes;

    *type = mtrr_type(state, phys);
    for (uint64_t at = next_boundary(state, phys); at < end; at = next_boundary(state, at)) {
        if (mtrr_type(state, at) != *type)
            return false;
    }
    return true;
}

void mtrr_read(struct mtrr_state *state)
{
    static const uint32_t fixed_msrs[MTRR_FIXED_MSRS] = {
        MSR_IA32_MTRR_FIX64K_00000,    MSR_IA32_MTRR_FIX16K_80000,    MSR_IA32_MTRR_FIX16K_A0000,
        MSR_IA32_MTRR_FIX4K_C0000,     MSR_IA32_MTRR_FIX4K_C0000 + 1, MSR_IA32_MTRR_FIX4K_C0000 + 2,
        MSR_IA32_MTRR_FIX4K_C0000 + 3, MSR_IA32_MTRR_FIX4K_C0000 + 4, MSR_IA32_MTRR_FIX4K_C0000 + 5,
        MSR_IA32_MTRR_FIX4K_C0000 + 6, MSR_IA32_MTRR_FIX4K_C0000 + 7,
    };
    struct cpuid_regs extended = cpuid(0x80000000, 0);

    *state = (struct mtrr_state){.physical_bits = 36};
    if (extended.eax >= 0x80000008)
        state->physical_bits = cpuid(0x80000008, 0).eax & 0xff;
    state->present = cpuid(1, 0).edx & 1u << 12;
    if (!state->present)
        return;
    state->cap = rdmsr(MSR_IA32_MTRRCAP);
    state->def_type = rdmsr(MSR_IA32_MTRR_DEF_TYPE);
    if (state->cap & MTRRCAP_FIXED) {
        for (unsigned i = 0; i < MTRR_FIXED_MSRS; i++)
            state->fixed[i] = rdmsr(fixed_msrs[i]);
    }
    for (unsigned i = 0; i < (state->cap & MTRRCAP_COUNT_MASK) && i < MTRR_MAX_VARIABLE; i++) {
        state->base[i] = rdmsr(MSR_IA32_MTRR_PHYSBASE0 + 2 * i);
        state->mask[i] = rdmsr(MSR_IA32_MTRR_PHYSMASK0 + 2 * i);
    }
}
