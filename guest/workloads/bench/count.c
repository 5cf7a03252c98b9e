/* What the hypervisor counts while an operation is run. */
#include <trapline/info.h>

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

void count_rounds(const struct bench_op *op, void *ctx, unsigned rounds, struct figure *row)
{
    struct trapline_stats sum = {0};

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
        sum.exits += less(stop.exits - start.exits, cost.exits);
        sum.flushes += less(stop.flushes - start.flushes, cost.flushes);
        sum.ipis += less(stop.ipis - start.ipis, cost.ipis);
    }
    row->exits = (double)sum.exits / rounds / op->ops;
    row->flushes = (double)sum.flushes / rounds / op->ops;
    row->ipis = (double)sum.ipis / rounds / op->ops;
}
