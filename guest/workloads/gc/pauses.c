#include "guest/workloads/gc/pauses.h"

#include <trapline/memory.h>
#include <trapline/time.h>

enum {
    PERCENT = 100,
};

bool gc_pauses_create(struct gc_pauses *pauses, size_t capacity)
{
    *pauses = (struct gc_pauses){.capacity = capacity};
    pauses->pause = calloc(capacity, sizeof(*pauses->pause));
    return pauses->pause;
}

void gc_pauses_destroy(struct gc_pauses *pauses)
{
    free(pauses->pause);
    pauses->pause = NULL;
}

uint64_t gc_pauses_add(struct gc_pauses *pauses, enum gc_pause_kind kind, uint64_t start)
{
    const uint64_t end = ticks();

    if (pauses->count < pauses->capacity)
        pauses->pause[pauses->count++] =
            (struct gc_pause){.start = start, .end = end, .kind = kind};
    else
        pauses->lost++;
    return end - start;
}

size_t gc_pauses_of(const struct gc_pauses *pauses, enum gc_pause_kind kind, uint64_t *ticks_of)
{
    size_t count = 0;

    for (size_t i = 0; i < pauses->count; i++)
        if (pauses->pause[i].kind == kind)
            ticks_of[count++] = pauses->pause[i].end - pauses->pause[i].start;
    return count;
}

uint64_t gc_pauses_longest(const struct gc_pauses *pauses)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < pauses->count; i++) {
        const uint64_t length = pauses->pause[i].end - pauses->pause[i].start;

        longest = length > longest ? length : longest;
    }
    return longest;
}

/* Ticks of pauses first to last - 1 that lie between from and to. */
static uint64_t paused_between(const struct gc_pause *pause, size_t first, size_t last,
                               uint64_t from, uint64_t to)
{
    uint64_t sum = 0;

    for (size_t i = first; i < last; i++) {
        const uint64_t start = pause[i].start > from ? pause[i].start : from;
        const uint64_t end = pause[i].end < to ? pause[i].end : to;

        sum += end > start ? end - start : 0;
    }
    return sum;
}

/*
 * The worst interval begins where a pause does or ends where one does: moving any other one until
 * that holds does not make it better. Both kinds are tried for each pause, with the range of pauses
 * that the interval meets going along.
 */
double gc_pauses_utilisation(const struct gc_pauses *pauses, uint64_t start, uint64_t end,
                             uint64_t window)
{
    const struct gc_pause *const pause = pauses->pause;
    const uint64_t length = window < end - start ? window : end - start;
    size_t before = 0, after = 0;
    uint64_t worst = 0;

    for (size_t i = 0; i < pauses->count; i++) {
        const uint64_t latest = end - length;
        const uint64_t from = pause[i].start < latest ? pause[i].start : latest;
        const uint64_t to = pause[i].end > start + length ? pause[i].end : start + length;
        uint64_t paused;

        while (after < pauses->count && pause[after].start < from + length)
            after++;
        paused = paused_between(pause, from < pause[i].start ? 0 : i, after, from, from + length);
        worst = paused > worst ? paused : worst;
        while (pause[before].end <= to - length && before < i)
            before++;
        paused = paused_between(pause, before, i + 1, to - length, to);
        worst = paused > worst ? paused : worst;
    }
    return length ? PERCENT - PERCENT * (double)worst / (double)length : PERCENT;
}
