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

/* Fill the two I/O bitmaps, 8 KiB (SDM 24.6.4): no port is passed through. */
void policy_io_bitmap(uint8_t *bitmaps);

/* A read or write that the bitmap did not pass through. */
enum policy_msr_verdict policy_msr_read(const struct policy_msr_guest *guest, uint32_t msr,
                                        uint64_t *value);
enum policy_msr_verdict policy_msr_write(const struct policy_msr_guest *guest, uint32_t msr,
                                         uint64_t *value);

#endif
