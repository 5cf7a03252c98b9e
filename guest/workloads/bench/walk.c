#include "guest/workloads/bench/walk.h"

#include "guest/workloads/bench/harness.h"

char *walk[WALK_PAGES];

void walk_over(char *first)
{
    uint32_t order[WALK_PAGES];

    bench_permute(order, WALK_PAGES);
    for (int i = 0; i < WALK_PAGES; i++)
        walk[i] = first + (size_t)order[i] * PAGE;
}
