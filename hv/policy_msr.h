/*
 * Which MSRs and I/O ports a guest may use. Everything is denied but an explicit list; the denied
 * ones cause an exit and give the guest #GP.
 */
#ifndef TRAPLINE_HV_POLICY_MSR_H
#define TRAPLINE_HV_POLICY_MSR_H

#include <stdbool.h>
#include <stdint.h>

enum policy_msr_verdict {
    POLICY_MSR_DENY, /* #GP */
    POLICY_MSR_OK,   /* done; for a read *value is the answer */
    POLICY_MSR_EFER, /* load *value into the guest's IA32_EFER */
    POLICY_MSR_PAT,  /* load *value into the guest's IA32_PAT */
};

/* What the verdict depends on beside the MSR and the value. */
struct policy_msr_guest {
    uint64_t efer; /* now */
    bool paging;   /* CR0.PG */
    bool pat;      /* the guest's PAT is switched */
    bool xsaves;   /* IA32_XSS exists for it */
};

/* Fill the 4 KiB MSR bitmap (SDM 24.6.9): 0 for what is passed through, 1 for all else. */
void policy_msr_bitmap(uint8_t *bitmap, bool rdtscp, bool pat);

/*
 * Pass on, in a bitmap that is filled, the x2APIC registers that the CPU virtualizes on the
 * virtual-APIC page (SDM 29.5): all that can be read and do not change by themselves; TPR, EOI and
 * self-IPI for writing. A write to any other would reach the CPU's own APIC.
 */
void policy_msr_bitmap_apicv(uint8_t *bitmap);

/*
 * The same for a vCPU that has the CPU's own APIC: what concerns none but its CPU, which is the
 * timer, TPR, EOI, self-IPI and the view of what is pending. Its identifiers are not the vCPU's,
 * the ICR reaches other CPUs, and the rest is the hypervisor's.
 */
void policy_msr_bitmap_direct(uint8_t *bitmap, bool tsc_deadline);

/* Fill one of the two I/O bitmaps, 4 KiB (SDM 24.6.4): no port is passed through. */
void policy_io_bitmap(uint8_t *bitmap);

/*
 * Pass on, in the first of the two I/O bitmaps when it is filled, the registers of an ATA channel
 * at their legacy ports: eight command registers from first on and the control register. An access
 * that touches any port beside them exits. Bus mastering has ports of its own and stays out of
 * reach. The ports lie below 8000H.
 */
void policy_io_bitmap_ata(uint8_t *bitmap, uint16_t first, uint16_t control);

/* A read or write that the bitmap did not pass through. */
enum policy_msr_verdict policy_msr_read(const struct policy_msr_guest *guest, uint32_t msr,
                                        uint64_t *value);
enum policy_msr_verdict policy_msr_write(const struct policy_msr_guest *guest, uint32_t msr,
                                         uint64_t *value);

#endif
