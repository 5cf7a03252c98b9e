/*
 * What VMX offers on this machine and what Trapline makes of it: capabilities, negotiated controls,
 * barriers; and turning VMX on, on each CPU.
 */
#ifndef TRAPLINE_HV_VMX_SETUP_H
#define TRAPLINE_HV_VMX_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/handover.h"
#include "ept/ept.h"
#include "vmx/caps.h"
#include "vmx/instructions.h"
#include "vmx/mitigations.h"

struct vmx_setup {
    struct vmx_caps caps;
    struct vmx_mitigations mitigations;
    uint32_t pin; /* values for the VMCS's control fields */
    uint32_t proc;
    uint32_t proc2;
    uint32_t exit;
    uint32_t entry;
    enum invept_type invept_type; /* all-context where the CPU cannot do one EPTP */
    bool rdtscp;
    bool invpcid;
    bool pku; /* protection keys: PKRU is switched between vCPUs */
    bool pcid;
    bool xsaves;
    bool pat;
    bool apicv;        /* the CPU can deliver virtual interrupts by itself */
    bool direct;       /* vCPUs that own their CPU can have its interrupts */
    bool tsc_deadline; /* the local APIC's timer has that mode */
    bool pml;
    bool timer_save;        /* the CPU keeps the preemption timer's value over exits */
    unsigned timer_shift;   /* the timer counts down once per 2^shift ticks of the TSC */
    unsigned physical_bits; /* MAXPHYADDR */
    uint64_t xcr0_max;      /* 0 = no XSAVE */
    uint64_t cr4_allowed;   /* CR4 bits that a guest may set */
    uint32_t fpu_bytes;     /* of an XSAVE or FXSAVE area that holds xcr0_max */
    uint32_t features;      /* enum trapline_feature */
    uint64_t tsc_hz;
    bool spoil_entry; /* a self-test: the first guest's VM entry is to fail */
    struct ept_features ept;
    uint64_t msr_bitmap; /* physical; the same for every guest */
    uint64_t msr_bitmap_apicv;
    uint64_t msr_bitmap_direct;
    uint64_t io_bitmap; /* both A and B, but A of a guest with a disk */
};

extern struct vmx_setup vmx_setup;

/*
 * Read the capabilities, drop what the configuration forces off, negotiate all control fields. A
 * control that is required and missing ends the machine with its name.
 */
void vmx_setup_init(const struct handover *handover);

/*
 * Enter VMX operation on this CPU (SDM 23.7, 23.8): IA32_FEATURE_CONTROL set and locked where the
 * firmware left it open, CR0 and CR4 fixed bits, VMXON, and all translations of earlier users
 * dropped. Returns NULL, or what stopped it.
 */
const char *vmx_enable(void);

#endif
