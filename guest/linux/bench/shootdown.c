/*
 * What the protection of pages costs where other threads of the process run on other CPUs, which
 * the kernel then interrupts.
 */
#include "guest/linux/bench/area.h"
#include "guest/linux/bench/bench.h"
#include "guest/linux/bench/machine.h"
#include "guest/linux/bench/protection.h"

enum {
    ROUNDS = 1000,
    LARGE_ROUNDS = 200,
    AREA_PAGES = 3 * PAGES_2M,
    LARGEST = 1024,
    CPUS_MAX = 4,
};

static void run_rows(struct range *range, unsigned cpus)
{
    static const size_t counts[] = {1, 10, 100, LARGEST};
    const struct bench_op raise = {.name = bench_name("raise.%u", cpus),
                                   .mode = range->by->mode,
                                   .per = "op",
                                   .rounds = ROUNDS,
                                   .ops = 1,
                                   .before = range_forbid,
                                   .run = range_allow};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const struct bench_op op = {.name = bench_name("shootdown.%u.%zu", cpus, counts[i]),
                                    .mode = range->by->mode,
                                    .per = "call",
                                    .rounds = counts[i] == LARGEST ? LARGE_ROUNDS : ROUNDS,
                                    .ops = 1,
                                    .run = range_forbid,
                                    .after = range_allow};

        range->pages = counts[i];
        bench_run(&op, range);
    }
    range->pages = 1;
    bench_run(&raise, range);
}

static void run_by(const struct protection *by)
{
    char *const area = area_open(AREA_PAGES);
    struct range range = {by, area + RANGE_BEFORE * PAGE, LARGEST};

    bench_expect(area && by->begin(area, AREA_PAGES), "shootdown", "there is memory");
    /* A page stays forbidden in the first and the last 2 MiB, as in the rows of PROTN. */
    bench_expect(by->forbid(area, 1) && by->forbid(area + (AREA_PAGES - 1) * PAGE, 1), "shootdown",
                 "pages can be forbidden");
    range_check("shootdown", &range, true);
    for (unsigned cpus = 1; cpus <= vcpu_count() && cpus <= CPUS_MAX; cpus++) {
        spinners_start(cpus - 1);
        run_rows(&range, cpus);
        spinners_stop();
    }
    area_close(area, AREA_PAGES);
}

/* Comes when the threads of others= have ended. */
void bench_shootdown(void)
{
    static const char *const families[] = {"shootdown", "raise"};

    if (vcpu_count() == 1) {
        for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
            if (bench_wanted(families[i]))
                printf("bench: %s left out: the program has one CPU\n", families[i]);
        return;
    }
    for (size_t i = 0; protections[i]; i++)
        run_by(protections[i]);
}
