/* The local APIC's timer. */
#include <trapline/timer.h>

#include <trapline/abi.h>
#include <trapline/time.h>

#include "guest/runtime/cpu.h"

enum {
    LVT_MASKED = 1u << 16,
    LVT_PERIODIC = 1u << 17,
    LVT_DEADLINE = 2u << 17,
    DIVIDE_BY_1 = 0xb,
    MEASURE_PER_SECOND = 250,
    SHIFT_MAX = 7, /* the timer can divide by up to 2 to this power */
    SAME_RATE_PARTS = 1000,
};

/* Counts of the timer, undivided, in measured_ticks ticks of the TSC. */
static uint64_t measured_counts, measured_ticks;

/* Both clocks at rest but for reading them: the ends are taken at the same places of the loop. */
static void measure(void)
{
    const uint64_t length = tsc_hz() / MEASURE_PER_SECOND;
    uint64_t start, ticks_passed, counts;

    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_INITIAL_COUNT, UINT32_MAX);
    start = ticks();
    do
        ticks_passed = ticks() - start;
    while (ticks_passed < length);
    counts = UINT32_MAX - apic_read(APIC_CURRENT_COUNT);
    apic_write(APIC_INITIAL_COUNT, 0);
    /* A timer that goes with the TSC does so exactly. */
    if (counts > ticks_passed - ticks_passed / SAME_RATE_PARTS &&
        counts < ticks_passed + ticks_passed / SAME_RATE_PARTS)
        counts = ticks_passed;
    measured_counts = counts;
    __atomic_store_n(&measured_ticks, ticks_passed, __ATOMIC_RELEASE);
}

/* The divide configuration register for a power of 2 (SDM figure 10-10). */
static uint32_t divide_by(unsigned shift)
{
    const unsigned number = (shift - 1) & 7;

    return (number & 3) | (number & 4) << 1;
}

static int start_count(uint32_t lvt, uint64_t interval)
{
    uint64_t counts;
    unsigned shift = 0;

    if (!__atomic_load_n(&measured_ticks, __ATOMIC_ACQUIRE))
        measure();
    counts = interval / measured_ticks * measured_counts +
             interval % measured_ticks * measured_counts / measured_ticks;
    while (counts >> shift > UINT32_MAX)
        shift++;
    if (shift > SHIFT_MAX)
        return -TRAPLINE_EINVAL;
    counts >>= shift;
    apic_write(APIC_LVT_TIMER, lvt);
    apic_write(APIC_DIVIDE, divide_by(shift));
    apic_write(APIC_INITIAL_COUNT, counts ? counts : 1);
    return 0;
}

int timer_start_periodic(unsigned vector, uint64_t interval)
{
    if (!interval)
        return -TRAPLINE_EINVAL;
    return start_count(LVT_PERIODIC | vector, interval);
}

int timer_start_deadline(unsigned vector, uint64_t tsc)
{
    const uint64_t now = ticks();

    if (cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_TSC_DEADLINE) {
        apic_write(APIC_LVT_TIMER, LVT_DEADLINE | vector);
        write_msr(MSR_TSC_DEADLINE, tsc ? tsc : 1);
        return 0;
    }
    return start_count(vector, tsc > now ? tsc - now : 1);
}

void timer_stop(void)
{
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_INITIAL_COUNT, 0);
}
