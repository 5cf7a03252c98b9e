/* DIRTY: fetching the list, and what a tracked write costs. */
#include "guest/workloads/bench/bench.h"

enum {
    PAGES_MAX = 16384, /* but for the sweep */
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

/* For the largest region that is measured: its pages, and an element a page of each array. */
static struct {
    size_t pages;
    char *region;
    uint32_t *order; /* in which pages are written */
    void **buffer;
    unsigned char *expected;
} memory;

static size_t pages_of(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE;
}

static void give_back(void *start, size_t bytes)
{
    if (start)
        pages_free(start, pages_of(bytes));
}

static void close_memory(void)
{
    give_back(memory.region, memory.pages * PAGE);
    give_back(memory.order, memory.pages * sizeof(*memory.order));
    give_back(memory.buffer, memory.pages * sizeof(*memory.buffer));
    give_back(memory.expected, memory.pages);
}

/* Take the memory for pages pages; false, and nothing is taken, when there is too little. */
static bool open_memory(size_t pages)
{
    memory.pages = pages;
    memory.region = pages_alloc(pages, PAGES_2M);
    memory.buffer = pages_alloc(pages_of(pages * sizeof(*memory.buffer)), 1);
    memory.order = pages_alloc(pages_of(pages * sizeof(*memory.order)), 1);
    memory.expected = pages_alloc(pages_of(pages), 1);
    if (memory.region && memory.order && memory.buffer && memory.expected)
        return true;
    close_memory();
    return false;
}

static void write_page(char *page)
{
    *(volatile uint64_t *)page += 1;
}

static void write_some(void *ctx)
{
    struct dirty_run *const run = ctx;

    for (size_t i = 0; i < run->written; i++) {
        write_page(run->region + (size_t)memory.order[run->next] * PAGE);
        run->next = run->next + 1 == run->pages ? 0 : run->next + 1;
    }
}

static void fetch(void *ctx)
{
    struct dirty_run *const run = ctx;

    run->found = dirty(run->region, run->pages, memory.buffer, run->pages, &run->left);
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
    unsigned char *const expected = memory.expected;
    size_t index = run->next;

    memset(expected, 0, run->pages);
    for (size_t i = 0; i < run->written; i++) {
        index = (index ? index : run->pages) - 1;
        expected[memory.order[index]] = 1;
    }
    for (long i = 0; i < run->found; i++) {
        const size_t page = ((uint64_t)memory.buffer[i] - (uint64_t)run->region) / PAGE;

        if (page >= run->pages || !expected[page])
            return false;
        expected[page] = 0;
    }
    return true;
}

static void run_fetch(size_t pages, unsigned percent, const char *name, unsigned rounds)
{
    struct dirty_run run = {
        .name = name, .region = memory.region, .pages = pages, .written = pages * percent / 100};
    const struct bench_op op = {.name = name,
                                .per = "call",
                                .rounds = rounds,
                                .ops = 1,
                                .before = write_some,
                                .run = fetch,
                                .after = check_count};

    bench_permute(memory.order, pages);
    bench_expect(track(run.region, pages, 1) == 0, name, "tracking begins");
    fetch(&run);
    write_some(&run);
    fetch(&run);
    check_count(&run);
    bench_expect(list_is_right(&run), name, "the pages reported are those written");
    fetch(&run);
    bench_expect(run.found == 0, name, "a second call reports nothing");
    bench_run(&op, &run);
    bench_expect(track(run.region, pages, 0) == 0, name, "tracking ends");
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

static void run_write(void)
{
    char *const region = memory.region;
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

/*
 * Where all pages are written the CPU's log of 512 entries is just full at a round's end. Bochs
 * then makes the next page walk, also a read, the exit that empties it: whether this falls into the
 * timed call or before it depends on which code shares a page.
 */
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

    for (size_t i = 0; i < FETCHES; i++)
        wanted |= bench_wanted(fetches[i].name);
    if (!wanted)
        return;
    bench_expect(open_memory(PAGES_MAX), "dirty", "there are 64 MiB of memory");
    for (size_t i = 0; i < FETCHES; i++)
        if (bench_wanted(fetches[i].name))
            run_fetch(fetches[i].pages, fetches[i].percent, fetches[i].name, fetches[i].rounds);
    run_write();
    close_memory();
}

/* dirty.sweep.PAGES.PERCENT: the same over the size, for a picture. These come only by name. */
static const struct {
    size_t pages;
    unsigned rounds;
} sizes[] = {{1024, 50}, {4096, 20}, {16384, 10}, {65536, 3}, {PAGES_1G, 3}};
static const unsigned percents[] = {1, 10, 100};

enum {
    SIZES = sizeof(sizes) / sizeof(sizes[0]),
    PERCENTS = sizeof(percents) / sizeof(percents[0]),
};

/* All in one region, for the largest of them that is wanted and fits. */
void bench_dirty_sweep(void)
{
    static const char family[] = "dirty.sweep";
    const char *names[SIZES][PERCENTS];
    bool open = false;

    for (size_t i = SIZES; i-- > 0;) {
        for (size_t j = 0; j < PERCENTS; j++) {
            const char *const name = bench_name("%s.%zu.%u", family, sizes[i].pages, percents[j]);
            const bool wanted = bench_named(family, name);

            if (wanted && !open)
                open = open_memory(sizes[i].pages);
            if (wanted && !open)
                printf("bench: %s left out: too little memory\n", name);
            names[i][j] = wanted && open ? name : NULL;
        }
    }
    for (size_t i = 0; i < SIZES; i++)
        for (size_t j = 0; j < PERCENTS; j++)
            if (names[i][j])
                run_fetch(sizes[i].pages, percents[j], names[i][j], sizes[i].rounds);
    if (open)
        close_memory();
}
