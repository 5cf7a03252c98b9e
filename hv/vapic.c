#include "hv/vapic.h"

#include <string.h>

enum {
    WORDS = VAPIC_VECTORS / 32,
    CLASS = 0xf0,
    TPR_MASK = 0xff,
    CR8_SHIFT = 4,
    VERSION = 0x14, /* integrated, with the register set of the SDM */
    VERSION_LVT_SHIFT = 16,
    VERSION_LVT_MAX = 5, /* timer, LINT0, LINT1, error, performance, thermal */
    LDR_CLUSTER_SHIFT = 16,
    LDR_MEMBER = 15,
    LDR_MEMBER_BITS = 4,
    ERRORS_ALL = 0xff,
    LVT_PLAIN = 0x7ff, /* vector and delivery mode */
    LVT_LINT = 0xa7ff, /* polarity and trigger mode, too */
    LVT_ERROR = 0xff,
    BROADCAST = UINT32_MAX,
};

/* Interrupt command register (10.6.1, figure 10-28). */
enum icr {
    ICR_VECTOR = 0xff,
    ICR_DELIVERY = 7u << 8, /* 0: fixed */
    ICR_LOGICAL = 1u << 11,
    ICR_LEVEL = 1u << 14,
    ICR_TRIGGER = 1u << 15,
    ICR_SHORTHAND_SHIFT = 18,
    ICR_SHORTHAND = 3u << 18,
    ICR_DEFINED = ICR_VECTOR | ICR_DELIVERY | ICR_LOGICAL | ICR_LEVEL | ICR_TRIGGER | ICR_SHORTHAND,
    ICR_DESTINATION_SHIFT = 32,
};

enum shorthand {
    TO_DESTINATION = 0,
    TO_SELF = 1,
    TO_ALL = 2,
    TO_OTHERS = 3,
};

static void set_vector(struct vapic *apic, unsigned set, unsigned vector)
{
    *vapic_reg(apic, set + vector / 32) |= 1u << vector % 32;
}

static void clear_vector(struct vapic *apic, unsigned set, unsigned vector)
{
    *vapic_reg(apic, set + vector / 32) &= ~(1u << vector % 32);
}

static int highest(const struct vapic *apic, unsigned set)
{
    for (int i = WORDS - 1; i >= 0; i--) {
        uint32_t word = *vapic_reg(apic, set + (unsigned)i);

        if (word)
            return i * 32 + 31 - __builtin_clz(word);
    }
    return VAPIC_NONE;
}

int vapic_requested(const struct vapic *apic)
{
    return highest(apic, VAPIC_IRR);
}

int vapic_in_service(const struct vapic *apic)
{
    return highest(apic, VAPIC_ISR);
}

/* 10.8.3.1: the greater class of TPR and ISR; below the class, the TPR's own bits. */
void vapic_update_ppr(struct vapic *apic)
{
    uint32_t tpr = *vapic_reg(apic, VAPIC_TPR) & TPR_MASK;
    int vector = vapic_in_service(apic);
    uint32_t service = vector == VAPIC_NONE ? 0 : (uint32_t)vector & CLASS;

    *vapic_reg(apic, VAPIC_PPR) = (tpr & CLASS) >= service ? tpr : service;
}

int vapic_deliverable(const struct vapic *apic)
{
    int vector = vapic_requested(apic);

    if (vector == VAPIC_NONE || ((uint32_t)vector & CLASS) <= (*vapic_reg(apic, VAPIC_PPR) & CLASS))
        return VAPIC_NONE;
    return vector;
}

void vapic_accept(struct vapic *apic, unsigned vector)
{
    clear_vector(apic, VAPIC_IRR, vector);
    set_vector(apic, VAPIC_ISR, vector);
    vapic_update_ppr(apic);
}

void vapic_put_back(struct vapic *apic, unsigned vector)
{
    clear_vector(apic, VAPIC_ISR, vector);
    set_vector(apic, VAPIC_IRR, vector);
    vapic_update_ppr(apic);
}

void vapic_raise_own(struct vapic *apic, unsigned vector)
{
    set_vector(apic, VAPIC_IRR, vector);
}

bool vapic_post(struct vapic *apic, unsigned vector)
{
    uint64_t bit = 1ull << vector % 64;

    return !(atomic_fetch_or(&apic->posted[vector / 64], bit) & bit);
}

bool vapic_has_posted(const struct vapic *apic)
{
    for (unsigned i = 0; i < VAPIC_VECTORS / 64; i++) {
        if (atomic_load(&apic->posted[i]))
            return true;
    }
    return false;
}

