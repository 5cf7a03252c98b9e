/*
 * The local APIC that a vCPU sees: x2APIC mode, one of its own, behind MSRs 800H to 8FFH (SDM
 * volume 3, chapter 10).
 *
 * Pure: state and the time in, answers and effects out. The registers lie in a page laid out as the
 * CPU's own APIC virtualization wants it (29.1), so that it can work on the same page. All of it
 * belongs to the CPU that runs the vCPU, but for the posted interrupts, which any CPU may add to.
 *
 * What a guest gets: fixed interrupts between its own vCPUs, by their index as APIC identifier, and
 * its timer. There is no other source: the other entries of the local vector table stay masked, and
 * there is no NMI, SMI, INIT, start-up or logical addressing.
 */
#ifndef TRAPLINE_HV_VAPIC_H
#define TRAPLINE_HV_VAPIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Registers by their x2APIC number: MSR 800H + number (table 10-6). */
enum vapic_register {
    VAPIC_ID = 0x02,
    VAPIC_VERSION = 0x03,
    VAPIC_TPR = 0x08,
    VAPIC_PPR = 0x0a,
    VAPIC_EOI = 0x0b,
    VAPIC_LDR = 0x0d,
    VAPIC_SVR = 0x0f,
    VAPIC_ISR = 0x10, /* eight each */
    VAPIC_TMR = 0x18,
    VAPIC_IRR = 0x20,
    VAPIC_IRR_LAST = 0x27,
    VAPIC_ESR = 0x28,
    VAPIC_ICR = 0x30,
    VAPIC_LVT_TIMER = 0x32,
    VAPIC_LVT_THERMAL = 0x33,
    VAPIC_LVT_PERFORMANCE = 0x34,
    VAPIC_LVT_LINT0 = 0x35,
    VAPIC_LVT_LINT1 = 0x36,
    VAPIC_LVT_ERROR = 0x37,
    VAPIC_INITIAL_COUNT = 0x38,
    VAPIC_CURRENT_COUNT = 0x39,
    VAPIC_DIVIDE = 0x3e,
    VAPIC_SELF_IPI = 0x3f,
};

enum {
    VAPIC_MSR_FIRST = 0x800,
    VAPIC_MSR_LAST = 0x8ff,
    VAPIC_PAGE_BYTES = 4096,
    VAPIC_WORD = 4, /* a register is this many words from the next in the page */
    VAPIC_VECTORS = 256,
    VAPIC_VECTOR_FIRST = 16, /* those below are illegal as interrupts (10.5.2) */
    VAPIC_NONE = -1,         /* no vector */
    VAPIC_PERIOD_MIN = 2048, /* ticks of a periodic timer at least: an interrupt takes exits */
};

/* No event of the timer ahead. */
#define VAPIC_NEVER UINT64_MAX

struct vapic {
    uint32_t *regs;    /* the page */
    uint32_t id;       /* the vCPU's index */
    uint32_t vcpus;    /* of the guest */
    bool tsc_deadline; /* the timer has that mode */
    uint32_t errors;   /* since the last write to the ESR */

    uint64_t expiry; /* TSC value at which the timer fires next; VAPIC_NEVER = it stands still */
    uint64_t period; /* of a periodic timer, ticks */

    _Atomic(uint64_t) posted[VAPIC_VECTORS / 64];
};

/* An interrupt for vCPUs of the guest, which a write asked for. */
struct vapic_ipi {
    uint8_t vector;
    uint32_t targets; /* a bit for each vCPU, the sender's own among them; 0 = no interrupt */
};

/*
 * The state that a guest finds: software-enabled, spurious vector 255, everything masked, nothing
 * pending. page: VAPIC_PAGE_BYTES, aligned like that. id: below vcpus, which is at most 32.
 */
void vapic_init(struct vapic *apic, void *page, unsigned id, unsigned vcpus, bool tsc_deadline);

/*
 * RDMSR and WRMSR of an APIC register at the time now (TSC). False: #GP(0), and nothing has
 * changed. Interrupts that were posted must have been collected. A write fills in *ipi.
 */
bool vapic_read(struct vapic *apic, uint32_t msr, uint64_t now, uint64_t *value);
bool vapic_write(struct vapic *apic, uint32_t msr, uint64_t value, uint64_t now,
                 struct vapic_ipi *ipi);

/*
 * What a value for the ICR means (10.6.1, 10.12.9). False: #GP. An illegal vector gives no targets
 * and *error the bit for the ESR, else 0.
 */
