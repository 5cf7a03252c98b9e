/* What the hypervisor counts while an operation is run. */
#include <trapline/info.h>

#include "guest/common/statistics.h"
#include "guest/workloads/bench/measure.h"

enum {
    COUNTED_ROUNDS = 10,
};

static struct trapline_stats cost; /* what a call of stats() adds to the counters */

void count_calibrate(void)
{
    struct trapline_stats first, second;

    stats(&first);
    stats(&second);
    cost.exits = second.exits - first.exits;
    cost.flushes = second.flushes - first.flushes;
    cost.ipis = second.ipis - first.ipis;
}

/* The median: an exit of the time slice's end, which falls into any round, is no operation's. */
static double usual(uint64_t *counts, unsigned rounds, unsigned ops)
{
    sort_values(counts, rounds);
    return (double)percentile_of(counts, rounds, 50) / ops;
}

void count_rounds(const struct bench_op *op, void *ctx, unsigned rounds, struct figure *row)
{
    uint64_t exits[COUNTED_ROUNDS], flushes[COUNTED_ROUNDS], ipis[COUNTED_ROUNDS];

    if (rounds > COUNTED_ROUNDS)
        rounds = COUNTED_ROUNDS;
    for (unsigned i = 0; i < rounds; i++) {
        struct trapline_stats start, stop;

        if (op->before)
            op->before(ctx);
        stats(&start);
        op->run(ctx);
        stats(&stop);
        if (op->after)
            op->after(ctx);
        exits[i] = less(stop.exits - start.exits, cost.exits);
        flushes[i] = less(stop.flushes - start.flushes, cost.flushes);
        ipis[i] = less(stop.ipis - start.ipis, cost.ipis);
    }
    row->exits = usual(exits, rounds, op->ops);
    row->flushes = usual(flushes, rounds, op->ops);
    row->ipis = usual(ipis, rounds, op->ops);
}
