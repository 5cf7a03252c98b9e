#include "guest/workloads/zpage/samples.h"

#include <trapline/portable.h>

enum {
    KEPT = 32768,
};

struct series {
    uint64_t *values;
    uint64_t count, sum;
};

static struct series all[SAMPLE_KINDS];

bool samples_open(void)
{
    for (unsigned i = 0; i < SAMPLE_KINDS; i++) {
        all[i] = (struct series){.values = malloc(KEPT * sizeof(uint64_t))};
        if (!all[i].values)
            return false;
    }
    return true;
}

void samples_close(void)
{
    for (unsigned i = 0; i < SAMPLE_KINDS; i++)
        free(all[i].values);
}

void samples_add(enum sample_kind kind, uint64_t duration)
{
    struct series *const series = &all[kind];

    if (series->count < KEPT)
        series->values[series->count] = duration;
    series->count++;
    series->sum += duration;
}

uint64_t samples_count(enum sample_kind kind)
{
    return all[kind].count;
}

uint64_t *samples_kept(enum sample_kind kind, size_t *count)
{
    *count = all[kind].count < KEPT ? all[kind].count : KEPT;
    return all[kind].values;
}

uint64_t samples_sum(enum sample_kind kind)
{
    return all[kind].sum;
}

void samples_count_anew(void)
{
    for (unsigned i = 0; i < SAMPLE_KINDS; i++)
        all[i].count = all[i].sum = 0;
}
