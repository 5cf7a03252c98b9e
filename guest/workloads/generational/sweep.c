#include "guest/workloads/generational/sweep.h"

#include "guest/common/figures.h"
#include "guest/common/random.h"
#include "guest/common/statistics.h"

enum {
    PAGES = 256,  /* old pages, each of them one object */
    WRITTEN = 64, /* of them, between two collections */
    STRIDE = 37,  /* from one that is written to the next: odd, so all are different */
    ROUNDS = 8,   /* collections for a step */
    PAGE_FIELDS = (PAGE - (int)sizeof(struct object)) / (int)sizeof(struct object *),
    WHAT_LEN = 32,
    NAME_LEN = 96,
    SEED = 1,
};

/* The objects that fill a page each, in an object that fills whole pages as well. */
static bool make_pages(struct heap *heap)
{
    struct object *const directory = heap_new_old(heap, PAGE_FIELDS, 0);

    heap->mutators[0].roots[0] = directory;
    for (uint64_t i = 0; directory && i < PAGES; i++) {
        directory->field[i] = heap_new_old(heap, PAGE_FIELDS, i + 1);
        if (!directory->field[i])
            return false;
    }
    return directory != NULL;
}

static inline __attribute__((always_inline)) void
write_pages(struct mutator *mutator, uint64_t round, uint64_t stores, uint64_t *random, bool marks)
{
    struct object *const directory = mutator->roots[0];

    for (uint64_t i = 0; i < WRITTEN; i++) {
        struct object *const page = directory->field[(round * WRITTEN + i) * STRIDE % PAGES];
        struct object *const young = heap_new(mutator, 0, round);

        for (uint64_t j = 0; j < stores; j++)
            heap_store(mutator, page, random_below(random, PAGE_FIELDS), young, marks);
    }
}

static void write_pages_plain(struct mutator *mutator, uint64_t round, uint64_t stores,
                              uint64_t *random)
{
    write_pages(mutator, round, stores, random, false);
}

static void write_pages_marking(struct mutator *mutator, uint64_t round, uint64_t stores,
                                uint64_t *random)
{
    write_pages(mutator, round, stores, random, true);
}

/* One store to each page; the ticks for one. */
static inline __attribute__((always_inline)) uint64_t store_each(struct mutator *mutator,
                                                                 uint64_t round, bool marks)
{
    struct object *const directory = mutator->roots[0];
    const uint64_t start = ticks();

    for (uint64_t i = 0; i < PAGES; i++)
        heap_store(mutator, directory->field[i], round, NULL, marks);
    return (ticks() - start) / PAGES;
}

static uint64_t store_each_plain(struct mutator *mutator, uint64_t round)
{
    return store_each(mutator, round, false);
}

static uint64_t store_each_marking(struct mutator *mutator, uint64_t round)
{
    return store_each(mutator, round, true);
}

static void measure_stores(struct heap *heap, struct sweep *result)
{
    const bool marks = heap->options.barrier == BARRIER_CARD;
    uint64_t (*const stores)(struct mutator *, uint64_t) =
        marks ? store_each_marking : store_each_plain;
    uint64_t first[ROUNDS], later[ROUNDS];

    for (uint64_t round = 0; round < ROUNDS; round++) {
        first[round] = stores(&heap->mutators[0], round);
        later[round] = stores(&heap->mutators[0], round);
        heap_collect(heap);
    }
    sort_values(first, ROUNDS);
    sort_values(later, ROUNDS);
    result->first = (uint64_t)median_of(first, ROUNDS);
    result->store = (uint64_t)median_of(later, ROUNDS);
}

/* Ticks for a page with so many stores, the median of the rounds. */
static double measure_step(struct heap *heap, uint64_t stores)
{
    uint64_t values[ROUNDS], random = SEED;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        const uint64_t start = ticks();

        if (heap->options.barrier == BARRIER_CARD)
            write_pages_marking(&heap->mutators[0], round, stores, &random);
        else
            write_pages_plain(&heap->mutators[0], round, stores, &random);
        heap_collect(heap);
        values[round] = ticks() - start;
    }
    sort_values(values, ROUNDS);
    return median_of(values, ROUNDS) / WRITTEN;
}

static void print(const char *what, enum barrier_kind barrier, const char *mode, const char *unit,
                  const char *per, double value)
{
    char name[NAME_LEN];

    snprintf(name, sizeof(name), "generational.%s.%s", what, barrier_names[barrier]);
    figure_value(name, mode, unit, per, value);
}

int sweep_run(const struct heap_options *options, const char *mode, struct sweep *result)
{
    struct heap_options how = *options;
    struct heap *heap;
    int error;

    how.mutators = 1;
    how.old = (size_t)(4 * PAGES) * PAGE;
    how.verify = false; /* it would be measured, too */
    error = heap_create(&heap, &how);
    if (error)
        return error;
    if (!make_pages(heap)) {
        heap_destroy(heap);
        return -TRAPLINE_ENOMEM;
    }
    heap_collect(heap);
    measure_stores(heap, result);
    print("store.first", how.barrier, mode, "tsc", "store", (double)result->first);
    print("store.later", how.barrier, mode, "tsc", "store", (double)result->store);
    for (unsigned step = 0; step < SWEEP_STEPS; step++) {
        char name[WHAT_LEN];

        result->page[step] = measure_step(heap, 1ull << step);
        snprintf(name, sizeof(name), "sweep.%u", 1u << step);
        print(name, how.barrier, mode, "tsc", "page", result->page[step]);
    }
    heap_destroy(heap);
    return 0;
}

void sweep_compare(const struct sweep *sweep, enum barrier_kind barrier, const struct sweep *cards,
                   const char *mode)
{
    double before = 0;

    for (unsigned step = 0; step < SWEEP_STEPS; step++) {
        const double more = sweep->page[step] - cards->page[step];
        const double stores = (double)(1u << step);

        if (more > 0) {
            before = more;
            continue;
        }
        /* Between this step and the one before the difference is taken to be a straight line. */
        const double at = step == 0 ? 1 : stores / 2 + stores / 2 * before / (before - more);

        print("breakeven", barrier, mode, "stores", "page", at);
        printf("generational: %s is cheaper than cards from %.1f stores to a page on\n",
               barrier_names[barrier], at);
        return;
    }
    printf("generational: up to %u stores to a page, cards are cheaper than %s\n",
           1u << (SWEEP_STEPS - 1), barrier_names[barrier]);
}
