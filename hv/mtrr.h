/*
 * Memory types from the MTRRs (SDM 11.11), which EPT must repeat: with EPT on, the type in the EPT
 * entry takes the MTRRs' place for guest accesses (SDM 28.3.7.2).
 */
#ifndef TRAPLINE_HV_MTRR_H
#define TRAPLINE_HV_MTRR_H

#include <stdbool.h>
#include <stdint.h>

enum memory_type {
    MEMORY_TYPE_UC = 0,
    MEMORY_TYPE_WC = 1,
    MEMORY_TYPE_WT = 4,
    MEMORY_TYPE_WP = 5,
    MEMORY_TYPE_WB = 6,
};

enum {
    MTRR_MAX_VARIABLE = 32,
    MTRR_FIXED_MSRS = 11,
};

/* The registers as read; see mtrr_read(). */
struct mtrr_state {
    bool present;      /* CPUID.1:EDX[12]; without MTRRs everything is write-back */
    uint64_t cap;      /* IA32_MTRRCAP */
    uint64_t def_type; /* IA32_MTRR_DEF_TYPE */
    uint64_t fixed[MTRR_FIXED_MSRS];
    uint64_t base[MTRR_MAX_VARIABLE];
    uint64_t mask[MTRR_MAX_VARIABLE];
    unsigned physical_bits; /* MAXPHYADDR */
};

/* Read this CPU's MTRRs. */
void mtrr_read(struct mtrr_state *state);

/* The memory type of the 4 KiB page at phys, by the precedence rules of SDM 11.11.4.1. */
enum memory_type mtrr_type(const struct mtrr_state *state, uint64_t phys);

/*
 * The type of [phys, phys + bytes) when it is the same everywhere: true and *type; false when the
 * range mixes types. phys and bytes are multiples of 4096.
 */
bool mtrr_uniform(const struct mtrr_state *state, uint64_t phys, uint64_t bytes,
                  enum memory_type *type);

#endif
