#include "guest/workloads/gc/report.h"

#include "guest/common/figures.h"
#include "guest/workloads/gc/checker.h"

enum {
    WINDOWS = 3,
};

static const struct {
    const char *name;
    unsigned per_second;
} windows[WINDOWS] = {{"gc.mmu.1ms", 1000}, {"gc.mmu.10ms", 100}, {"gc.mmu.100ms", 10}};

static const char *mode(const struct gc_heap *heap)
{
    return gc_protects(heap) ? region_mechanism_name(heap->options.mechanism) : "baseline";
}

/* All pauses of a kind of all mutators, as a series, and how many there were. */
static uint64_t show_pauses(const struct gc_heap *heap, const char *name, enum gc_pause_kind kind,
                            uint64_t *values)
{
    size_t count = 0;

    for (unsigned i = 0; i < heap->options.mutators; i++)
        count += gc_pauses_of(&heap->mutator[i].pauses, kind, values + count);
    if (count)
        figure_series(name, mode(heap), "tsc", "pause", values, count);
    return count;
}

static void show_flips(const struct gc_heap *heap, uint64_t *values)
{
    const size_t count = gc_pauses_of(&heap->flips, GC_PAUSE_STOP, values);

    if (count)
        figure_series("gc.flip", mode(heap), "tsc", "collection", values, count);
}

static double utilisation(const struct gc_heap *heap, const struct span *spans, uint64_t window)
{
    double least = 100;

    for (unsigned i = 0; i < heap->options.mutators; i++) {
        const double one =
            gc_pauses_utilisation(&heap->mutator[i].pauses, spans[i].start, spans[i].end, window);

        least = one < least ? one : least;
    }
    return least;
}

/* What the threads counted. */
struct sums {
    uint64_t allocated, stalls, longest, copied, scanned[GC_WHO], lost, pauses;
};

static struct sums add_up(const struct gc_heap *heap)
{
    struct sums sums = {.lost = heap->flips.lost, .pauses = heap->flips.count};

    for (unsigned i = 0; i < heap->options.mutators; i++) {
        const struct gc_mutator *const mutator = &heap->mutator[i];
        const uint64_t longest = gc_pauses_longest(&mutator->pauses);

        sums.allocated += mutator->allocated;
        sums.stalls += mutator->stalls;
        sums.lost += mutator->pauses.lost;
        sums.pauses += mutator->pauses.count;
        sums.longest = longest > sums.longest ? longest : sums.longest;
    }
    for (unsigned i = 0; i < heap->options.mutators + heap->options.collectors; i++) {
        sums.copied += heap->worker[i].copied;
        for (unsigned who = 0; who < GC_WHO; who++)
            sums.scanned[who] += heap->worker[i].scanned[who];
    }
    return sums;
}

static void show_counts(const struct gc_heap *heap, const struct sums *sums, uint64_t traps)
{
    const struct gc_checked checked = gc_checker_found(heap);

    figure_value("gc.collections", mode(heap), "collections", "run", (double)heap->cycles);
    if (heap->cycles)
        figure_value("gc.cycle", mode(heap), "tsc", "collection",
                     (double)heap->cycle_ticks / (double)heap->cycles);
    figure_value("gc.traps", mode(heap), "traps", "run", (double)traps);
    figure_value("gc.pages.handler", mode(heap), "pages", "run",
                 (double)sums->scanned[GC_BY_HANDLER]);
    figure_value("gc.pages.collector", mode(heap), "pages", "run",
                 (double)sums->scanned[GC_BY_COLLECTOR]);
    figure_value("gc.pages.allocation", mode(heap), "pages", "run",
                 (double)sums->scanned[GC_BY_ALLOCATION]);
    figure_value("gc.copied", mode(heap), "bytes", "run", (double)sums->copied);
    figure_value("gc.allocated", mode(heap), "bytes", "run", (double)sums->allocated);
    figure_value("gc.stalls", mode(heap), "stalls", "run", (double)sums->stalls);
    if (sums->lost)
        printf("gc: the logs had no room for %lu pauses: figures of pauses and the utilisation "
               "are without them\n",
               (unsigned long)sums->lost);
    if (checked.checks)
        printf("gc: verify: %lu checks of the whole heap; the last one found %lu objects of %lu "
               "bytes\n",
               (unsigned long)checked.checks, (unsigned long)checked.objects,
               (unsigned long)checked.bytes);
}

bool report(const struct gc_heap *heap, const struct span *spans, struct span all)
{
    const struct sums sums = add_up(heap);
    uint64_t *const values = calloc(sums.pauses + 1, sizeof(*values));
    double least[WINDOWS];
    uint64_t traps;

    if (!values)
        return false;
    figure_value("gc.total", mode(heap), "tsc", "run", (double)(all.end - all.start));
    show_flips(heap, values);
    show_pauses(heap, "gc.stop", GC_PAUSE_STOP, values);
    traps = show_pauses(heap, "gc.trap", GC_PAUSE_TRAP, values);
    show_pauses(heap, "gc.pace", GC_PAUSE_PACE, values);
    show_pauses(heap, "gc.stall", GC_PAUSE_STALL, values);
    figure_value("gc.longest", mode(heap), "tsc", "run", (double)sums.longest);
    for (unsigned i = 0; i < WINDOWS; i++) {
        least[i] = utilisation(heap, spans, tsc_hz() / windows[i].per_second);
        figure_value(windows[i].name, mode(heap), "percent", "run", least[i]);
    }
    show_counts(heap, &sums, traps);
    printf("gc: %s: %lu collections in %lu us, the longest stop of a mutator %lu us; utilisation "
           "at least %lu %% of 1 ms, %lu %% of 10 ms, %lu %% of 100 ms\n",
           mode(heap), (unsigned long)heap->cycles,
           (unsigned long)(ticks_to_ns(all.end - all.start) / 1000),
           (unsigned long)(ticks_to_ns(sums.longest) / 1000), (unsigned long)least[0],
           (unsigned long)least[1], (unsigned long)least[2]);
    free(values);
    return true;
}
