/*
 * Extending addressability: a persistent object space that 64-bit addresses span is used through
 * 32-bit references, at their full speed.
 *
 * Appel and Li's section of that name; Wilson's pointer swizzling at page-fault time. A page of the
 * space is brought in when it is touched; its 64-bit addresses become 32-bit references then, and
 * what they refer to becomes a page of the window that may not be touched yet.
 *
 *   TRAP    a touch of a page that is not there, a first write to one that is
 *   MAP2    the window's addresses are aliases of fewer frames; that of a page that is brought in
 * is made to lead to the page's frame, to be read, or also written PROTN   pages that leave the
 * window, together
 *
 * The space is in space.h, what is in it in build.h, the window in window.h. With "baseline" alone
 * each dereference looks the 64-bit address up in a hash table (cache.h); both are run otherwise,
 * for the break-even point. One thread, whatever the number of vCPUs.
 */
#include <trapline/portable.h>

#include "guest/common/checksum.h"
#include "guest/common/figures.h"
#include "guest/common/options.h"
#include "guest/workloads/bigspace/build.h"
#include "guest/workloads/bigspace/trial.h"

static const char *const mistakes[] = {"nothing", "swizzle", NULL};

enum mistake {
    MISTAKE_NONE,
    MISTAKE_SWIZZLE,
};

static struct {
    struct design design;
    uint64_t pages, frames, hot, repeats;
    bool verify, baseline;
    enum region_mechanism mechanism;
    unsigned mistake; /* enum mistake */
} given = {.design = {.levels = 7, .composites = 6000, .space = 1ull << 40, .seed = 1},
           .pages = 4096,
           .frames = 512,
           .hot = 2,
           .repeats = 50,
           .mechanism = REGION_DEFAULT};

/* A number in given. */
#define NUMBER(option, field, low, high, text)                                                     \
    {                                                                                              \
        .name = (option), .kind = OPTION_NUMBER, .value = &given.field, .least = (low),            \
        .most = (high), .help = (text)                                                             \
    }

static const struct option options[] = {
    NUMBER("levels", design.levels, 1, LEVELS_MOST, "of assemblies"),
    NUMBER("composites", design.composites, 1, 1 << 20, "composite parts in the library"),
    NUMBER("space", design.space, 1 << 20, 1ull << 62, "bytes of addresses, used here and there"),
    NUMBER("seed", design.seed, 1, UINT64_MAX, "of what is where"),
    NUMBER("pages", pages, 2, WINDOW_PAGES_MOST, "of addresses that the window has"),
    NUMBER("frames", frames, 2, WINDOW_PAGES_MOST, "of memory that pages are brought to"),
    NUMBER("hot", hot, 1, LEVELS_MOST, "levels of assemblies that are walked repeatedly"),
    NUMBER("repeats", repeats, 1, 1 << 20, "of that walk"),
    {.name = "verify",
     .kind = OPTION_FLAG,
     .value = &given.verify,
     .help = "check each page, and compare all with the same walks in the space itself"},
    {.name = "baseline",
     .kind = OPTION_FLAG,
     .value = &given.baseline,
     .help = "look up each address that is followed; nothing is protected"},
    {.name = "mechanism",
     .kind = OPTION_MECHANISM,
     .value = &given.mechanism,
     .help = "who protects the pages"},
    {.name = "break",
     .kind = OPTION_CHOICE,
     .value = &given.mistake,
     .choices = mistakes,
     .help = "with verify: a reference is not swizzled, now and then"},
};

static bool sensible(void)
{
    const char *wrong = NULL;

    if (given.hot > given.design.levels)
        wrong = "hot is more than the levels that there are";
    else if (given.mistake != MISTAKE_NONE && (!given.verify || given.baseline))
        wrong = "break is for verify alone, and nothing is swizzled with baseline";
    if (wrong)
        printf("bigspace: %s\n", wrong);
    return !wrong;
}

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

/* What both ways have. Ticks of a dereference in the walk that is repeated. */
static double report_walks(const struct trial *trial, const char *mode)
{
    const double look = ratio(trial->hot_ticks, trial->hot.looks);

    for (unsigned i = 0; i < TRIAL_WALKS; i++)
        figure_value(trial_walk_name((enum trial_walk)i), mode, "tsc", "run",
                     (double)trial->ticks[i]);
    figure_value("bigspace.look", mode, "tsc", "look", look);
    return look;
}

static double report_cache(const struct trial_cache *trial)
{
    const double look = report_walks(&trial->trial, "baseline");

    figure_value("bigspace.load", "baseline", "tsc", "page",
                 ratio(trial->load_ticks, trial->loads));
    figure_value("bigspace.loads", "baseline", "pages", "run", (double)trial->loads);
    return look;
}

