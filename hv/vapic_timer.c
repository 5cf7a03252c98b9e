/*
 * The timer of a virtual APIC (SDM 10.5.4): it counts at the TSC's rate, divided as the guest asks.
 * Nothing counts: what is kept is the TSC value at which the count reaches 0.
 */
#include "hv/vapic.h"

enum {
    DIVIDE_DEFINED = 0xb, /* bits 0, 1 and 3 */
    DIVIDE_BY_1 = 7,      /* else by 2 to the power of the number + 1 */
    TIMER_DEFINED = VAPIC_LVT_VECTOR | VAPIC_LVT_MASKED | VAPIC_LVT_MODE,
};

/* The binary logarithm of the divisor (figure 10-10). */
static unsigned divide_shift(const struct vapic *apic)
{
    uint32_t reg = *vapic_reg(apic, VAPIC_DIVIDE);
    unsigned number = (reg & 3) | (reg >> 3 & 1) << 2;

    return number == DIVIDE_BY_1 ? 0 : number + 1;
}

static unsigned mode(const struct vapic *apic)
{
    return (*vapic_reg(apic, VAPIC_LVT_TIMER) & VAPIC_LVT_MODE) >> VAPIC_LVT_MODE_SHIFT;
}

static void stop(struct vapic *apic)
{
    apic->expiry = VAPIC_NEVER;
    apic->period = 0;
}

uint32_t vapic_current_count(const struct vapic *apic, uint64_t now)
{
    unsigned shift = divide_shift(apic);
    uint64_t ticks;

    if (apic->expiry == VAPIC_NEVER || mode(apic) == VAPIC_TIMER_DEADLINE)
        return 0;
    if (now >= apic->expiry) {
        if (!apic->period)
            return 0;
        ticks = apic->period - (now - apic->expiry) % apic->period;
    } else {
        ticks = apic->expiry - now;
    }
    /* The count reaches 0 at the end of its last unit. */
    uint64_t count = (ticks + (1ull << shift) - 1) >> shift;

    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

static void start(struct vapic *apic, uint64_t ticks, uint64_t now)
{
    apic->period = 0;
    if (mode(apic) == VAPIC_TIMER_PERIODIC) {
        uint64_t whole = (uint64_t)*vapic_reg(apic, VAPIC_INITIAL_COUNT) << divide_shift(apic);

        apic->period = whole < VAPIC_PERIOD_MIN ? VAPIC_PERIOD_MIN : whole;
        if (ticks < VAPIC_PERIOD_MIN)
            ticks = VAPIC_PERIOD_MIN;
    }
    apic->expiry = now + ticks;
}

void vapic_write_initial_count(struct vapic *apic, uint32_t value, uint64_t now)
{
    if (mode(apic) == VAPIC_TIMER_DEADLINE) /* ignored (10.5.4.1) */
        return;
    *vapic_reg(apic, VAPIC_INITIAL_COUNT) = value;
    if (value)
        start(apic, (uint64_t)value << divide_shift(apic), now);
    else
        stop(apic);
}

/* The count stays what it is and goes on at the new rate. */
bool vapic_write_divide(struct vapic *apic, uint32_t value, uint64_t now)
{
    uint32_t count = vapic_current_count(apic, now);

    if (value & ~(uint32_t)DIVIDE_DEFINED)
        return false;
    *vapic_reg(apic, VAPIC_DIVIDE) = value;
    if (count)
        start(apic, (uint64_t)count << divide_shift(apic), now);
    return true;
}

bool vapic_write_lvt_timer(struct vapic *apic, uint32_t value)
{
    uint32_t *lvt = vapic_reg(apic, VAPIC_LVT_TIMER);
    unsigned wanted = (value & VAPIC_LVT_MODE) >> VAPIC_LVT_MODE_SHIFT;

    if ((value & ~(uint32_t)TIMER_DEFINED) || wanted > VAPIC_TIMER_DEADLINE ||
        (wanted == VAPIC_TIMER_DEADLINE && !apic->tsc_deadline))
        return false;
    if (wanted != mode(apic)) /* another mode disarms the timer (10.5.4.1) */
        stop(apic);
    if (!(*vapic_reg(apic, VAPIC_SVR) & VAPIC_SVR_ENABLE))
        value |= VAPIC_LVT_MASKED;
    *lvt = value;
    return true;
}

uint64_t vapic_deadline_read(const struct vapic *apic)
{
    return mode(apic) == VAPIC_TIMER_DEADLINE && apic->expiry != VAPIC_NEVER ? apic->expiry : 0;
}

void vapic_deadline_write(struct vapic *apic, uint64_t value)
{
    if (mode(apic) != VAPIC_TIMER_DEADLINE)
        return;
    apic->expiry = value ? value : VAPIC_NEVER;
}

bool vapic_timer_run(struct vapic *apic, uint64_t now)
{
    uint32_t lvt = *vapic_reg(apic, VAPIC_LVT_TIMER);
    unsigned vector = lvt & VAPIC_LVT_VECTOR;

    if (now < apic->expiry || apic->expiry == VAPIC_NEVER)
        return false;
    if (apic->period) /* the periods that were missed are one interrupt */
        apic->expiry += ((now - apic->expiry) / apic->period + 1) * apic->period;
    else
        apic->expiry = VAPIC_NEVER;
    if (lvt & VAPIC_LVT_MASKED)
        return false;
    if (vector < VAPIC_VECTOR_FIRST) {
        vapic_error(apic, VAPIC_ERROR_RECEIVE_VECTOR);
        return false;
    }
    vapic_raise_own(apic, vector);
    return true;
}

uint64_t vapic_timer_next(const struct vapic *apic)
{
    uint32_t lvt = *vapic_reg(apic, VAPIC_LVT_TIMER);

    if ((lvt & VAPIC_LVT_MASKED) || (lvt & VAPIC_LVT_VECTOR) < VAPIC_VECTOR_FIRST)
        return VAPIC_NEVER;
    return apic->expiry;
}
