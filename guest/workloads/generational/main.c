/*
 * A generational garbage collector: most objects die young, so that those that have not are looked
 * through seldom. What it needs to know is which old objects point to young ones.
 *
 * Appel and Li's section on generational collection: a store of such a pointer can be noticed by
 * the MMU instead of by instructions of the program. After a collection there is none; then
 *
 *   trap   PROTN of the old pages; TRAP notes a page's first write, and UNPROT lets it happen
 *   dirty  TRACK once; DIRTY at the next collection tells which old pages were written
 *   card   each store marks a byte for its 512 bytes: the usual barrier, and the baseline
 *
 * and the collector looks through what was written. Three programs are run with each: a hash table,
 * a tree and a queue, whose data is old and is changed at random; and a sweep over how many stores
 * there are to a page that is written at all.
 */
#include <trapline/portable.h>

#include "guest/common/figures.h"
#include "guest/common/options.h"
#include "guest/workloads/generational/program.h"
#include "guest/workloads/generational/sweep.h"

enum {
    NAME_LEN = 64,
    ALL_PROGRAMS = 0, /* as in program_names */
    SWEEP = 4,
};

const char *const barrier_names[] = {"trap", "dirty", "card", "all", NULL};
static const char *const program_names[] = {"all", "table", "tree", "queue", "sweep", NULL};
static const struct program *const programs[] = {NULL, &program_table, &program_tree,
                                                 &program_queue};
static const char *const mistakes[] = {"nothing", "barrier", NULL};

static struct {
    uint64_t size, operations, burst, garbage, nursery, old, seed;
    unsigned program, barrier, mistake;
    enum region_mechanism mechanism;
    bool verify, baseline;
} given = {.size = 16384,
           .operations = 10000,
           .burst = 8,
           .garbage = 8,
           .nursery = 256 * 1024,
           .old = 2 * 1024 * 1024,
           .seed = 1,
           .barrier = BARRIERS,
           .mechanism = REGION_DEFAULT};

static const struct option options[] = {
    {.name = "program",
     .kind = OPTION_CHOICE,
     .value = &given.program,
     .choices = program_names,
     .help = "what runs; the sweep finds the break-even in stores to a page"},
    {.name = "barrier",
     .kind = OPTION_CHOICE,
     .value = &given.barrier,
     .choices = barrier_names,
     .help = "how pointers from old to young objects are found"},
    {.name = "size",
     .kind = OPTION_NUMBER,
     .value = &given.size,
     .least = 1024,
     .most = 1 << 24,
     .help = "keys, nodes or entries, of all mutators together"},
    {.name = "operations",
     .kind = OPTION_NUMBER,
     .value = &given.operations,
     .least = 1,
     .most = 1ull << 32,
     .help = "of all mutators together"},
    {.name = "burst",
     .kind = OPTION_NUMBER,
     .value = &given.burst,
     .least = 1,
     .most = 256,
     .help = "neighbouring objects that an operation changes: more stores to a page"},
    {.name = "garbage",
     .kind = OPTION_NUMBER,
     .value = &given.garbage,
     .least = 0,
     .most = 256,
     .help = "objects that an operation makes and drops"},
    {.name = "nursery",
     .kind = OPTION_NUMBER,
     .value = &given.nursery,
     .least = 64 * 1024,
     .most = 1ull << 30,
     .help = "bytes, rounded down to pages"},
    {.name = "old",
     .kind = OPTION_NUMBER,
     .value = &given.old,
     .least = 128 * 1024,
     .most = 1ull << 32,
     .help = "bytes of the old generation, which takes them twice; rounded down to pages"},
    {.name = "seed",
     .kind = OPTION_NUMBER,
     .value = &given.seed,
     .least = 1,
     .most = UINT64_MAX,
     .help = "of the programs' random numbers"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .value = &given.verify,
     .help = "check the heap after each collection, and the data against plain arrays"},
    {.name = "baseline",
     .kind = OPTION_FLAG,
     .value = &given.baseline,
     .help = "the same as barrier=card"},
    {.name = "mechanism",
     .kind = OPTION_MECHANISM,
     .value = &given.mechanism,
     .help = "who protects and tracks the pages"},
    {.name = "break",
     .kind = OPTION_CHOICE,
     .value = &given.mistake,
     .choices = mistakes,
     .help = "barrier: some of what was written is not remembered"},
};

static struct heap_options heap_options(enum barrier_kind barrier)
{
    const size_t mask = ~(size_t)(PAGE - 1);

    return (struct heap_options){.mechanism = given.mechanism,
                                 .barrier = barrier,
                                 .nursery = given.nursery & mask,
                                 .old = given.old & mask,
                                 .mutators = vcpu_count(),
                                 .verify = given.verify,
                                 .forgets = given.mistake != 0};
}

static const char *mode(enum barrier_kind barrier)
{
    return barrier == BARRIER_CARD ? "baseline" : region_mechanism_name(given.mechanism);
}

/* What a mutator's thread does: a part of the program. */
struct part {
    void (*function)(struct work *work);
    struct work *work;
};

static void run_part(void *argument)
{
    struct part *const part = argument;

    part->function(part->work);
    heap_done(part->work->mutator);
}

/* All mutators do it, each on its vCPU; the ticks that it takes. */
static uint64_t run_all(struct heap *heap, void (*function)(struct work *work), struct work *works)
{
    struct part parts[MUTATORS_MAX];
    const uint64_t start = ticks();

    heap->over = false;
    atomic_store(&heap->done, 0);
    for (unsigned i = 0; i < heap->options.mutators; i++)
        parts[i] = (struct part){function, &works[i]};
    for (unsigned i = 1; i < heap->options.mutators; i++) {
        if (thread_start(i, run_part, &parts[i]) != 0) {
            printf("generational: no thread on vCPU %u\n", i);
            exit(EXIT_FAILURE);
        }
    }
    run_part(&parts[0]);
    for (unsigned i = 1; i < heap->options.mutators; i++)
        thread_join(i);
    return ticks() - start;
}

