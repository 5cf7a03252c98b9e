#include "guest/workloads/zpage/run.h"

#include <trapline/portable.h>

#include "guest/workloads/zpage/copies.h"
#include "guest/workloads/zpage/report.h"

enum {
    PERCENT = 100,
};

static struct work work;
static void (*step)(struct work *work, unsigned thread);

static void run_thread(void *unused)
{
    (void)unused;
    step(&work, thread_self());
}

/* A step of the work on all threads. */
static bool run_threads(void (*function)(struct work *work, unsigned thread))
{
    step = function;
    for (unsigned i = 1; i < work.threads; i++) {
        const int result = thread_start(i, run_thread, NULL);

        if (result != 0) {
            printf("zpage: thread %u: %s\n", i, trapline_error_name(result));
            return false;
        }
    }
    run_thread(NULL);
    for (unsigned i = 1; i < work.threads; i++)
        thread_join(i);
    return true;
}

static uint64_t accesses(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < work.threads; i++)
        sum += work.results[i].accesses;
    return sum;
}

static bool settings_good(const struct run_settings *set)
{
    const uint64_t lead = set->frames * set->lead_percent / PERCENT;

    if (set->frames > set->pages)
        printf("zpage: %lu frames for a space of %lu pages: nothing to page\n", set->frames,
               set->pages);
    else if (set->batch > lead)
        printf("zpage: batch=%lu is more than the %lu frames that are watched\n", set->batch, lead);
    else if (set->pages / vcpu_count() < 2)
        printf("zpage: %lu pages are too few for %u threads\n", set->pages, vcpu_count());
    else
        return true;
    return false;
}

/* The work as it is at first; shadow: the writes are to be counted. */
static bool prepare(const struct run_settings *set, bool shadow)
{
    free(work.written);
    work = (struct work){.pages = set->pages,
                         .threads = vcpu_count(),
                         .program = (enum program)set->program,
                         .content = (enum content_kind)set->content,
                         .accesses = set->accesses / vcpu_count(),
                         .writes = (unsigned)set->writes};
    if (shadow)
        work.written = calloc(work.threads * work.pages, sizeof(*work.written));
    return !shadow || work.written;
}

/*
 * The same work in ordinary memory, by this thread alone, and then page by page whether the space
 * holds what that does.
 */
static bool verify(const struct run_settings *set)
{
    static struct work_result paged[WORK_THREADS_MAX];
    char *const space = work.memory;
    char *const plain = pages_alloc(set->pages, 1);
    size_t wrong = 0;
    bool good = true;

    memcpy(paged, work.results, sizeof(paged));
    if (!plain || !prepare(set, false)) {
        printf("zpage: no memory to verify %lu pages\n", set->pages);
        return false;
    }
    work.memory = plain;
    for (unsigned i = 0; i < work.threads; i++)
        work_fill(&work, i);
    for (unsigned i = 0; i < work.threads; i++)
        work_run(&work, i);
    for (unsigned i = 0; i < work.threads; i++) {
        good = good && paged[i].sum == work.results[i].sum && paged[i].wrong == 0 &&
               paged[i].accesses == work.results[i].accesses;
        if (paged[i].wrong)
            printf("zpage: thread %u read %lu blocks of pages that had lost a write\n", i,
                   paged[i].wrong);
        if (paged[i].sum != work.results[i].sum)
            printf("zpage: thread %u: sum %#lx, without paging %#lx\n", i, paged[i].sum,
                   work.results[i].sum);
    }
    for (size_t page = 0; page < set->pages; page++)
        wrong += memcmp(space + page * TRAPLINE_PAGE_SIZE, plain + page * TRAPLINE_PAGE_SIZE,
                        TRAPLINE_PAGE_SIZE) != 0;
    if (wrong)
        printf("zpage: %zu of %lu pages are not what they are without paging\n", wrong, set->pages);
    pages_free(plain, set->pages);
    good = copies_check(set->pages) && good && wrong == 0;
    printf("zpage: verify: %s\n",
           good ? "sums and pages are those of a run without paging" : "WRONG");
    return good;
}

static bool run_one(const struct run_settings *set, const struct space_settings *space,
                    const char *mode, struct report *report)
{
    const struct copies_counts *const counts = copies_counts();
    uint64_t start;
    bool good;

    if (!prepare(set, set->verify)) {
        printf("zpage: no memory for the shadow of %lu pages\n", set->pages);
        return false;
    }
    work.memory = space_open(space);
    if (!work.memory || !run_threads(work_fill))
        return false;
    space_count_anew();
    start = ticks();
    if (!run_threads(work_run))
        return false;
    *report = (struct report){.ticks = ticks() - start,
                              .accesses = accesses(),
                              .loads = space_loads(),
                              .transfers = counts->backing_reads + counts->backing_writes};
    report_print(mode, report);
    good = !set->verify || verify(set);
    space_close();
    return good;
}

bool run_all(const struct run_settings *set)
{
    struct space_settings space = {.mechanism = set->mechanism,
                                   .pages = set->pages,
                                   .frames = set->frames,
                                   .pool_pages = set->pool_pages,
                                   .lead = set->frames * set->lead_percent / PERCENT,
                                   .batch = set->batch,
                                   .acceleration = (unsigned)set->acceleration,
                                   .lose_writes = set->lose_writes};
    struct report compressed, plain;

    if (!settings_good(set))
        return false;
    if (!work_init(set->pages)) {
        printf("zpage: no memory for %lu pages\n", set->pages);
        return false;
    }
    if (!run_one(set, &space, region_mechanism_name(set->mechanism), &compressed))
        return false;
    if (!set->baseline)
        return true;
    space.frames =
        set->frames + set->pool_pages < set->pages ? set->frames + set->pool_pages : set->pages;
    space.lead = space.frames * set->lead_percent / PERCENT;
    space.pool_pages = 0;
    if (!run_one(set, &space, "baseline", &plain))
        return false;
    report_compare(&compressed, &plain);
    return true;
}
