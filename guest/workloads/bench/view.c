/*
 * Views: switching, restricting, and a TRAP whose handler works in the full view. The protections
 * are undone outside of the time; mode says how views are switched and faults delivered.
 */
/* The handler and the calls that it inlines keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include <trapline/view.h>

#include "guest/workloads/bench/bench.h"
#include "guest/workloads/bench/walk.h"

enum {
    PAGES = WALK_PAGES,
    SWITCHES = 2, /* there and back */
    SWITCH_ROUNDS = 10000,
    ROUNDS = 1000,
    TRAP_ROUNDS = 100,
    RW = TRAPLINE_READ | TRAPLINE_WRITE,
    ALL = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
};

static char *region;
static unsigned view;
static unsigned faults_left;

static const char *mode(unsigned exitless)
{
    return (guest_info()->features & exitless) == exitless ? "exitless" : "exit";
}

static size_t all_pages(void)
{
    return (size_t)alias_window() / PAGE + alias_window_pages();
}

static void there_and_back(void *ctx)
{
    (void)ctx;
    view_switch(view);
    view_switch(0);
}

static void restrict_all(void *ctx)
{
    (void)ctx;
    view_prot(view, NULL, all_pages(), TRAPLINE_NONE);
}

static void open_all(void *ctx)
{
    (void)ctx;
    view_prot(view, NULL, all_pages(), ALL);
}

static void restrict_region(void *ctx)
{
    (void)ctx;
    view_prot(view, region, PAGES, TRAPLINE_NONE);
}

static void open_region(void *ctx)
{
    (void)ctx;
    view_prot(view, region, PAGES, ALL);
}

static void restrict_page(void *ctx)
{
    view_prot(view, ctx, 1, TRAPLINE_NONE);
}

static void open_page(void *ctx)
{
    view_prot(view, ctx, 1, ALL);
}

TRAP_LEAN_HANDLER static void handler(struct trapline_fault *fault)
{
    const unsigned from = view_enter_full();

    faults_left--;
    *(char *)trap_page(fault) = 1;
    view_prot(from, trap_page(fault), 1, RW);
    view_leave(from);
}

static void close_and_enter(void *ctx)
{
    restrict_region(ctx);
    faults_left = PAGES;
    view_switch(view);
}

static void write_all(void *ctx)
{
    (void)ctx;
    walk_write();
}

static void leave_and_check(void *ctx)
{
    (void)ctx;
    view_switch(0);
    bench_expect(faults_left == 0, "view.trap", "there is one fault for each page");
}

static void measure(const char *name, const struct bench_op *op, void *ctx)
{
    struct bench_op named = *op;

    named.name = name;
    if (bench_wanted(name))
        bench_run(&named, ctx);
}

static void check(void)
{
    bench_expect(view_prot(view, region, 1, TRAPLINE_READ) == 0, "view", "it succeeds");
    bench_expect(!bench_write_traps(region), "view", "view 0 is as it was");
    view_switch(view);
    bench_expect(bench_write_traps(region), "view", "a write in the view is delivered");
    bench_expect(!bench_read_traps(region), "view", "a read is not");
    view_switch(0);
    open_all(NULL);
}

void bench_view(void)
{
    const char *const by_vmfunc = mode(TRAPLINE_FEATURE_VMFUNC);
    int made = view_create();

    region = pages_alloc(PAGES, 1);
    bench_expect(region && made > 0, "view", "there is memory");
    view = (unsigned)made;
    walk_over(region);
    check();
    measure("view.switch",
            &(struct bench_op){.mode = by_vmfunc,
                               .per = "op",
                               .rounds = SWITCH_ROUNDS,
                               .ops = SWITCHES,
                               .run = there_and_back},
            NULL);
    measure("view.protn.all",
            &(struct bench_op){
                .per = "call", .rounds = ROUNDS, .ops = 1, .run = restrict_all, .after = open_all},
            NULL);
    /* A page that stays restricted, so that there are tables, as in real use. */
    restrict_page(region + (PAGES - 1) * PAGE);
    measure("view.protn.100",
            &(struct bench_op){.per = "call",
                               .rounds = ROUNDS,
                               .ops = 1,
                               .before = restrict_page,
                               .run = restrict_region,
                               .after = open_region},
            region);
    restrict_page(region + (PAGES - 1) * PAGE);
    measure("view.prot1",
            &(struct bench_op){
                .per = "op", .rounds = ROUNDS, .ops = 1, .run = restrict_page, .after = open_page},
            region);
    trap(handler, TRAP_LEAN);
    measure("view.trap",
            &(struct bench_op){.mode = mode(TRAPLINE_FEATURE_VMFUNC | TRAPLINE_FEATURE_VE),
                               .per = "fault",
                               .rounds = TRAP_ROUNDS,
                               .ops = PAGES,
                               .before = close_and_enter,
                               .run = write_all,
                               .after = leave_and_check},
            NULL);
    trap(NULL, 0);
    view_destroy(view);
    pages_free(region, PAGES);
}
