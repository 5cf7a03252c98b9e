/* PROTN: ranges, lists and whole large pages; sets. */
#include "guest/linux/bench/area.h"
#include "guest/linux/bench/bench.h"
#include "guest/linux/bench/key.h"
#include "guest/linux/bench/protection.h"

enum {
    REGION_2M = 8, /* the region, in 2 MiB pages */
    REGION_PAGES = REGION_2M * PAGES_2M,
    LIST_MAX = 1024,
    SET_PAGES = 100,
    ROUNDS = 1000,
    SCATTERED_ROUNDS = 300,
    LONG_LIST_ROUNDS = 100,
    SET_ROUNDS = 200,
};

static char *area;
static uint32_t order[REGION_PAGES];
static char *listed[LIST_MAX];

static void run_contiguous(const struct protection *by, const char *name, size_t pages)
{
    struct range range = {by, area + RANGE_BEFORE * PAGE, pages};

    if (bench_wanted(name))
        range_measure(name, by->mode, &range, ROUNDS);
}

/* All but the first page of each 2 MiB, which stays forbidden. */
static void allow_rest(void *ctx)
{
    const struct list *const list = ctx;

    for (size_t i = 0; i < REGION_2M; i++)
        list->by->allow(area + (i * PAGES_2M + 1) * PAGE, PAGES_2M - 1);
}

static void run_scattered(const struct protection *by, const char *name, size_t count)
{
    struct list list = {.by = by, .pages = listed};
    const struct bench_op op = {.name = name,
                                .mode = by->mode,
                                .per = "page",
                                .rounds = count == LIST_MAX ? LONG_LIST_ROUNDS : SCATTERED_ROUNDS,
                                .ops = (unsigned)count,
                                .run = list_forbid,
                                .after = allow_rest};

    if (!bench_wanted(name))
        return;
    list_choose(&list, count, area, order, REGION_PAGES);
    list_check(name, &list);
    bench_run(&op, &list);
}

static void run_by(const struct protection *by)
{
    struct range large = {by, area, PAGES_2M};

    if (bench_wanted("protn.2m"))
        range_measure("protn.2m", by->mode, &large, ROUNDS);

    for (size_t i = 0; i < REGION_2M; i++)
        by->forbid(area + i * PAGES_2M * PAGE, 1);
    run_scattered(by, "protn.scattered.16", 16);
    run_scattered(by, "protn.scattered.100", 100);
    run_scattered(by, "protn.scattered.1024", 1024);

    by->allow(area + PAGES_2M * PAGE, 1);
    run_contiguous(by, "protn.contig.1", 1);
    run_contiguous(by, "protn.contig.16", 16);
    run_contiguous(by, "protn.contig.100", 100);
    run_contiguous(by, "protn.contig.1024", 1024);
}

/* A huge page is forbidden as a whole by one entry, as Trapline's 2 MiB page is. */
static void run_huge(void)
{
    static const char mode[] = "mprotect-huge";
    struct range large = {.by = &by_mprotect, .pages = PAGES_2M};

    if (!bench_wanted("protn.2m"))
        return;
    large.page = area_open_huge(2 * PAGES_2M);
    if (!large.page) {
        printf("bench: protn.2m by %s left out: the kernel gives no huge pages\n", mode);
        return;
    }
    range_measure("protn.2m", mode, &large, ROUNDS);
    area_close(large.page, 2 * PAGES_2M);
}

/* A set of 100 scattered pages: a list of them, or a key that they have. */
static void run_set(const char *mode, struct list *list, void (*forbid)(void *),
                    void (*allow)(void *))
{
    const struct bench_op op = {.name = "set.100",
                                .mode = mode,
                                .per = "call",
                                .rounds = SET_ROUNDS,
                                .ops = 1,
                                .run = forbid,
                                .after = allow};

    bench_run(&op, list);
}

static void run_list_set(const struct protection *by)
{
    struct list list = {.by = by, .pages = listed};

    if (!bench_wanted("set.100"))
        return;
    list_choose(&list, SET_PAGES, area, order, REGION_PAGES);
    list_check("set.100", &list);
    run_set(by->mode, &list, list_forbid, list_allow);
}

static void run_key_set(void)
{
    struct list list = {.pages = listed};

    if (!bench_wanted("set.100") || !key_begin())
        return;
    area = area_open(REGION_PAGES);
    bench_expect(area, "set.100", "there is memory");
    list_choose(&list, SET_PAGES, area, order, REGION_PAGES);
    for (size_t i = 0; i < list.count; i++)
        bench_expect(key_attach(list.pages[i], 1), "set.100", "a page gets the key");
    key_forbid(NULL);
    for (size_t i = 0; i < list.count; i++)
        bench_expect(bench_write_traps(list.pages[i]), "set.100",
                     "a write to the set is delivered");
    key_allow(NULL);
    for (size_t i = 0; i < list.count; i++)
        bench_expect(!bench_write_traps(list.pages[i]), "set.100", "then it is not delivered");
    run_set("pkey", &list, key_forbid, key_allow);
    area_close(area, REGION_PAGES);
    key_end();
}

void bench_protn(void)
{
    for (size_t i = 0; protections[i]; i++) {
        area = area_open(REGION_PAGES);
        bench_expect(area && protections[i]->begin(area, REGION_PAGES), "protn", "there is memory");
        run_by(protections[i]);
        run_list_set(protections[i]);
        area_close(area, REGION_PAGES);
    }
    run_huge();
    run_key_set();
}