bool vapic_decode_icr(uint64_t value, unsigned id, unsigned vcpus, struct vapic_ipi *ipi,
                      uint32_t *error);

/* Remember an error for the ESR (enum vapic_error). */
void vapic_error(struct vapic *apic, uint32_t error);

/* IA32_APIC_BASE: x2APIC mode for good. The write is allowed when it changes nothing. */
uint64_t vapic_base(const struct vapic *apic);

/* IA32_TSC_DEADLINE, which means something in that mode of the timer only (10.5.4.1). */
uint64_t vapic_deadline_read(const struct vapic *apic);
void vapic_deadline_write(struct vapic *apic, uint64_t value);

/* CR8 is bits 7:4 of the TPR (10.8.6.1). value: 0 to 15. */
unsigned vapic_cr8(const struct vapic *apic);
void vapic_set_cr8(struct vapic *apic, unsigned value);

/*
 * Add an interrupt, from any CPU. vector: VAPIC_VECTOR_FIRST to 255. True: it was not posted
 * before, so that the vCPU's CPU must be told.
 */
bool vapic_post(struct vapic *apic, unsigned vector);

/* Whether interrupts are posted; from any CPU. */
bool vapic_has_posted(const struct vapic *apic);

/* Move what was posted to the IRR. False: nothing was. A software-disabled APIC drops it. */
bool vapic_collect(struct vapic *apic);

/* Set the vector's bit in the IRR. */
void vapic_raise_own(struct vapic *apic, unsigned vector);

/* Let the timer fire when its time has come. True: it set a bit of the IRR. */
bool vapic_timer_run(struct vapic *apic, uint64_t now);

/* When the timer will raise an interrupt next: a TSC value, or VAPIC_NEVER. */
uint64_t vapic_timer_next(const struct vapic *apic);

/* The highest vector in the IRR, or VAPIC_NONE; the same for the ISR. */
int vapic_requested(const struct vapic *apic);
int vapic_in_service(const struct vapic *apic);

/* The vector to be delivered as soon as the vCPU takes interrupts: the highest of the IRR if its
 * class is above the PPR's (10.8.3), else VAPIC_NONE. */
int vapic_deliverable(const struct vapic *apic);

/* The vCPU takes this interrupt: from the IRR to the ISR. */
void vapic_accept(struct vapic *apic, unsigned vector);

/* It could not take it after all: back from the ISR to the IRR. */
void vapic_put_back(struct vapic *apic, unsigned vector);

/* Compute the PPR again; after the CPU changed the page by itself. */
void vapic_update_ppr(struct vapic *apic);

/* Bits of the ESR (10.5.3). */
enum vapic_error {
    VAPIC_ERROR_SEND_VECTOR = 1u << 5,
    VAPIC_ERROR_RECEIVE_VECTOR = 1u << 6,
};

/* IA32_APIC_BASE (10.4.4, 10.12.1). */
enum vapic_base_bits {
    VAPIC_BASE_BSP = 1u << 8,
    VAPIC_BASE_X2APIC = 1u << 10,
    VAPIC_BASE_ENABLE = 1u << 11,
};
#define VAPIC_BASE_ADDRESS 0xfee00000ull

/* Spurious-interrupt vector register (10.9). */
enum vapic_svr {
    VAPIC_SVR_VECTOR = 0xff,
    VAPIC_SVR_ENABLE = 1u << 8,
};

/* Local vector table (10.5.1). */
enum vapic_lvt {
    VAPIC_LVT_VECTOR = 0xff,
    VAPIC_LVT_MASKED = 1u << 16,
    VAPIC_LVT_MODE_SHIFT = 17,
    VAPIC_LVT_MODE = 3u << 17,
};

/* Modes of the timer (10.5.4). */
enum vapic_timer_mode {
    VAPIC_TIMER_ONE_SHOT = 0,
    VAPIC_TIMER_PERIODIC = 1,
    VAPIC_TIMER_DEADLINE = 2,
};

/* vapic_timer.c: what vapic.c leaves to the timer. False: #GP. */
uint32_t vapic_current_count(const struct vapic *apic, uint64_t now);
bool vapic_write_lvt_timer(struct vapic *apic, uint32_t value);
void vapic_write_initial_count(struct vapic *apic, uint32_t value, uint64_t now);
bool vapic_write_divide(struct vapic *apic, uint32_t value, uint64_t now);

/* A register in the page. */
static inline uint32_t *vapic_reg(const struct vapic *apic, unsigned number)
{
    return &apic->regs[number * VAPIC_WORD];
}

#endif
