/*
 * Heap overflow detection, and red zones: a page that may not be touched, at the end of memory that
 * is in use.
 *
 * Appel and Li's section on heap overflow: to make an object is to write it where the heap's free
 * part begins, and to advance. Each time, a program has to compare with the limit; unless a page
 * with access NONE is there, so that the write itself finds out:
 *
 *   TRAP    the handler has the program go on where the collector is called, by setting rip
 *   PROT1   the guard page, in its new place after each collection
 *   UNPROT  the old place
 *
 * With "baseline" each allocation compares, and there are no guard pages. Without it both are
 * measured. "redzones" has an allocator put such pages around some of its blocks instead, and
 * tells of each stray access what it hit: see redzones.h.
 */
#include <trapline/portable.h>

#include "guest/common/figures.h"
#include "guest/common/options.h"
#include "guest/workloads/overflow/measure.h"
#include "guest/workloads/overflow/strays.h"

enum {
    NAME_LEN = 64,
    GUARD = 0, /* as in struct measured */
    CHECKS = 1,
};

/* As enum mistake. */
static const char *const mistakes[] = {"nothing", "guard", "touch", "redzone", "stray", NULL};

static const struct {
    const struct program *program;
    uint64_t rounds; /* for each of "rounds" */
} programs[] = {{&program_lists, 1}, {&program_trees, 2}, {&program_arrays, 50}};

static struct {
    uint64_t rounds, space, sample, strays, seed;
    bool verify, baseline, redzones;
    enum region_mechanism mechanism;
    unsigned mistake;
} given = {.rounds = 200,
           .space = 2 * 1024 * 1024,
           .sample = 8,
           .strays = 400,
           .seed = 1,
           .mechanism = REGION_DEFAULT};

static const struct option options[] = {
    {.name = "rounds",
     .kind = OPTION_NUMBER,
     .value = &given.rounds,
     .least = 1,
     .most = 1 << 24,
     .help = "of the programs: 2,000 list cells each, and as much of the others"},
    {.name = "space",
     .kind = OPTION_NUMBER,
     .value = &given.space,
     .least = 256 * 1024,
     .most = 1ull << 30,
     .help = "bytes of a heap at most, which takes them twice; rounded down to pages"},
    {.name = "redzones",
     .kind = OPTION_FLAG,
     .value = &given.redzones,
     .help = "find stray accesses beside an allocator's blocks"},
    {.name = "sample",
     .kind = OPTION_NUMBER,
     .value = &given.sample,
     .least = 1,
     .most = 1 << 20,
     .help = "redzones: one block of so many gets guard pages"},
    {.name = "strays",
     .kind = OPTION_NUMBER,
     .value = &given.strays,
     .least = 1,
     .most = 1 << 20,
     .help = "redzones: how many stray accesses are made"},
    {.name = "seed",
     .kind = OPTION_NUMBER,
     .value = &given.seed,
     .least = 1,
     .most = UINT64_MAX,
     .help = "redzones: of sizes and accesses"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .value = &given.verify,
     .help = "check the heap around each collection, and all results"},
    {.name = "baseline",
     .kind = OPTION_FLAG,
     .value = &given.baseline,
     .help = "each allocation compares with the limit; redzones: malloc() alone"},
    {.name = "mechanism",
     .kind = OPTION_MECHANISM,
     .value = &given.mechanism,
     .help = "who protects the pages"},
    {.name = "break",
     .kind = OPTION_CHOICE,
     .value = &given.mistake,
     .choices = mistakes,
     .help = "guard: not always protected; touch: large objects jump over it; redzone: a freed "
             "block's page stays open; stray: a stray write that nobody expects"},
};

static const char *mode(bool checks)
{
    return checks ? "baseline" : region_mechanism_name(given.mechanism);
}

static void print(const char *program, const char *what, bool checks, const char *unit,
                  const char *per, double value)
{
    char name[NAME_LEN];

    snprintf(name, sizeof(name), "overflow.%s.%s", program, what);
    figure_value(name, mode(checks), unit, per, value);
}

static void report_one(const struct program *program, const struct measured *measured, bool checks)
{
    const struct heap_counts *const counts = &measured->counts[checks];

    print(program->name, "allocation", checks, "tsc", "object", measured->allocation[checks]);
    print(program->name, "collections", checks, "collections", "run", (double)counts->collections);
    printf("overflow: %s, %s: %.2f ticks an object, %lu objects, %lu collections, %lu traps\n",
           program->name, checks ? "with checks" : "guard page", measured->allocation[checks],
           measured->result[checks].objects, counts->collections, counts->traps);
}

/* Both were measured. */
static void compare(const struct program *program, const struct measured *measured, double trap)
{
    const double checks = measured->allocation[CHECKS];
    /* The traps are in the guard page's time; they are counted once, with what moves the page. */
    const double traps = trap * (double)measured->counts[GUARD].traps;
    const double guard =
        measured->allocation[GUARD] - traps / (double)measured->result[GUARD].objects;
    const double saved = checks - guard;

    print(program->name, "saved", false, "percent", "object",
          100 * (checks - measured->allocation[GUARD]) / checks);
    if (saved > 0) {
        const double from = (trap + measured->guard) / saved;

        print(program->name, "breakeven", false, "objects", "collection", from);
        printf("overflow: %s: the guard page saves %.2f ticks of %.2f, and pays from %.0f objects "
               "between two collections on; there were %lu\n",
               program->name, saved, checks, from,
               measured->result[GUARD].objects / (measured->counts[GUARD].collections + 1));
    } else {
        printf("overflow: %s: the guard page saves nothing\n", program->name);
    }
}

static bool run_programs(void)
{
    struct heap_options how = {.mechanism = given.mechanism,
                               .space = given.space & ~(size_t)(PAGE - 1),
                               .verify = given.verify,
                               .mistake = (enum mistake)given.mistake};
    double trap = 0;
    int error = given.baseline ? 0 : measure_trap(&how, &trap);

    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && !error; i++) {
        const struct program *const program = programs[i].program;
        const uint64_t rounds = given.rounds * programs[i].rounds;
        struct measured measured = {0};

        how.checks = true;
        error = measure_program(program, &how, rounds, &measured);
        if (!error)
            report_one(program, &measured, true);
        if (error || given.baseline)
            continue;
        how.checks = false;
        error = measure_program(program, &how, rounds, &measured);
        if (error)
            continue;
        report_one(program, &measured, false);
        print(program->name, "guard", false, "tsc", "collection", measured.guard);
        compare(program, &measured, trap);
    }
    if (error)
        printf("overflow: no heap: %s\n", trapline_error_name(error));
    return !error;
}

int main(int argc, char **argv)
{
    if (!options_read("overflow", argc, argv, options, sizeof(options) / sizeof(options[0])))
        return EXIT_FAILURE;
    if (given.redzones) {
        const struct strays_options how = {.mechanism = given.mechanism,
                                           .sample = given.baseline ? 0 : given.sample,
                                           .strays = given.strays,
                                           .seed = given.seed,
                                           .verify = given.verify,
                                           .mistake = (enum mistake)given.mistake};

        return strays_run(&how) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return run_programs() ? EXIT_SUCCESS : EXIT_FAILURE;
}
