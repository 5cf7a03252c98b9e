/*
 * What CPUID shows a guest: the features whose state Trapline keeps apart between guests, and
 * nothing else. Pure: everything it depends on is an argument.
 */
#ifndef TRAPLINE_HV_POLICY_CPUID_H
#define TRAPLINE_HV_POLICY_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx/cpuid.h"
#include "vmx/x86.h"

/* XSAVE components that a guest may enable: x87, SSE, AVX, the three of AVX-512, PKRU. */
enum xcr0 {
    XCR0_X87 = 1u << 0,
    XCR0_SSE = 1u << 1,
    XCR0_AVX = 1u << 2,
    XCR0_OPMASK = 1u << 5,
    XCR0_ZMM_HI256 = 1u << 6,
    XCR0_HI16_ZMM = 1u << 7,
    XCR0_PKRU_BIT = 9,
    XCR0_PKRU = 1u << XCR0_PKRU_BIT,
    XCR0_AVX512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM,
    XCR0_SWITCHED = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU,
};

/* What the negotiated controls and the guest's own state say. */
struct cpuid_policy {
    uint32_t features;   /* enum trapline_feature, for leaf 0x40000001 */
    uint32_t vcpu_index; /* shown as the initial APIC id */
    uint64_t xcr0_max;   /* components that the host has and that are switched */
    uint64_t guest_cr4;  /* as the guest reads it: OSXSAVE and OSPKE follow it */
    bool rdtscp;         /* the control is on */
    bool invpcid;
    bool pku;  /* not turned off; PKRU is switched between vCPUs */
    bool pcid; /* not turned off */
    bool xsaves;
    bool pat;          /* guest PAT is kept in the VMCS */
    bool tsc_deadline; /* the vCPU's APIC timer has that mode */
    /* The CPU's own CPUID; it runs with the guest's XCR0 loaded. */
    struct cpuid_regs (*raw)(uint32_t leaf, uint32_t subleaf);
};

/* The registers that CPUID returns to the guest for this leaf and subleaf. */
struct cpuid_regs policy_cpuid(const struct cpuid_policy *policy, uint32_t leaf, uint32_t subleaf);

/* The CR4 bits that CPUID shows to the guest and that it may therefore set. */
uint64_t policy_cr4_allowed(const struct cpuid_policy *policy);

/*
 * The XSAVE components that a guest may be shown, as a value for XCR0: those that the CPU has,
 * whose place in the XSAVE area it tells and that are switched; PKRU only with pku.
 */
uint64_t policy_xcr0_max(struct cpuid_regs (*raw)(uint32_t leaf, uint32_t subleaf), bool pku);

/* Whether a guest may load this value into XCR0 (SDM 13.3 and XSETBV's own rules). */
bool policy_xcr0_valid(uint64_t value, uint64_t xcr0_max);

#endif