bool vapic_collect(struct vapic *apic)
{
    bool enabled = *vapic_reg(apic, VAPIC_SVR) & VAPIC_SVR_ENABLE, any = false;

    for (unsigned i = 0; i < VAPIC_VECTORS / 64; i++) {
        uint64_t bits;

        if (!atomic_load_explicit(&apic->posted[i], memory_order_relaxed))
            continue;
        bits = atomic_exchange(&apic->posted[i], 0);
        if (!enabled)
            continue;
        *vapic_reg(apic, VAPIC_IRR + 2 * i) |= (uint32_t)bits;
        *vapic_reg(apic, VAPIC_IRR + 2 * i + 1) |= (uint32_t)(bits >> 32);
        any = true;
    }
    return any;
}

void vapic_init(struct vapic *apic, void *page, unsigned id, unsigned vcpus, bool tsc_deadline)
{
    memset(page, 0, VAPIC_PAGE_BYTES);
    *apic = (struct vapic){
        .regs = page,
        .id = id,
        .vcpus = vcpus,
        .tsc_deadline = tsc_deadline,
        .expiry = VAPIC_NEVER,
    };
    *vapic_reg(apic, VAPIC_ID) = id;
    *vapic_reg(apic, VAPIC_VERSION) = VERSION | VERSION_LVT_MAX << VERSION_LVT_SHIFT;
    *vapic_reg(apic, VAPIC_LDR) =
        id >> LDR_MEMBER_BITS << LDR_CLUSTER_SHIFT | 1u << (id & LDR_MEMBER);
    *vapic_reg(apic, VAPIC_SVR) = VAPIC_SVR_ENABLE | VAPIC_SVR_VECTOR;
    for (unsigned lvt = VAPIC_LVT_TIMER; lvt <= VAPIC_LVT_ERROR; lvt++)
        *vapic_reg(apic, lvt) = VAPIC_LVT_MASKED;
}

uint64_t vapic_base(const struct vapic *apic)
{
    return VAPIC_BASE_ADDRESS | VAPIC_BASE_ENABLE | VAPIC_BASE_X2APIC |
           (apic->id == 0 ? VAPIC_BASE_BSP : 0);
}

unsigned vapic_cr8(const struct vapic *apic)
{
    return *vapic_reg(apic, VAPIC_TPR) >> CR8_SHIFT;
}

void vapic_set_cr8(struct vapic *apic, unsigned value)
{
    *vapic_reg(apic, VAPIC_TPR) = value << CR8_SHIFT;
    vapic_update_ppr(apic);
}

void vapic_error(struct vapic *apic, uint32_t error)
{
    apic->errors |= error;
}

bool vapic_read(struct vapic *apic, uint32_t msr, uint64_t now, uint64_t *value)
{
    unsigned reg = msr - VAPIC_MSR_FIRST;

    switch (reg) {
    case VAPIC_ID:
    case VAPIC_VERSION:
    case VAPIC_TPR:
    case VAPIC_PPR:
    case VAPIC_LDR:
    case VAPIC_SVR:
    case VAPIC_ISR ... VAPIC_ISR + WORDS - 1:
    case VAPIC_TMR ... VAPIC_TMR + WORDS - 1:
    case VAPIC_IRR ... VAPIC_IRR + WORDS - 1:
    case VAPIC_ESR:
    case VAPIC_LVT_TIMER ... VAPIC_LVT_ERROR:
    case VAPIC_INITIAL_COUNT:
    case VAPIC_DIVIDE: *value = *vapic_reg(apic, reg); return true;
    case VAPIC_ICR: /* the one register of 64 bits */
        *value = (uint64_t)vapic_reg(apic, reg)[1] << 32 | *vapic_reg(apic, reg);
        return true;
    case VAPIC_CURRENT_COUNT: *value = vapic_current_count(apic, now); return true;
    default: return false;
    }
}

/* 10.8.5: the end of the interrupt with the highest priority. */
static void end_interrupt(struct vapic *apic)
{
    int vector = vapic_in_service(apic);

    if (vector == VAPIC_NONE)
        return;
    clear_vector(apic, VAPIC_ISR, (unsigned)vector);
    vapic_update_ppr(apic);
}

/* 10.4.7.2: an APIC that is disabled by software masks its local interrupts. */
static bool write_svr(struct vapic *apic, uint32_t value)
{
    if (value & ~(uint32_t)(VAPIC_SVR_ENABLE | VAPIC_SVR_VECTOR))
        return false;
    *vapic_reg(apic, VAPIC_SVR) = value;
    for (unsigned lvt = VAPIC_LVT_TIMER; !(value & VAPIC_SVR_ENABLE) && lvt <= VAPIC_LVT_ERROR;
         lvt++)
        *vapic_reg(apic, lvt) |= VAPIC_LVT_MASKED;
    return true;
}

