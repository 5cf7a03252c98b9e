/* MAP2: second addresses for pages. */
#include "guest/workloads/bench/bench.h"

enum {
    PAGES_MAX = 100,
    ROUNDS = 1000,
};

struct mapping {
    char *page;
    char *alias;
    size_t pages;
};

static void map(void *ctx)
{
    const struct mapping *const mapping = ctx;

    map2_range(mapping->page, mapping->pages, mapping->alias, TRAPLINE_READ | TRAPLINE_WRITE);
}

static void unmap(void *ctx)
{
    const struct mapping *const mapping = ctx;

    unmap2_range(mapping->alias, mapping->pages);
}

static void check(const char *row, struct mapping *mapping)
{
    const size_t last = (mapping->pages - 1) * PAGE;
    volatile char *const page = mapping->page, *const alias = mapping->alias;

    bench_expect(map2_range(mapping->page, mapping->pages, mapping->alias,
                            TRAPLINE_READ | TRAPLINE_WRITE) == 0,
                 row, "it succeeds");
    page[last] = 'p';
    bench_expect(alias[last] == 'p', row, "the alias shows what the page holds");
    alias[last] = 'a';
    bench_expect(page[last] == 'a', row, "the page holds what was written through the alias");
    bench_expect(map2(mapping->page, mapping->alias, TRAPLINE_READ) == -TRAPLINE_EEXIST, row,
                 "an alias in use is refused");
    bench_expect(unmap2_range(mapping->alias, mapping->pages) == 0, row, "the alias is taken away");
    bench_expect(unmap2(mapping->alias) == -TRAPLINE_ENOENT, row, "and then is no longer there");
}

static void run_map(const char *name, const char *per, struct mapping mapping)
{
    const struct bench_op op = {.name = name,
                                .per = per,
                                .rounds = ROUNDS,
                                .ops = (unsigned)mapping.pages,
                                .run = map,
                                .after = unmap};

    if (!bench_wanted(name))
        return;
    check(name, &mapping);
    bench_run(&op, &mapping);
}

void bench_map2(void)
{
    char *const pages = pages_alloc(PAGES_MAX, 1), *const window = alias_window();

    bench_expect(pages && alias_window_pages() > PAGES_MAX, "map2", "there is memory and a window");
    /* An alias that stays, so that the window's tables are there, as in real use. */
    bench_expect(map2(pages, window, TRAPLINE_READ) == 0, "map2", "it succeeds");
    run_map("map2.1", "op", (struct mapping){pages, window + PAGE, 1});
    run_map("map2.100", "page", (struct mapping){pages, window + PAGE, PAGES_MAX});
    unmap2(window);
    pages_free(pages, PAGES_MAX);
}
