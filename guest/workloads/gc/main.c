/*
 * The concurrent copying collector of Appel, Ellis and Li ("Real-time Concurrent Collection on
 * Stock Multiprocessors", PLDI 1988): Baker's algorithm, with the protection of pages as its read
 * barrier.
 *
 *   TRAP    a mutator touches a page of the to-space that was not scanned yet
 *   PROTN   the whole space, once a collection, before it becomes the to-space
 *   UNPROT  each page when it was scanned, and pages for new objects
 *   MAP2    all of the heap a second time, where handlers and collectors work on forbidden pages
 *
 * A mutator only ever holds pointers to the to-space. At the flip its roots are forwarded; whatever
 * else it loads comes from pages that are open, so were scanned and hold no other pointers. New
 * objects are made in open pages and are not scanned. Collectors, on vCPUs of their own, scan what
 * nobody has touched. The mutators scan some pages for each new page where there is no collector,
 * or when it lags behind.
 *
 * copy.c says why no object is copied twice, scan.c why no page is scanned twice, pool.c why the
 * to-space does not overflow. "baseline" is the same collector while all mutators stand.
 */
#include <trapline/portable.h>

#include "guest/common/options.h"
#include "guest/workloads/gc/program.h"
#include "guest/workloads/gc/report.h"

enum {
    THREADS_MOST = 32,
    BY_VCPUS = 1 << 10, /* as many as there are vCPUs for */
};

static const struct program *const programs[] = {&gcbench, &list, &table};
static const char *const program_names[] = {"gcbench", "list", "table", NULL};
static const char *const mistakes[] = {"nothing", "barrier", "crossing", NULL};

static struct {
    uint64_t heap, size, rounds, mutators, collectors, trigger, chaos, seed;
    unsigned program, mistake;
    bool verify, baseline, fence;
    enum region_mechanism mechanism;
} given = {
    .heap = 8 << 20,
    .mutators = BY_VCPUS,
    .collectors = BY_VCPUS,
    .trigger = 50,
    .seed = 1,
    .mechanism = REGION_DEFAULT,
};

static const struct option options[] = {
    {.name = "program",
     .kind = OPTION_CHOICE,
     .value = &given.program,
     .choices = program_names,
     .help = "what makes the garbage"},
    {.name = "size",
     .kind = OPTION_NUMBER,
     .value = &given.size,
     .least = 1,
     .most = 1 << 24,
     .help = "depth of gcbench's trees, nodes of the list, keys of the table"},
    {.name = "rounds",
     .kind = OPTION_NUMBER,
     .value = &given.rounds,
     .least = 1,
     .most = 1 << 30,
     .help = "of gcbench and the list; operations on the table"},
    {.name = "heap",
     .kind = OPTION_NUMBER,
     .value = &given.heap,
     .least = (uint64_t)2 * GC_SPACE_LEAST * TRAPLINE_PAGE_SIZE,
     .most = (uint64_t)2 * GC_SPACE_MOST * TRAPLINE_PAGE_SIZE,
     .help = "bytes of both semispaces"},
    {.name = "trigger",
     .kind = OPTION_NUMBER,
     .value = &given.trigger,
     .least = 1,
     .most = 100,
     .help = "percent of a semispace in use at which a collection begins"},
    {.name = "mutators",
     .kind = OPTION_NUMBER,
     .value = &given.mutators,
     .least = 1,
     .most = THREADS_MOST,
     .help = "threads that run the program"},
    {.name = "collectors",
     .kind = OPTION_NUMBER,
     .value = &given.collectors,
     .least = 0,
     .most = THREADS_MOST - 1,
     .help = "threads that collect; 0: the mutators do it, bit by bit"},
    {.name = "seed",
     .kind = OPTION_NUMBER,
     .value = &given.seed,
     .least = 1,
     .most = UINT32_MAX,
     .help = "of the programs' random numbers"},
    {.name = "chaos",
     .kind = OPTION_NUMBER,
     .value = &given.chaos,
     .least = 1,
     .most = UINT32_MAX,
     .help = "wait at random between steps, with this seed"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .value = &given.verify,
     .help = "check the heap after each collection, and the program's results"},
    {.name = "fence",
     .kind = OPTION_FLAG,
     .value = &given.fence,
     .help = "forbid the from-space during a collection, so that a stale pointer is met at once"},
    {.name = "baseline",
     .kind = OPTION_FLAG,
     .value = &given.baseline,
     .help = "collect while all mutators stand; nothing is protected"},
    {.name = "mechanism",
     .kind = OPTION_MECHANISM,
     .value = &given.mechanism,
     .help = "who protects the pages"},
    {.name = "break",
     .kind = OPTION_CHOICE,
     .value = &given.mistake,
     .choices = mistakes,
     .help = "pages to open unscanned: those of a touch, or those that begin inside an object"},
};