/* A local interrupt that has no source here: it can be programmed but not unmasked. */
static bool write_lvt(struct vapic *apic, unsigned reg, uint32_t value, uint32_t defined)
{
    if ((value & ~(defined | VAPIC_LVT_MASKED)) || !(value & VAPIC_LVT_MASKED))
        return false;
    *vapic_reg(apic, reg) = value;
    return true;
}

bool vapic_decode_icr(uint64_t value, unsigned id, unsigned vcpus, struct vapic_ipi *ipi,
                      uint32_t *error)
{
    uint32_t command = (uint32_t)value, destination = (uint32_t)(value >> ICR_DESTINATION_SHIFT);
    uint32_t all = (uint32_t)((1ull << vcpus) - 1);

    *ipi = (struct vapic_ipi){.vector = command & ICR_VECTOR};
    *error = 0;
    if ((command & ~(uint32_t)ICR_DEFINED) || (command & ICR_DELIVERY))
        return false;
    switch (command >> ICR_SHORTHAND_SHIFT & 3) {
    case TO_DESTINATION:
        if (command & ICR_LOGICAL)
            return false;
        if (destination == BROADCAST)
            ipi->targets = all;
        else if (destination < vcpus) /* nobody hears what is sent to others */
            ipi->targets = 1u << destination;
        break;
    case TO_SELF: ipi->targets = 1u << id; break;
    case TO_ALL: ipi->targets = all; break;
    case TO_OTHERS: ipi->targets = all & ~(1u << id); break;
    }
    if (ipi->vector < VAPIC_VECTOR_FIRST) {
        ipi->targets = 0;
        *error = VAPIC_ERROR_SEND_VECTOR;
    }
    return true;
}

static bool write_icr(struct vapic *apic, uint64_t value, struct vapic_ipi *ipi)
{
    uint32_t error;

    if (!vapic_decode_icr(value, apic->id, apic->vcpus, ipi, &error))
        return false;
    vapic_error(apic, error);
    vapic_reg(apic, VAPIC_ICR)[0] = (uint32_t)value;
    vapic_reg(apic, VAPIC_ICR)[1] = (uint32_t)(value >> 32);
    return true;
}

static bool write_self_ipi(struct vapic *apic, uint64_t value)
{
    if (value & ~(uint64_t)ICR_VECTOR)
        return false;
    if (value < VAPIC_VECTOR_FIRST)
        vapic_error(apic, VAPIC_ERROR_SEND_VECTOR);
    else if (*vapic_reg(apic, VAPIC_SVR) & VAPIC_SVR_ENABLE)
        vapic_raise_own(apic, (unsigned)value);
    return true;
}

static bool write_tpr(struct vapic *apic, uint32_t value)
{
    if (value & ~(uint32_t)TPR_MASK)
        return false;
    *vapic_reg(apic, VAPIC_TPR) = value;
    vapic_update_ppr(apic);
    return true;
}

static bool write_low(struct vapic *apic, unsigned reg, uint32_t value, uint64_t now)
{
    switch (reg) {
    case VAPIC_TPR: return write_tpr(apic, value);
    case VAPIC_SVR: return write_svr(apic, value);
    case VAPIC_LVT_TIMER: return vapic_write_lvt_timer(apic, value);
    case VAPIC_LVT_THERMAL:
    case VAPIC_LVT_PERFORMANCE: return write_lvt(apic, reg, value, LVT_PLAIN);
    case VAPIC_LVT_LINT0:
    case VAPIC_LVT_LINT1: return write_lvt(apic, reg, value, LVT_LINT);
    case VAPIC_LVT_ERROR: return write_lvt(apic, reg, value, LVT_ERROR);
    case VAPIC_DIVIDE: return vapic_write_divide(apic, value, now);
    case VAPIC_INITIAL_COUNT: vapic_write_initial_count(apic, value, now); return true;
    case VAPIC_EOI:
        if (value)
            return false;
        end_interrupt(apic);
        return true;
    case VAPIC_ESR:
        if (value)
            return false;
        *vapic_reg(apic, VAPIC_ESR) = apic->errors & ERRORS_ALL;
        apic->errors = 0;
        return true;
    default: return false;
    }
}

bool vapic_write(struct vapic *apic, uint32_t msr, uint64_t value, uint64_t now,
                 struct vapic_ipi *ipi)
{
    unsigned reg = msr - VAPIC_MSR_FIRST;

    *ipi = (struct vapic_ipi){0};
    if (reg == VAPIC_ICR)
        return write_icr(apic, value, ipi);
    if (reg == VAPIC_SELF_IPI)
        return write_self_ipi(apic, value);
    return value >> 32 == 0 && write_low(apic, reg, (uint32_t)value, now);
}
