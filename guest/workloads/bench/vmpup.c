/*
 * The combinations that Appel and Li's paper measures, as its author's program runs them: 100 pages
 * in a random permutation, no access, writes, 100 rounds. Beside them the variant of later ports
 * (in Dune's and hv6's benchmarks): the pages in order, only writes forbidden, and the page that is
 * protected on a fault is one that nobody touches; its trap ends at the handler.
 */
/* The handlers and the calls that they inline keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/workloads/bench/bench.h"
#include "guest/workloads/bench/walk.h"

enum {
    PAGES = WALK_PAGES,
    ROUNDS = 100,
};

static char *region;         /* 2 * PAGES pages */
static char *unprotected;    /* vmpup.appel1: the page unprotected last */
static unsigned faults_left; /* in this round */
static const char *row;

static uint64_t
    access_start; /* dune.trap: when the access began, and what its faults took so far */
static uint64_t delivery_ticks;

TRAP_LEAN_HANDLER static void empty_handler(struct trapline_fault *fault)
{
    if (--faults_left == 0)
        fault->rip = (uint64_t)bench_touch_end;
}

TRAP_LEAN_HANDLER static void appel1_handler(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);

    faults_left--;
    prot1(unprotected, TRAPLINE_NONE);
    unprot(page);
    unprotected = page;
}

/* The same with both calls in one exit. */
TRAP_LEAN_HANDLER static void appel1_pair_handler(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);

    faults_left--;
    prot1_unprot(unprotected, TRAPLINE_NONE, page);
    unprotected = page;
}

TRAP_LEAN_HANDLER static void appel2_handler(struct trapline_fault *fault)
{
    faults_left--;
    unprot(trap_page(fault));
}

TRAP_LEAN_HANDLER static void dune_appel1_handler(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);

    faults_left--;
    unprot(page);
    prot1(page + PAGES * PAGE, TRAPLINE_NONE);
}

TRAP_LEAN_HANDLER static void dune_trap_handler(struct trapline_fault *fault)
{
    delivery_ticks += bench_stop() - access_start;
    faults_left--;
    fault->rip = (uint64_t)bench_touch_end;
}

static void write_in_order(void)
{
    for (int i = 0; i < PAGES; i++)
        *(volatile char *)(region + (size_t)i * PAGE) = 1;
}

static void run_trap(void *ctx)
{
    bench_touch(ctx);
}

static void run_appel1(void *ctx)
{
    (void)ctx;
    walk_write();
}

static void run_appel2(void *ctx)
{
    (void)ctx;
    protn_range(region, PAGES, TRAPLINE_NONE);
    walk_write();
}

static void run_dune_trap(void *ctx)
{
    (void)ctx;
    delivery_ticks = 0;
    for (int i = 0; i < PAGES; i++) {
        access_start = bench_start();
        bench_touch(region + (size_t)i * PAGE);
    }
    delivery_ticks -= PAGES * bench_clock_cost();
}

static void run_dune_appel1(void *ctx)
{
    (void)ctx;
    write_in_order();
}

static void run_dune_appel2(void *ctx)
{
    (void)ctx;
    protn_range(region, PAGES, TRAPLINE_READ);
    write_in_order();
}

static void reset_faults(void *ctx)
{
    (void)ctx;
    faults_left = PAGES;
}

static void reset_dune(void *ctx)
{
    reset_faults(ctx);
    unprot_range(region, 2 * PAGES);
    protn_range(region, PAGES, TRAPLINE_READ);
}

/* Each round is checked: a fault for each page. */
static void check_faults(void *ctx)
{
    (void)ctx;
    bench_expect(faults_left == 0, row, "there is one fault for each page");
}

static void run(const char *name, trap_handler *handler, void (*before)(void *),
                void (*body)(void *), const uint64_t *measured)
{
    const struct bench_op op = {.name = name,
                                .per = "fault",
                                .rounds = ROUNDS,
                                .ops = PAGES,
                                .before = before,
                                .run = body,
                                .after = check_faults,
                                .measured = measured};

    if (!bench_wanted(name))
        return;
    row = name;
    trap(handler, TRAP_LEAN);
    bench_run(&op, region);
    trap(NULL, 0);
    unprot_range(region, 2 * PAGES);
}

void bench_vmpup(void)
{

    region = pages_alloc(2 * PAGES, 1);
    bench_expect(region, "vmpup", "there is memory");
    walk_over(region);

    prot1(region, TRAPLINE_NONE);
    run("vmpup.trap", empty_handler, reset_faults, run_trap, NULL);

    protn_range(region, PAGES, TRAPLINE_NONE);
    unprotected = region + PAGES * PAGE; /* on the first fault, a page that nobody writes to */
    run("vmpup.appel1", appel1_handler, reset_faults, run_appel1, NULL);
    protn_range(region, PAGES, TRAPLINE_NONE);
    unprotected = region + PAGES * PAGE;
    run("vmpup.appel1.pair", appel1_pair_handler, reset_faults, run_appel1, NULL);
    run("vmpup.appel2", appel2_handler, reset_faults, run_appel2, NULL);
    bench_rate();

    unprot_range(region, 2 * PAGES);
    run("dune.trap", dune_trap_handler, reset_dune, run_dune_trap, &delivery_ticks);
    run("dune.appel1", dune_appel1_handler, reset_dune, run_dune_appel1, NULL);
    run("dune.appel2", appel2_handler, reset_faults, run_dune_appel2, NULL);

    unprot_range(region, 2 * PAGES);
    pages_free(region, 2 * PAGES);
}