/* A mutator's thread. */
struct job {
    struct gc_heap *heap;
    const struct program *program;
    const struct program_options *options;
    struct span span;
    bool good;
};

static void run_job(void *argument)
{
    struct job *const job = argument;
    struct gc_mutator *const mutator = gc_attach(job->heap);

    job->span.start = ticks();
    job->good = job->program->run(mutator, job->options);
    job->span.end = ticks();
    gc_detach(mutator);
}

/* On all mutators. */
static bool run_all(struct gc_heap *heap, const struct program *program,
                    const struct program_options *how, struct span *spans)
{
    struct job jobs[THREADS_MOST];
    bool good = true;

    for (unsigned i = 0; i < how->mutators; i++)
        jobs[i] = (struct job){.heap = heap, .program = program, .options = how};
    for (unsigned i = 1; i < how->mutators; i++)
        gc_must(thread_start(i, run_job, &jobs[i]), "starting a mutator");
    run_job(&jobs[0]);
    for (unsigned i = 1; i < how->mutators; i++)
        gc_must(thread_join(i), "waiting for a mutator");
    for (unsigned i = 0; i < how->mutators; i++) {
        good = good && jobs[i].good;
        spans[i] = jobs[i].span;
    }
    return good;
}

/* Let the program look at what it left. */
static bool finish(struct gc_heap *heap, const struct program *program,
                   const struct program_options *how)
{
    struct gc_mutator *const mutator = gc_attach(heap);
    bool good = true;

    if (program->finish)
        good = program->finish(mutator, how);
    gc_detach(mutator);
    return good;
}

static bool run(struct gc_heap *heap, const struct program *program,
                const struct program_options *how)
{
    struct span spans[THREADS_MOST], all;
    bool good = true;

    if (program->prepare && !program->prepare(heap, how)) {
        printf("gc: no memory for the program\n");
        return false;
    }
    all.start = ticks();
    good = run_all(heap, program, how, spans);
    all.end = ticks();
    good = good && finish(heap, program, how);
    return good && report(heap, spans, all);
}

/* Threads: what was given, or as many mutators as fit beside one collector. */
static bool choose_threads(unsigned *mutators, unsigned *collectors)
{
    const uint64_t vcpus = vcpu_count();

    if (given.collectors == BY_VCPUS)
        given.collectors = vcpus > 1 && given.mutators != vcpus;
    if (given.mutators == BY_VCPUS)
        given.mutators = vcpus > given.collectors ? vcpus - given.collectors : 1;
    if (given.mutators + given.collectors > vcpus) {
        printf("gc: %lu mutators and %lu collectors need as many vCPUs; there are %lu\n",
               (unsigned long)given.mutators, (unsigned long)given.collectors,
               (unsigned long)vcpus);
        return false;
    }
    *mutators = (unsigned)given.mutators;
    *collectors = (unsigned)given.collectors;
    return true;
}

/* The heap that the options ask for, for a program. */
static int make_heap(struct gc_heap **heap, const struct program *program, unsigned mutators,
                     unsigned collectors)
{
    const struct gc_options how = {
        .space_pages = given.heap / 2 / TRAPLINE_PAGE_SIZE,
        .mechanism = given.mechanism,
        .mode = given.baseline ? GC_STOP : GC_CONCURRENT,
        .mistake = (enum gc_mistake)given.mistake,
        .mutators = mutators,
        .collectors = collectors,
        .trigger = (unsigned)given.trigger,
        .verify = given.verify,
        .fence = given.fence,
        .chaos = given.chaos,
        .types = program->types,
        .type_count = program->type_count,
    };
    const int result = gc_create(heap, &how);

    if (result != 0)
        printf("gc: the heap cannot be made: %s\n", trapline_error_name(result));
    return result;
}

int main(int argc, char **argv)
{
    const struct program *program;
    struct program_options how;
    unsigned mutators, collectors;
    struct gc_heap *heap;
    bool good;

    if (!options_read("gc", argc, argv, options, sizeof(options) / sizeof(options[0])) ||
        !choose_threads(&mutators, &collectors))
        return EXIT_FAILURE;
    program = programs[given.program];
    how = (struct program_options){.size = given.size ? given.size : program->size,
                                   .rounds = given.rounds ? given.rounds : program->rounds,
                                   .seed = given.seed,
                                   .mutators = mutators,
                                   .verify = given.verify};
    if (how.size > program->most || how.size < mutators) {
        printf("gc: size=%lu is wrong: that of %s is %u to %lu\n", (unsigned long)how.size,
               program->name, mutators, (unsigned long)program->most);
        return EXIT_FAILURE;
    }
    if (make_heap(&heap, program, mutators, collectors) != 0)
        return EXIT_FAILURE;
    good = run(heap, program, &how);
    gc_destroy(heap);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
