/*
 * What interrupts cost: a computing loop with the timer at several rates, beside its speed without,
 * and how long an interrupt to oneself takes; each with the runtime's handlers and with the least
 * that a handler can be (lean).
 *
 * Arguments: quick (a tenth of the rounds). Each row is a JSON object on a line of its own that
 * begins with "@json "; mode says how interrupts reach this guest: direct, apicv or injected.
 */
#include <trapline/interrupt.h>
#include <trapline/timer.h>
#include <trapline/trapline.h>

#include "guest/common/figures.h"
#include "guest/common/statistics.h"

enum {
    VECTOR = 0x60,
    VECTOR_LEAN = 0x61,
    ROUNDS = 20,
    QUICK_ROUNDS = 4,
    ROUNDS_PER_SECOND = 20, /* how long one is */
    STEPS = 64,             /* additions between two looks at the clock */
    IPI_ROUNDS = 1000,
    GATE_INTERRUPT = 0x8e,
    PERCENT = 100,
    DECIMALS = 1000,
};

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static volatile uint64_t interrupts;
static uint64_t samples[IPI_ROUNDS];

/* The least that a handler can be: a count and the end of the interrupt (MSR 80BH). */
extern volatile uint64_t lean_count;
volatile uint64_t lean_count;
void lean_entry(void);
__asm__(".text\n"
        "lean_entry:\n\t"
        "push %rax\n\t"
        "push %rcx\n\t"
        "push %rdx\n\t"
        "incq lean_count\n\t"
        "mov $0x80b, %ecx\n\t"
        "xor %eax, %eax\n\t"
        "xor %edx, %edx\n\t"
        "wrmsr\n\t"
        "pop %rdx\n\t"
        "pop %rcx\n\t"
        "pop %rax\n\t"
        "iretq\n");

TRAP_GENERAL static void count(unsigned vector)
{
    (void)vector;
    interrupts++;
}

static uint64_t arrivals(void)
{
    return interrupts + lean_count;
}

static void set_lean_gate(void)
{
    const uint64_t entry = (uint64_t)lean_entry;
    struct table_pointer idt;

    __asm__ volatile("sidt %0" : "=m"(idt));
    ((struct gate *)idt.base)[VECTOR_LEAN] = (struct gate){
        .offset_low = (uint16_t)entry,
        .selector = TRAPLINE_SEL_CODE,
        .type = GATE_INTERRUPT,
        .offset_middle = (uint16_t)(entry >> 16),
        .offset_high = (uint32_t)(entry >> 32),
    };
}

static const char *mode(void)
{
    const uint32_t features = guest_info()->features;

    if (features & TRAPLINE_FEATURE_DIRECT)
        return "direct";
    return features & TRAPLINE_FEATURE_APICV ? "apicv" : "injected";
}

/* Print the row of n samples, in thousandths; exits: of all, in thousandths each. */
static void print_row(const char *name, const char *unit, const char *per, uint64_t *values,
                      unsigned n, uint64_t exits)
{
    sort_values(values, n);
    figure_print(&(struct figure){.name = name,
                                  .mode = mode(),
                                  .unit = unit,
                                  .per = per,
                                  .n = n,
                                  .min = (double)values[0] / DECIMALS,
                                  .median = median_of(values, n) / DECIMALS,
                                  .p99 = (double)percentile_of(values, n, 99) / DECIMALS,
                                  .exits = (double)exits / DECIMALS});
}

/* Compute for one round; returns how far it came. */
__attribute__((noinline)) static uint64_t compute(void)
{
    const uint64_t end = rdtsc() + tsc_hz() / ROUNDS_PER_SECOND;
    uint64_t steps = 0, value = 1;

    while (rdtsc() < end) {
        for (int i = 0; i < STEPS; i++)
            __asm__ volatile("add $1, %0" : "+r"(value));
        steps++;
    }
    return steps;
}

static uint64_t exits_now(void)
{
    static struct trapline_stats counts;

    stats(&counts);
    return counts.exits;
}

/*
 * The speed of the loop at so many interrupts a second, in thousandths of a percent of alone; what:
 * the end of the rows' names.
 */
static void measure_rate(unsigned rate, unsigned vector, const char *what, unsigned rounds,
                         uint64_t alone)
{
    static uint64_t speed[ROUNDS], arrived[ROUNDS];
    const uint64_t call = 1; /* stats() is an exit itself */
    uint64_t exits, before, total = 0;
    char name[40];

    timer_start_periodic(vector, tsc_hz() / rate);
    interrupts_on();
    exits = exits_now();
    for (unsigned i = 0; i < rounds; i++) {
        before = arrivals();
        speed[i] = compute() * PERCENT * DECIMALS / alone;
        arrived[i] = (arrivals() - before) * ROUNDS_PER_SECOND * DECIMALS;
        total += arrivals() - before;
    }
    exits = exits_now() - exits - call;
    interrupts_off();
    timer_stop();
    exits = total ? exits * DECIMALS / total : 0;
    snprintf(name, sizeof(name), "timer.speed.%u%s", rate, what);
    print_row(name, "percent", "interrupt", speed, rounds, exits);
    snprintf(name, sizeof(name), "timer.interrupts.%u%s", rate, what);
    print_row(name, "1/s", "interrupt", arrived, rounds, exits);
}

/* From the instruction that sends it to the one behind it, the handler in between. */
static void measure_self_ipi(const char *name, unsigned vector)
{
    uint64_t least = UINT64_MAX, exits;

    interrupts_on();
    for (unsigned i = 0; i < IPI_ROUNDS; i++) {
        const uint64_t start = ticks(), spent = ticks() - start;

        least = spent < least ? spent : least;
    }
    exits = exits_now();
    for (unsigned i = 0; i < IPI_ROUNDS; i++) {
        const uint64_t seen = arrivals(), start = ticks();
        uint64_t spent;

        apic_self_ipi(vector);
        spent = ticks() - start;
        /* An APIC may take its time: the interrupt is awaited, and then that is what it took. */
        while (arrivals() == seen)
            spent = ticks() - start;
        samples[i] = (spent - least) * DECIMALS;
    }
    exits = (exits_now() - exits - 1) * DECIMALS / IPI_ROUNDS;
    interrupts_off();
    print_row(name, "tsc", "interrupt", samples, IPI_ROUNDS, exits);
}

int main(int argc, char **argv)
{
    static const unsigned rates[] = {1000, 10000};
    static uint64_t alone[ROUNDS];
    unsigned rounds = ROUNDS;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "quick") != 0) {
            printf("timer: unknown argument \"%s\"; known is: quick\n", argv[i]);
            return EXIT_FAILURE;
        }
        rounds = QUICK_ROUNDS;
    }
    interrupt_handle_with(VECTOR, count, INTERRUPT_GENERAL_REGS);
    set_lean_gate();
    timer_start_periodic(VECTOR, tsc_hz()); /* measures its rate, if need be */
    timer_stop();
    for (unsigned i = 0; i < rounds; i++)
        alone[i] = compute();
    sort_values(alone, rounds);
    printf("timer: interrupts are %s; %lu loops a second without\n", mode(),
           alone[rounds / 2] * ROUNDS_PER_SECOND);
    for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        measure_rate(rates[i], VECTOR, "", rounds, alone[rounds / 2]);
        measure_rate(rates[i], VECTOR_LEAN, ".lean", rounds, alone[rounds / 2]);
    }
    measure_self_ipi("timer.self_ipi", VECTOR);
    measure_self_ipi("timer.self_ipi.lean", VECTOR_LEAN);
    return EXIT_SUCCESS;
}
