#include "hv/policy_msr.h"

#include <stddef.h>
#include <string.h>

#include "hv/vapic.h"
#include "vmx/x86.h"

enum {
    BITMAP_BYTES = 4096,
    BITMAP_READ_LOW = 0,     /* MSRs 0 to 1FFFH */
    BITMAP_READ_HIGH = 1024, /* MSRs C0000000H to C0001FFFH */
    BITMAP_WRITE_LOW = 2048,
    BITMAP_WRITE_HIGH = 3072,
    BITMAP_MSRS = 0x2000,
    ATA_COMMAND_PORTS = 8,
    PAT_ENTRIES = 8,
    PAT_TYPE_MAX = 7,
};

#define MSR_HIGH_BASE 0xc0000000u
#define EFER_WRITABLE (uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

/* MSRs that the VMCS or the vCPU switch keeps apart: the guest has them without an exit. */
static const uint32_t passed[] = {
    MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP,   MSR_IA32_SYSENTER_EIP, MSR_IA32_STAR,
    MSR_IA32_LSTAR,       MSR_IA32_CSTAR,          MSR_IA32_FMASK,        MSR_IA32_FS_BASE,
    MSR_IA32_GS_BASE,     MSR_IA32_KERNEL_GS_BASE,
};

static void pass(uint8_t *bitmap, unsigned low, unsigned high, uint32_t msr)
{
    unsigned part = msr >= MSR_HIGH_BASE ? high : low;
    uint32_t bit = msr & (BITMAP_MSRS - 1);

    bitmap[part + bit / 8] &= (uint8_t) ~(1u << (bit & 7));
}

static void pass_read(uint8_t *bitmap, uint32_t msr)
{
    pass(bitmap, BITMAP_READ_LOW, BITMAP_READ_HIGH, msr);
}

static void pass_write(uint8_t *bitmap, uint32_t msr)
{
    pass(bitmap, BITMAP_WRITE_LOW, BITMAP_WRITE_HIGH, msr);
}

void policy_msr_bitmap(uint8_t *bitmap, bool rdtscp, bool pat)
{
    memset(bitmap, 0xff, BITMAP_BYTES);
    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
        pass_read(bitmap, passed[i]);
        pass_write(bitmap, passed[i]);
    }
    pass_read(bitmap, MSR_IA32_TSC);
    pass_read(bitmap, MSR_IA32_EFER);
    if (pat)
        pass_read(bitmap, MSR_IA32_PAT);
    if (rdtscp) {
        pass_read(bitmap, MSR_IA32_TSC_AUX);
        pass_write(bitmap, MSR_IA32_TSC_AUX);
    }
}

static void pass_apic_reads(uint8_t *bitmap, unsigned first, unsigned last)
{
    for (unsigned reg = first; reg <= last; reg++)
        pass_read(bitmap, VAPIC_MSR_FIRST + reg);
}

void policy_msr_bitmap_apicv(uint8_t *bitmap)
{
    static const uint8_t reads[] = {VAPIC_ID,  VAPIC_VERSION, VAPIC_TPR, VAPIC_PPR,   VAPIC_LDR,
                                    VAPIC_SVR, VAPIC_ESR,     VAPIC_ICR, VAPIC_DIVIDE};

    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
        pass_apic_reads(bitmap, reads[i], reads[i]);
    pass_apic_reads(bitmap, VAPIC_ISR, VAPIC_IRR_LAST);
    pass_apic_reads(bitmap, VAPIC_LVT_TIMER, VAPIC_INITIAL_COUNT);
    pass_write(bitmap, VAPIC_MSR_FIRST + VAPIC_TPR);
    pass_write(bitmap, VAPIC_MSR_FIRST + VAPIC_EOI);
    pass_write(bitmap, VAPIC_MSR_FIRST + VAPIC_SELF_IPI);
}

void policy_msr_bitmap_direct(uint8_t *bitmap, bool tsc_deadline)
{
    static const uint8_t both[] = {VAPIC_TPR, VAPIC_LVT_TIMER, VAPIC_INITIAL_COUNT, VAPIC_DIVIDE};

    for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
        pass_read(bitmap, VAPIC_MSR_FIRST + both[i]);
        pass_write(bitmap, VAPIC_MSR_FIRST + both[i]);
    }
    pass_apic_reads(bitmap, VAPIC_PPR, VAPIC_PPR);
    pass_apic_reads(bitmap, VAPIC_ISR, VAPIC_IRR_LAST);
    pass_apic_reads(bitmap, VAPIC_CURRENT_COUNT, VAPIC_CURRENT_COUNT);
    pass_write(bitmap, VAPIC_MSR_FIRST + VAPIC_EOI);
    pass_write(bitmap, VAPIC_MSR_FIRST + VAPIC_SELF_IPI);
    if (tsc_deadline) {
        pass_read(bitmap, MSR_IA32_TSC_DEADLINE);
        pass_write(bitmap, MSR_IA32_TSC_DEADLINE);
    }
}

void policy_io_bitmap(uint8_t *bitmap)
{
    memset(bitmap, 0xff, BITMAP_BYTES);
}

static void pass_port(uint8_t *bitmap, unsigned port)
{
    bitmap[port / 8] &= (uint8_t) ~(1u << (port & 7));
}

void policy_io_bitmap_ata(uint8_t *bitmap, uint16_t first, uint16_t control)
{
    for (unsigned i = 0; i < ATA_COMMAND_PORTS; i++)
        pass_port(bitmap, first + i);
    pass_port(bitmap, control);
}

enum policy_msr_verdict policy_msr_read(const struct policy_msr_guest *guest, uint32_t msr,
                                        uint64_t *value)
{
    if (msr == MSR_IA32_XSS && guest->xsaves) {
        *value = 0;
        return POLICY_MSR_OK;
    }
    return POLICY_MSR_DENY;
}

/* SDM 11.12.2: each byte one of UC, WC, WT, WP, WB, UC-. */
static bool pat_valid(uint64_t pat)
{
    for (unsigned i = 0; i < PAT_ENTRIES; i++) {
        unsigned type = pat >> (8 * i) & 0xff;

        if (type > PAT_TYPE_MAX || type == 2 || type == 3)
            return false;
    }
    return true;
}

enum policy_msr_verdict policy_msr_write(const struct policy_msr_guest *guest, uint32_t msr,
                                         uint64_t *value)
{
    switch (msr) {
    case MSR_IA32_EFER:
        if (*value & ~EFER_WRITABLE)
            return POLICY_MSR_DENY;
        /* SDM 4.1.3 (volume 3): LME cannot change while paging is on; a write of LMA is ignored. */
        if (guest->paging && ((*value ^ guest->efer) & EFER_LME))
            return POLICY_MSR_DENY;
        *value = (*value & ~(uint64_t)EFER_LMA) | (guest->efer & EFER_LMA);
        return POLICY_MSR_EFER;
    case MSR_IA32_PAT: return guest->pat && pat_valid(*value) ? POLICY_MSR_PAT : POLICY_MSR_DENY;
    case MSR_IA32_XSS: /* no supervisor state is switched, so none can be enabled */
        return guest->xsaves && *value == 0 ? POLICY_MSR_OK : POLICY_MSR_DENY;
    default: return POLICY_MSR_DENY;
    }
}
