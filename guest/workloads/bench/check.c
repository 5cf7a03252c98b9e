/* Checks of what the timed operations rely on: a primitive that does nothing reports no figures. */
#include "guest/workloads/bench/bench.h"

static volatile unsigned faults;
static struct trapline_fault seen;

static void skip(struct trapline_fault *fault)
{
    faults++;
    seen = *fault;
    fault->rip = (uint64_t)(fault->rip == (uint64_t)bench_touch ? bench_touch_end : bench_peek_end);
}

static bool traps(void (*access)(void *), void *address, uint64_t kind)
{
    faults = 0;
    trap(skip, 0);
    access(address);
    trap(NULL, 0);
    return faults == 1 && (seen.kind & kind) && seen.address == (uint64_t)address &&
           seen.physical == (uint64_t)address && seen.rip == (uint64_t)access;
}

bool bench_write_traps(void *address)
{
    return traps(bench_touch, address, TRAPLINE_WRITE);
}

bool bench_read_traps(void *address)
{
    return traps(bench_peek, address, TRAPLINE_READ);
}