static double report_window(const struct trial_window *trial)
{
    const char *const mode = region_mechanism_name(given.mechanism);
    const struct window_counts *const counts = &trial->counts;
    const double look = report_walks(&trial->trial, mode);

    figure_value("bigspace.load", mode, "tsc", "page", ratio(counts->load_ticks, counts->loads));
    figure_value("bigspace.loads", mode, "pages", "run", (double)counts->loads);
    figure_value("bigspace.swizzle", mode, "tsc", "reference",
                 ratio(counts->swizzle_ticks, counts->swizzled));
    figure_value("bigspace.swizzled", mode, "references", "page",
                 ratio(counts->swizzled, counts->loads));
    figure_value("bigspace.reserved", mode, "places", "page",
                 ratio(counts->reserved, counts->loads));
    figure_value("bigspace.evict", mode, "tsc", "page",
                 ratio(counts->evict_ticks, counts->evictions));
    figure_value("bigspace.searches", mode, "searches", "run", (double)counts->searches);
    figure_value("bigspace.writes", mode, "traps", "run", (double)counts->writes);
    figure_value("bigspace.back", mode, "pages", "run", (double)counts->written_back);
    return look;
}

/* After how many looks at a page, each of them cheaper, the dearer load has paid. */
static void report_both(const struct trial_window *window, const struct trial_cache *cache)
{
    const double base = report_cache(cache), look = report_window(window);
    const double load =
        ratio(window->counts.load_ticks + window->counts.evict_ticks, window->counts.loads);
    const double dearer = load - ratio(cache->load_ticks, cache->loads);
    const double even = base > look ? dearer / (base - look) : 0;

    figure_value("bigspace.even", region_mechanism_name(given.mechanism), "looks", "page", even);
    printf("bigspace: a page costs %.0f ticks more to bring in than without swizzling, a look %.1f "
           "instead of %.1f: ",
           dearer, look, base);
    if (base > look)
        printf("it has paid after %.0f looks at the page\n", even);
    else
        printf("it does not pay\n");
}

/* Whether two spaces hold the same. */
static bool equal(const struct space *space, const struct space *truth)
{
    for (size_t i = 0; i < truth->count; i++) {
        const struct page64 *const page = bigspace_find(space, truth->numbers[i]);

        if (!page || checksum(CHECKSUM_START, page, sizeof(*page)) !=
                         checksum(CHECKSUM_START, &truth->pages[i], sizeof(*page))) {
            printf("bigspace: page %#lx of the space is not as it should be\n", truth->numbers[i]);
            return false;
        }
    }
    return true;
}

/* The same in the space itself, of which truth is a copy from before. */
static bool verify(const struct space *space, const struct trial *trial, struct space *truth,
                   const struct trial_plan *plan)
{
    struct trial direct;

    trial_run_space(&direct, truth, plan);
    if (!trial_equal(&direct, trial)) {
        printf("bigspace: the walks have not met what they should have\n");
        return false;
    }
    return equal(space, truth);
}

/* By the cache and, in its own copy of the space, by the window. */
static bool run(struct space *space, struct space *copy, const struct trial_plan *plan,
                struct trial_cache *cache)
{
    const struct window_options how = {.mechanism = given.mechanism,
                                       .pages = given.pages,
                                       .frames = given.frames,
                                       .check = given.verify,
                                       .forget = given.mistake == MISTAKE_SWIZZLE};
    struct trial_window window;
    int error = given.baseline ? 0 : trial_run_window(&window, copy, plan, &how);

    if (!error)
        error = trial_run_cache(cache, space, plan, given.frames);
    if (error) {
        printf("bigspace: no window of %lu pages with %lu frames, or no cache: %s\n", given.pages,
               given.frames, trapline_error_name(error));
        return false;
    }
    if (given.baseline) {
        report_cache(cache);
        return true;
    }
    report_both(&window, cache);
    if (trial_equal(&window.trial, &cache->trial) && (!given.verify || equal(copy, space)))
        return true;
    printf("bigspace: window and baseline have come to different results\n");
    return false;
}

static bool run_in(struct space *space, uint64_t root)
{
    struct trial_plan plan = {.root = root, .hot = root, .repeats = given.repeats};
    struct space copy = {0}, truth = {0};
    struct trial_cache cache;
    bool good = true;

    for (uint64_t level = given.design.levels; level > given.hot; level--)
        plan.hot = bigspace_object(space, plan.hot)->refs[0];
    if ((!given.baseline && bigspace_copy(&copy, space) != 0) ||
        (given.verify && bigspace_copy(&truth, space) != 0)) {
        printf("bigspace: no memory for copies of %zu pages\n", space->count);
        good = false;
    }
    good = good && run(space, &copy, &plan, &cache) &&
           (!given.verify || verify(space, &cache.trial, &truth, &plan));
    if (good)
        printf(
            "bigspace: %zu pages of %lu MiB of addresses, by %lu pages of window and %lu frames: "
            "%lu looks at %lu parts in a walk%s\n",
            space->count, given.design.space >> 20, given.pages, given.frames,
            cache.trial.results[TRIAL_READ].looks, cache.trial.results[TRIAL_READ].parts,
            given.verify ? "; all as in the space itself" : "");
    bigspace_destroy(&copy);
    bigspace_destroy(&truth);
    return good;
}

int main(int argc, char **argv)
{
    struct space space;
    uint64_t root;
    int error;
    bool good;

    if (!options_read("bigspace", argc, argv, options, sizeof(options) / sizeof(options[0])) ||
        !sensible())
        return EXIT_FAILURE;
    error = design_build(&given.design, &space, &root);
    if (error) {
        printf("bigspace: the design cannot be made in a space of %lu MiB: error %d\n",
               given.design.space >> 20, error);
        return EXIT_FAILURE;
    }
    good = run_in(&space, root);
    bigspace_destroy(&space);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
