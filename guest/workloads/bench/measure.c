/* Rounds and the clock; see harness.h. */
#include "guest/workloads/bench/measure.h"

#include "guest/common/statistics.h"

enum {
    CALIBRATION_ROUNDS = 1000,
};

static struct {
    uint64_t clock; /* of bench_start() and bench_stop() */
    uint64_t call;  /* of these and the call of an empty run() */
} cost;

static uint64_t samples[BENCH_ROUNDS_MAX];

static void empty(void *ctx)
{
    (void)ctx;
}

/*
 * One round; returns its ticks, the clock's and the call's cost included unless run() measured. One
 * piece of code for the calibration and for the measurements, so that both include the same.
 */
__attribute__((noinline, noclone)) static uint64_t time_round(const struct bench_op *op, void *ctx)
{
    void (*const run)(void *) = op->run;
    uint64_t start, stop;

    if (op->before)
        op->before(ctx);
    start = bench_start();
    run(ctx);
    stop = bench_stop();
    if (op->after)
        op->after(ctx);
    return op->measured ? *op->measured : stop - start;
}

static uint64_t least_of(void (*run)(void *))
{
    const struct bench_op op = {.run = run};
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < CALIBRATION_ROUNDS; i++) {
        const uint64_t spent = time_round(&op, NULL);

        if (spent < least)
            least = spent;
    }
    return least;
}

void bench_calibrate(void)
{
    cost.clock = UINT64_MAX;
    for (int i = 0; i < CALIBRATION_ROUNDS; i++) {
        const uint64_t start = bench_start(), spent = bench_stop() - start;

        if (spent < cost.clock)
            cost.clock = spent;
    }
    cost.call = least_of(empty);
    count_calibrate();
}

uint64_t bench_clock_cost(void)
{
    return cost.clock;
}

/* Time all rounds into samples[], sorted. */
static void time_rounds(const struct bench_op *op, void *ctx, unsigned rounds)
{
    const uint64_t overhead = (op->measured ? 0 : cost.call) + op->baseline;

    for (unsigned i = 0; i < rounds; i++)
        samples[i] = less(time_round(op, ctx), overhead);
    sort_values(samples, rounds);
}

uint64_t bench_median(const struct bench_op *op, void *ctx)
{
    time_rounds(op, ctx, op->rounds);
    return (uint64_t)median_of(samples, op->rounds);
}

void bench_measure(const struct bench_op *op, void *ctx, unsigned rounds, struct figure *row)
{
    *row = (struct figure){
        .name = op->name, .mode = op->mode, .per = op->per, .unit = "tsc", .n = rounds};
    time_rounds(op, ctx, rounds);
    row->min = (double)samples[0] / op->ops;
    row->median = median_of(samples, rounds) / op->ops;
    row->p99 = (double)percentile_of(samples, rounds, 99) / op->ops;
    count_rounds(op, ctx, rounds, row);
}

uint32_t bench_random(uint32_t limit)
{
    static uint64_t state = 1;

    /* A linear congruential generator with Knuth's MMIX constants; the high bits are the good ones.
     */
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 32) * limit >> 32);
}

void bench_permute(uint32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t other = bench_random((uint32_t)i + 1);

        order[i] = order[other];
        order[other] = (uint32_t)i;
    }
}
