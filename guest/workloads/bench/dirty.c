/* DIRTY: fetching the list, and what a tracked write costs. */
#include "guest/workloads/bench/bench.h"

enum {
    PAGES_MAX = 16384,
    BUFFER_PAGES = PAGES_MAX * sizeof(void *) / PAGE,
    WRITE_PAGES = 1024,
    WRITE_ROUNDS = 5000,
};

struct dirty_run {
    const char *name;
    char *region;
    size_t pages;
    size_t written; /* pages written in a round */
    size_t next;    /* where in order[] the next round begins */
    long found;
    size_t left;
};

static uint32_t order[PAGES_MAX];
static void **buffer;

static void write_page(char *page)
{
    *(volatile uint64_t *)page += 1;
}

static void write_some(void *ctx)
{
    struct dirty_run *const run = ctx;

    for (size_t i = 0; i < run->written; i++) {
        write_page(run->region + (size_t)order[run->next] * PAGE);
        run->next = run->next + 1 == run->pages ? 0 : run->next + 1;
    }
}

static void fetch(void *ctx)
{
    struct dirty_run *const run = ctx;

    run->found = dirty(run->region, run->pages, buffer, PAGES_MAX, &run->left);
}

static void check_count(void *ctx)
{
    const struct dirty_run *const run = ctx;

    bench_expect(run->found == (long)run->written && run->left == 0, run->name,
                 "as many pages are reported as were written");
}

/* Is the list what the last round wrote, each page once? */
static bool list_is_right(const struct dirty_run *run)
{
    static unsigned char expected[PAGES_MAX];
    size_t index = run->next;

    memset(expected, 0, sizeof(expected));
    for (size_t i = 0; i < run->written; i++) {
        index = (index ? index : run->pages) - 1;
        expected[order[index]] = 1;
    }
    for (long i = 0; i < run->found; i++) {
        const size_t page = ((uint64_t)buffer[i] - (uint64_t)run->region) / PAGE;

        if (page >= run->pages || !expected[page])
            return false;
        expected[page] = 0;
    }
    return true;
}

static void run_fetch(char *region, size_t pages, unsigned percent, const char *name,
                      unsigned rounds)
{
    struct dirty_run run = {
        .name = name, .region = region, .pages = pages, .written = pages * percent / 100};
    const struct bench_op op = {.name = name,
                                .per = "call",
                                .rounds = rounds,
                                .ops = 1,
                                .before = write_some,
                                .run = fetch,
                                .after = check_count};

    if (!bench_wanted(name))
        return;
    bench_permute(order, pages);
    bench_expect(track(region, pages, 1) == 0, name, "tracking begins");
    fetch(&run);
    write_some(&run);
    fetch(&run);
    check_count(&run);
    bench_expect(list_is_right(&run), name, "the pages reported are those written");
    fetch(&run);
    bench_expect(run.found == 0, name, "a second call reports nothing");
    bench_run(&op, &run);
    bench_expect(track(region, pages, 0) == 0, name, "tracking ends");
}

/* When all pages have been written, begin again: with a clean list, when the writes are tracked. */
static void next_page(void *ctx)
{
    struct dirty_run *const run = ctx;

    if (run->next == run->pages) {
        run->next = 0;
        if (run->written)
            fetch(run);
    }
}

static void write_one(void *ctx)
{
    struct dirty_run *const run = ctx;

    write_page(run->region + run->next++ * PAGE);
}

static void run_write(char *region)
{
    struct bench_op op = {.name = "dirty.write",
                          .per = "page",
                          .rounds = WRITE_ROUNDS,
                          .ops = 1,
                          .before = next_page,
                          .run = write_one};
    struct dirty_run run = {.name = op.name, .region = region, .pages = WRITE_PAGES};

    if (!bench_wanted(op.name))
        return;
    op.baseline = bench_median(&op, &run);
    bench_expect(track(region, WRITE_PAGES, 1) == 0, op.name, "tracking begins");
    run.written = WRITE_PAGES;
    run.next = WRITE_PAGES;
    next_page(&run);
    while (run.next < run.pages)
        write_one(&run);
    next_page(&run);
    check_count(&run);
    bench_run(&op, &run);
    bench_expect(track(region, WRITE_PAGES, 0) == 0, op.name, "tracking ends");
}

static const struct {
    const char *name;
    size_t pages;
    unsigned percent;
    unsigned rounds;
} fetches[] = {
    {"dirty.1024.1", 1024, 1, 200},        {"dirty.1024.10", 1024, 10, 200},
    {"dirty.1024.100", 1024, 100, 100},    {"dirty.16384.1", PAGES_MAX, 1, 100},
    {"dirty.16384.10", PAGES_MAX, 10, 30}, {"dirty.16384.100", PAGES_MAX, 100, 5},
};

enum {
    FETCHES = sizeof(fetches) / sizeof(fetches[0]),
};

void bench_dirty(void)
{
    bool wanted = bench_wanted("dirty.write");
    char *region;

    for (size_t i = 0; i < FETCHES; i++)
        wanted |= bench_wanted(fetches[i].name);
    if (!wanted)
        return;
    region = pages_alloc(PAGES_MAX, PAGES_2M);
    buffer = pages_alloc(BUFFER_PAGES, 1);
    bench_expect(region && buffer, "dirty", "there are 64 MiB of memory");

    for (size_t i = 0; i < FETCHES; i++)
        run_fetch(region, fetches[i].pages, fetches[i].percent, fetches[i].name, fetches[i].rounds);
    run_write(region);

    pages_free(buffer, BUFFER_PAGES);
    pages_free(region, PAGES_MAX);
}
