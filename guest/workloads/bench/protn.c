/* PROTN: contiguous, scattered, and whole large pages. */
#include "guest/workloads/bench/protn.h"

enum {
    REGION_2M = 8, /* the region, in 2 MiB pages */
    REGION_PAGES = REGION_2M * PAGES_2M,
    LIST_MAX = 1024,
    ROUNDS = 1000,
    SCATTERED_ROUNDS = 300,
    LARGE_ROUNDS = 1000,
    GIGA_ROUNDS = 100,
};

struct range {
    struct region *region; /* NULL: the hypervisor is called directly */
    char *page;
    size_t pages;
};

/* Where the list crosses into another page does not depend on what else is in the image. */
struct list {
    _Alignas(PAGE) void *pages[LIST_MAX];
    char *region;
    size_t count;
};

static void protect_range(void *ctx)
{
    const struct range *const range = ctx;

    protn_range(range->page, range->pages, TRAPLINE_NONE);
}

static void unprotect_range(void *ctx)
{
    const struct range *const range = ctx;

    unprot_range(range->page, range->pages);
}

static void protect_in_region(void *ctx)
{
    const struct range *const range = ctx;

    region_protn_range(range->region, range->page, range->pages, TRAPLINE_NONE);
}

static void unprotect_in_region(void *ctx)
{
    const struct range *const range = ctx;

    region_unprot_range(range->region, range->page, range->pages);
}

static int protect(const struct range *range)
{
    return range->region
               ? region_protn_range(range->region, range->page, range->pages, TRAPLINE_NONE)
               : protn_range(range->page, range->pages, TRAPLINE_NONE);
}

static int unprotect(const struct range *range)
{
    return range->region ? region_unprot_range(range->region, range->page, range->pages)
                         : unprot_range(range->page, range->pages);
}

static void protect_list(void *ctx)
{
    const struct list *const list = ctx;

    protn(list->pages, list->count, TRAPLINE_NONE);
}

/* All but the first page of each 2 MiB, which stays protected. */
static void unprotect_list(void *ctx)
{
    const struct list *const list = ctx;

    for (size_t i = 0; i < REGION_2M; i++)
        unprot_range(list->region + (i * PAGES_2M + 1) * PAGE, PAGES_2M - 1);
}

static void check_range(const char *row, struct range *range)
{
    char *const last = range->page + (range->pages - 1) * PAGE;

    bench_expect(protect(range) == 0, row, "it succeeds");
    bench_expect(bench_write_traps(range->page), row, "a write to the first page is delivered");
    bench_expect(bench_write_traps(range->page + range->pages / 2 * PAGE), row,
                 "a write to the middle is delivered");
    bench_expect(bench_write_traps(last), row, "a write to the last page is delivered");
    if ((uint64_t)last + PAGE < ram_size())
        bench_expect(!bench_read_traps(last + PAGE), row, "a read behind is not");
    bench_expect(unprotect(range) == 0, row, "the pages are given back");
    bench_expect(!bench_write_traps(last), row, "then a write is not delivered");
}

void protn_measure_range(const char *name, struct region *region, char *page, size_t pages,
                         unsigned rounds)
{
    const struct bench_op op = {.name = name,
                                .mode = region ? region_mechanism_name(region->mechanism) : NULL,
                                .per = "call",
                                .rounds = rounds,
                                .ops = 1,
                                .run = region ? protect_in_region : protect_range,
                                .after = region ? unprotect_in_region : unprotect_range};
    struct range range = {region, page, pages};

    check_range(name, &range);
    bench_run(&op, &range);
}

static void run_range(const char *name, char *page, size_t pages, unsigned rounds)
{
    if (bench_wanted(name))
        protn_measure_range(name, NULL, page, pages, rounds);
}

static void run_scattered(const char *name, char *region, size_t count)
{
    static uint32_t order[REGION_PAGES];
    static struct list list;
    const struct bench_op op = {.name = name,
                                .per = "page",
                                .rounds = SCATTERED_ROUNDS,
                                .ops = (unsigned)count,
                                .run = protect_list,
                                .after = unprotect_list};

    if (!bench_wanted(name))
        return;
    list.region = region;
    list.count = 0;
    bench_permute(order, REGION_PAGES);
    for (size_t i = 0; list.count < count; i++)
        if (order[i] % PAGES_2M != 0)
            list.pages[list.count++] = region + (size_t)order[i] * PAGE;

    protect_list(&list);
    for (size_t i = 0; i < count; i++)
        bench_expect(bench_write_traps(list.pages[i]), name,
                     "a write to a listed page is delivered");
    unprotect_list(&list);
    for (size_t i = 0; i < count; i++)
        bench_expect(!bench_write_traps(list.pages[i]), name, "then a write is not delivered");
    bench_run(&op, &list);
}

/* The first gigabyte that is free but for page 0, which guests do not map: the image may be above.
 */
static void run_1g(void)
{
    char *const region = pages_alloc(PAGES_1G, PAGES_1G);

    if (!region) {
        printf("bench: protn.1g left out: no aligned, free 1 GiB in %zu MiB of memory\n",
               ram_size() >> 20);
        return;
    }
    run_range("protn.1g", region, PAGES_1G, GIGA_ROUNDS);
    pages_free(region, PAGES_1G);
}

void bench_protn(void)
{
    char *const region = pages_alloc(REGION_PAGES, PAGES_2M);

    bench_expect(region, "protn", "there is memory");
    if (bench_wanted("protn.1g"))
        run_1g();
    run_range("protn.2m", region, PAGES_2M, LARGE_ROUNDS);

    /* Pages that stay protected, so that both ends of the range lie in small pages, as in real use.
     */
    for (size_t i = 0; i < REGION_2M; i++)
        prot1(region + i * PAGES_2M * PAGE, TRAPLINE_NONE);
    run_scattered("protn.scattered.16", region, 16);
    run_scattered("protn.scattered.100", region, 100);
    run_scattered("protn.scattered.1024", region, 1024);

    /* The range begins behind the page that stays; the 2 MiB page in the middle is whole. */
    unprot(region + PAGES_2M * PAGE);
    run_range("protn.contig.1", region + PAGE, 1, ROUNDS);
    run_range("protn.contig.16", region + PAGE, 16, ROUNDS);
    run_range("protn.contig.100", region + PAGE, 100, ROUNDS);
    run_range("protn.contig.1024", region + PAGE, 1024, ROUNDS);

    unprot_range(region, REGION_PAGES);
    pages_free(region, REGION_PAGES);
}
