/* The primitives one page at a time. */
/* The handler keeps to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/workloads/bench/bench.h"

enum {
    ROUNDS = 10000,
    ONE_PAGE_ROUNDS = 5000,
};

static void run_null(void *ctx)
{
    (void)ctx;
    hypercall_null();
}

TRAP_LEAN_HANDLER static void step_over(struct trapline_fault *fault)
{
    fault->rip = (uint64_t)bench_touch_end;
}

static void do_prot1(void *page)
{
    prot1(page, TRAPLINE_NONE);
}

static void do_unprot(void *page)
{
    unprot(page);
}

static void check(char *page)
{
    bench_expect(hypercall_null() == 0, "hypercall.null", "it returns 0");
    bench_expect(prot1(page, TRAPLINE_NONE) == 0, "prot1", "it succeeds");
    bench_expect(bench_write_traps(page), "prot1", "a write is delivered");
    bench_expect(bench_read_traps(page), "prot1", "a read is delivered");
    bench_expect(unprot(page) == 0, "unprot", "it succeeds");
    bench_expect(*page == 0, "trap", "the stopped write had no effect");
    bench_expect(!bench_write_traps(page), "unprot", "a write is not delivered");
    bench_expect(*page == 1, "unprot", "the write has its effect");
}

void bench_basic(void)
{
    static const struct bench_op null = {
        .name = "hypercall.null", .per = "op", .rounds = ROUNDS, .ops = 1, .run = run_null};
    static const struct bench_op deliver = {
        .name = "trap", .per = "fault", .rounds = ROUNDS, .ops = 1, .run = bench_touch};
    static const struct bench_op protect = {.name = "prot1",
                                            .per = "op",
                                            .rounds = ONE_PAGE_ROUNDS,
                                            .ops = 1,
                                            .run = do_prot1,
                                            .after = do_unprot};
    static const struct bench_op unprotect = {.name = "unprot",
                                              .per = "op",
                                              .rounds = ONE_PAGE_ROUNDS,
                                              .ops = 1,
                                              .before = do_prot1,
                                              .run = do_unprot};
    char *const region = pages_alloc(PAGES_2M, PAGES_2M), *const page = region + PAGE;

    bench_expect(region, "prot1", "there is memory");
    /* One page stays protected, so that the 2 MiB around it stay in small pages, as in real use. */
    bench_expect(prot1(region, TRAPLINE_NONE) == 0, "prot1", "it succeeds");
    check(page);

    bench_unit();
    bench_run(&null, NULL);
    prot1(page, TRAPLINE_NONE);
    trap(step_over, TRAP_LEAN);
    bench_run(&deliver, page);
    trap(NULL, 0);
    unprot(page);
    bench_run(&protect, page);
    bench_run(&unprotect, page);

    unprot(region);
    pages_free(region, PAGES_2M);
}
