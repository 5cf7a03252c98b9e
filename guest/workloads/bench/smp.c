/*
 * What the primitives cost where other vCPUs run in the guest, and what vCPUs do to one another.
 * The rows exist in a guest with several vCPUs, and mean most where each has a CPU for itself.
 */
/* Handlers and the calls that they inline keep to the general registers. */
#pragma GCC target("general-regs-only")

#include "guest/workloads/bench/bench.h"
#include "guest/workloads/bench/others.h"

enum {
    ROUNDS = 1000,
    LARGE_ROUNDS = 200,
    REGION_PAGES = 3 * PAGES_2M,
    LARGEST = 1024,
    VECTOR = 0x50,
};

static char *region;
static atomic_uint rung, woken;

static void lower(void *ctx)
{
    const size_t pages = *(const size_t *)ctx;

    if (pages == 1)
        prot1(region + PAGE, TRAPLINE_NONE);
    else
        protn_range(region + PAGE, pages, TRAPLINE_NONE);
}

static void raise(void *ctx)
{
    unprot_range(region + PAGE, *(const size_t *)ctx);
}

/* PROT1 of one page and PROTN of more, and UNPROT, with vcpus running in all. */
static void run_shootdown(unsigned vcpus)
{
    static const size_t counts[] = {1, 10, 100, LARGEST};
    size_t one = 1;

    others_start(vcpus - 1, others_spin);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        size_t pages = counts[i];
        const struct bench_op op = {.name = bench_name("shootdown.%u.%zu", vcpus, pages),
                                    .per = "call",
                                    .rounds = pages == LARGEST ? LARGE_ROUNDS : ROUNDS,
                                    .ops = 1,
                                    .run = lower,
                                    .after = raise};

        bench_run(&op, &pages);
    }
    const struct bench_op op = {.name = bench_name("raise.%u", vcpus),
                                .per = "op",
                                .rounds = ROUNDS,
                                .ops = 1,
                                .before = lower,
                                .run = raise};
    bench_run(&op, &one);
    others_stop(vcpus - 1);
}

/* Doorbell: from the call to the handler's first store that the caller sees. */
static void on_doorbell(unsigned vector)
{
    (void)vector;
    atomic_fetch_add_explicit(&rung, 1, memory_order_relaxed);
}

static void spin_with_interrupts(void *argument)
{
    interrupts_on();
    others_spin(argument);
    interrupts_off();
}

static void ring(void *ctx)
{
    const unsigned before = atomic_load(&rung);

    (void)ctx;
    thread_doorbell(1, VECTOR);
    while (atomic_load(&rung) == before)
        __builtin_ia32_pause();
}

/* The other vCPU parks; woken counts how often it has run since. */
static void sleep_again(void *argument)
{
    (void)argument;
    others_arrive();
    while (others_go_on()) {
        thread_park(0);
        atomic_fetch_add(&woken, 1);
    }
}

static void wake(void *ctx)
{
    const unsigned before = atomic_load(&woken);

    (void)ctx;
    thread_unpark(1);
    while (atomic_load(&woken) == before)
        __builtin_ia32_pause();
}

static void settle(void *ctx)
{
    (void)ctx;
    thread_park(OTHERS_SETTLE_TICKS);
}

/* Each wakes the other and parks. */
static void answer(void *argument)
{
    (void)argument;
    others_arrive();
    for (;;) {
        thread_park(0);
        if (!others_go_on())
            break;
        thread_unpark(0);
    }
}

static void ask(void *ctx)
{
    (void)ctx;
    thread_unpark(1);
    thread_park(0);
}

static void take_token(void *ctx)
{
    (void)ctx;
    hypercall2(TRAPLINE_HC_UNPARK, 0, 0);
    hypercall2(TRAPLINE_HC_PARK, 0, 0);
}

static void run_wakeups(void)
{
    static const struct bench_op doorbell = {
        .name = "doorbell", .per = "op", .rounds = ROUNDS, .ops = 1, .run = ring};
    static const struct bench_op unpark = {.name = "unpark",
                                           .per = "op",
                                           .rounds = LARGE_ROUNDS,
                                           .ops = 1,
                                           .before = settle,
                                           .run = wake};
    static const struct bench_op pair = {
        .name = "park.pair", .per = "op", .rounds = ROUNDS, .ops = 1, .run = ask};
    static const struct bench_op token = {
        .name = "park.token", .per = "op", .rounds = ROUNDS, .ops = 1, .run = take_token};

    bench_run(&token, NULL);
    if (bench_wanted(doorbell.name)) {
        interrupt_handle_with(VECTOR, on_doorbell, INTERRUPT_GENERAL_REGS);
        others_start(1, spin_with_interrupts);
        bench_run(&doorbell, NULL);
        others_stop(1);
    }
    if (bench_wanted(unpark.name)) {
        others_start(1, sleep_again);
        bench_run(&unpark, NULL);
        others_stop(1);
    }
    if (bench_wanted(pair.name)) {
        others_start(1, answer);
        bench_run(&pair, NULL);
        others_stop(1);
    }
}

void bench_smp(void)
{
    if (vcpu_count() == 1)
        return;
    if (bench_wanted("shootdown") || bench_wanted("raise")) {
        region = pages_alloc(REGION_PAGES, PAGES_2M);
        bench_expect(region, "shootdown", "there is memory");
        /* A page stays protected in the first and the last 2 MiB, as in the rows of PROTN. */
        prot1(region, TRAPLINE_NONE);
        prot1(region + (REGION_PAGES - 1) * PAGE, TRAPLINE_NONE);
        for (unsigned vcpus = 1; vcpus <= vcpu_count(); vcpus++)
            run_shootdown(vcpus);
        unprot_range(region, REGION_PAGES);
        pages_free(region, REGION_PAGES);
    }
    run_wakeups();
}
