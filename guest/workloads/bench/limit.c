/*
 * What a forbidden access costs when there is nothing between the CPU and the program: page faults
 * that go straight to limit.asm, which changes the page tables' entries itself. No runtime can be
 * faster; the difference to the rows pt.* is what a general one takes.
 *
 * The programs are those of vmpup.*. The vector is the whole guest's, and only the translations of
 * this vCPU are dropped: where others run there is only limit.trap.
 */
#include "guest/runtime/page_tables.h"
#include "guest/runtime/runtime.h"
#include "guest/workloads/bench/bench.h"
#include "guest/workloads/bench/limit.h"
#include "guest/workloads/bench/walk.h"

enum {
    PAGES = WALK_PAGES,
    ROUNDS = 10000,
    VMPUP_ROUNDS = 100,
};

uint64_t limit_allowed;

static const char mode[] = "limit";
static struct region *region;
static volatile uint64_t *entries;

static uint64_t number_of(const void *page)
{
    return (uint64_t)page >> TRAPLINE_PAGE_SHIFT;
}

static bool present(const void *page)
{
    return page_tables_read((uint64_t)page) & PTE_PRESENT;
}

static void protect_all(void)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < PAGES; i++)
        entries[i] &= ~(uint64_t)PTE_PRESENT;
    if (PAGES >= page_tables_flush_all_from)
        flush_all();
    else
        flush_pages(region->base, PAGES);
}

static void run_appel1(void *ctx)
{
    (void)ctx;
    walk_write();
}

static void run_appel2(void *ctx)
{
    (void)ctx;
    protect_all();
    walk_write();
}

static void check_last(void *ctx)
{
    (void)ctx;
    bench_expect(limit_allowed == number_of(walk[PAGES - 1]), "limit.appel1",
                 "the last page written is the one that is allowed");
}

static void check_all(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < PAGES; i++)
        bench_expect(present(walk[i]), "limit.appel2", "there is a fault for each page");
}

static void run_trap_row(void)
{
    static const struct bench_op op = {.name = "limit.trap",
                                       .mode = mode,
                                       .per = "fault",
                                       .rounds = ROUNDS,
                                       .ops = 1,
                                       .run = bench_touch};
    volatile char *const page = region_base(region);

    if (!bench_wanted(op.name))
        return;
    region_prot1(region, (void *)page, TRAPLINE_NONE);
    cpu_borrow_page_fault_gate(limit_skip);
    bench_run(&op, (void *)page);
    cpu_borrow_page_fault_gate(NULL);
    bench_expect(bench_write_traps((void *)page), op.name, "the runtime has the page faults again");
    region_unprot(region, (void *)page);
    bench_expect(*page == 0, op.name, "the stopped writes had no effect");
}

/* Each write faults, also in a second round, and takes the right from the page before. */
static void check_appel1(void)
{
    for (int i = 0; i < 2 * PAGES; i++) {
        const uint64_t before = limit_allowed;
        char *const page = walk[i % PAGES];

        *(volatile char *)page = 1;
        bench_expect(limit_allowed == number_of(page) && present(page) &&
                         !present((void *)(before << TRAPLINE_PAGE_SHIFT)),
                     "limit.appel1", "a write allows its page and forbids the one before");
    }
}

static void run_appel1_row(void)
{
    static const struct bench_op op = {.name = "limit.appel1",
                                       .mode = mode,
                                       .per = "fault",
                                       .rounds = VMPUP_ROUNDS,
                                       .ops = PAGES,
                                       .run = run_appel1,
                                       .after = check_last};

    if (!bench_wanted(op.name))
        return;
    limit_allowed = number_of(region_base(region)) + PAGES; /* a page that nobody writes to */
    protect_all();
    cpu_borrow_page_fault_gate(limit_appel1);
    check_appel1();
    bench_run(&op, NULL);
    cpu_borrow_page_fault_gate(NULL);
}

static void run_appel2_row(void)
{
    static const struct bench_op op = {.name = "limit.appel2",
                                       .mode = mode,
                                       .per = "fault",
                                       .rounds = VMPUP_ROUNDS,
                                       .ops = PAGES,
                                       .run = run_appel2,
                                       .after = check_all};

    if (!bench_wanted(op.name))
        return;
    cpu_borrow_page_fault_gate(limit_appel2);
    bench_run(&op, NULL);
    cpu_borrow_page_fault_gate(NULL);
}

void bench_limit(void)
{

    if (!bench_wanted("limit.trap") && !bench_wanted("limit.appel1") &&
        !bench_wanted("limit.appel2"))
        return;
    if (region_create(&region, PAGES + 1, 1, REGION_PT) != 0) {
        printf("bench: limit.* left out: there are no regions over page tables on this CPU\n");
        return;
    }
    entries = page_tables_entry(region->base);
    walk_over(region_base(region));
    run_trap_row();
    if (bench_others()) {
        printf("bench: limit.appel1 and limit.appel2 left out: they reach no other vCPU\n");
    } else {
        run_appel1_row();
        run_appel2_row();
    }
    region_unprot_range(region, region_base(region), PAGES + 1);
    region_destroy(region);
}
