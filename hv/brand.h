/* The CPU's name, for people and for records: nothing is decided by it. */
#ifndef TRAPLINE_HV_BRAND_H
#define TRAPLINE_HV_BRAND_H

#include <stdint.h>

#include "vmx/x86.h"

enum {
    BRAND_BYTES = 49, /* of the brand string and its end */
};

struct brand {
    char name[BRAND_BYTES]; /* without blanks around it; "unknown" where the CPU tells none */
    unsigned family, model, stepping;
};

/*
 * Ask the CPU by raw(leaf, subleaf), which executes CPUID: SDM Vol. 2A, CPUID, "The Processor Brand
 * String Method" and "Version Information" (DisplayFamily_DisplayModel).
 */
void brand_read(struct cpuid_regs (*raw)(uint32_t leaf, uint32_t subleaf), struct brand *brand);

#endif