static void print(const char *program, enum barrier_kind barrier, const char *what,
                  const char *unit, const char *per, double value)
{
    char name[NAME_LEN];

    snprintf(name, sizeof(name), "generational.%s.%s.%s", program, barrier_names[barrier], what);
    figure_value(name, mode(barrier), unit, per, value);
}

static void report(struct heap *heap, const struct program *program, uint64_t total)
{
    const enum barrier_kind barrier = heap->options.barrier;
    struct heap_counts *const counts = &heap->counts;
    const double minors = (double)(counts->minors ? counts->minors : 1);
    const double pages = (double)counts->scanned / PAGE;
    uint64_t stores = 0;
    char name[NAME_LEN];

    for (unsigned i = 0; i < heap->options.mutators; i++)
        stores += heap->mutators[i].stores;
    print(program->name, barrier, "total", "tsc", "run", (double)total);
    if (counts->minors) {
        snprintf(name, sizeof(name), "generational.%s.%s.minor", program->name,
                 barrier_names[barrier]);
        figure_series(name, mode(barrier), "tsc", "collection", counts->minor_ticks,
                      counts->minors < MINORS_KEPT ? counts->minors : MINORS_KEPT);
    }
    print(program->name, barrier, "scanned", "pages", "collection", pages / minors);
    print(program->name, barrier, "traps", "traps", "run", (double)counts->traps);
    print(program->name, barrier, "stores", "stores", "run", (double)stores);
    printf("generational: %s, %s: %lu ticks with %lu minor and %lu major collections; %lu stores, "
           "%lu traps, %.1f pages scanned and %.1f promoted a minor one\n",
           program->name, barrier_names[barrier], total, counts->minors, counts->majors, stores,
           counts->traps, pages / minors, (double)counts->promoted / PAGE / minors);
}

/* Start counting: the data has been made, and is old. */
static void restart(struct heap *heap)
{
    uint64_t *const minor_ticks = heap->counts.minor_ticks;

    heap_collect(heap);
    heap->counts = (struct heap_counts){.minor_ticks = minor_ticks};
    for (unsigned i = 0; i < heap->options.mutators; i++)
        heap->mutators[i].stores = 0;
}

static bool make_works(struct heap *heap, struct work *works)
{
    const unsigned count = heap->options.mutators;

    for (unsigned i = 0; i < count; i++) {
        works[i] = (struct work){.mutator = &heap->mutators[i],
                                 .index = i,
                                 .count = count,
                                 .size = given.size / count,
                                 .operations = given.operations / count,
                                 .burst = given.burst,
                                 .garbage = given.garbage,
                                 .random = given.seed + i,
                                 .model = calloc(given.size / count, sizeof(uint64_t))};
        if (!works[i].model)
            return false;
    }
    return true;
}

static bool run_program(const struct program *program, enum barrier_kind barrier)
{
    const struct heap_options how = heap_options(barrier);
    const struct program_code *const code = program_code(program, barrier);
    struct work works[MUTATORS_MAX] = {0};
    struct heap *heap;
    const int error = heap_create(&heap, &how);
    bool good;

    if (error) {
        printf("generational: no heap: %s\n", trapline_error_name(error));
        return false;
    }
    good = make_works(heap, works) && (!program->setup || program->setup(heap, works));
    if (!good)
        printf("generational: no memory for the %s\n", program->name);
    if (good) {
        run_all(heap, code->fill, works);
        restart(heap);
        report(heap, program, run_all(heap, code->run, works));
        for (unsigned i = 0; i < how.mutators && given.verify; i++)
            good &= program->check(&works[i]);
        if (good && given.verify)
            printf("generational: verified: the %s, and %lu objects after collections\n",
                   program->name, heap->counts.checked);
    }
    for (unsigned i = 0; i < how.mutators; i++)
        free(works[i].model);
    heap_destroy(heap);
    return good;
}

static bool wants(enum barrier_kind barrier)
{
    return given.barrier == BARRIERS || given.barrier == barrier;
}

static bool run_sweep(void)
{
    struct sweep sweeps[BARRIERS];

    for (unsigned barrier = 0; barrier < BARRIERS; barrier++) {
        const struct heap_options how = heap_options((enum barrier_kind)barrier);
        int error;

        if (!wants((enum barrier_kind)barrier))
            continue;
        error = sweep_run(&how, mode(how.barrier), &sweeps[barrier]);
        if (error) {
            printf("generational: no heap for the sweep: %s\n", trapline_error_name(error));
            return false;
        }
    }
    for (unsigned barrier = 0; barrier < BARRIER_CARD && given.barrier == BARRIERS; barrier++)
        sweep_compare(&sweeps[barrier], (enum barrier_kind)barrier, &sweeps[BARRIER_CARD],
                      region_mechanism_name(given.mechanism));
    return true;
}

int main(int argc, char **argv)
{
    bool good = true;

    if (!options_read("generational", argc, argv, options, sizeof(options) / sizeof(options[0])))
        return EXIT_FAILURE;
    if (given.baseline)
        given.barrier = BARRIER_CARD;
    for (unsigned program = 1; program < SWEEP && good; program++)
        for (unsigned barrier = 0; barrier < BARRIERS && good; barrier++)
            if ((given.program == ALL_PROGRAMS || given.program == program) &&
                wants((enum barrier_kind)barrier))
                good = run_program(programs[program], (enum barrier_kind)barrier);
    if (good && (given.program == ALL_PROGRAMS || given.program == SWEEP))
        good = run_sweep();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
