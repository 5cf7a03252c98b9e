/*
 * Spaces: switching, restricting, and a TRAP whose handler works in the full space; and PROT1,
 * which is not inlined while there are any. The protections are undone outside of the time; mode
 * says what tags translations: PCIDs, or nothing, so that MOV to CR3 drops them all.
 */
/* The handler and the calls that it inlines keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include <trapline/space.h>

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

static struct region *region;
static unsigned space;
static unsigned faults_left;

static void there_and_back(void *ctx)
{
    (void)ctx;
    space_switch(space);
    space_switch(0);
}

static void restrict_region(void *ctx)
{
    (void)ctx;
    space_prot(space, region, region_base(region), PAGES, TRAPLINE_NONE);
}

static void open_region(void *ctx)
{
    (void)ctx;
    space_prot(space, region, region_base(region), PAGES, ALL);
}

static void restrict_page(void *ctx)
{
    space_prot(space, region, ctx, 1, TRAPLINE_NONE);
}

static void open_page(void *ctx)
{
    space_prot(space, region, ctx, 1, ALL);
}

static void prot1_page(void *ctx)
{
    region_prot1(region, ctx, TRAPLINE_NONE);
}

static void unprot_page(void *ctx)
{
    region_unprot(region, ctx);
}

TRAP_LEAN_HANDLER static void handler(struct trapline_fault *fault)
{
    const unsigned from = space_enter_full();

    faults_left--;
    *(char *)trap_page(fault) = 1;
    space_prot(from, region, trap_page(fault), 1, RW);
    space_leave(from);
}

static void close_and_enter(void *ctx)
{
    restrict_region(ctx);
    faults_left = PAGES;
    space_switch(space);
}

static void write_all(void *ctx)
{
    (void)ctx;
    walk_write();
}

static void leave_and_check(void *ctx)
{
    (void)ctx;
    space_switch(0);
    bench_expect(faults_left == 0, "space.trap", "there is one fault for each page");
}

static void measure(const char *name, const struct bench_op *op, void *ctx)
{
    struct bench_op named = *op;

    named.name = name;
    named.mode = space_tagged ? "pcid" : "cr3";
    if (bench_wanted(name))
        bench_run(&named, ctx);
}

static void check(void)
{
    void *const page = region_base(region);

    bench_expect(space_prot(space, region, page, 1, TRAPLINE_READ) == 0, "space", "it succeeds");
    bench_expect(!bench_write_traps(page), "space", "space 0 is as it was");
    space_switch(space);
    bench_expect(bench_write_traps(page), "space", "a write in the space is delivered");
    bench_expect(!bench_read_traps(page), "space", "a read is not");
    bench_expect(region_prot1(region, page, TRAPLINE_NONE) == 0, "space", "it succeeds");
    bench_expect(bench_read_traps(page), "space", "what space 0 forbids is forbidden");
    region_unprot(region, page);
    space_switch(0);
    open_region(NULL);
}

static bool open(void)
{
    int made;

    if (region_create(&region, PAGES, 1, REGION_PT) != 0)
        return false;
    made = space_create();
    bench_expect(made > 0, "space", "there is memory");
    space = (unsigned)made;
    walk_over(region_base(region));
    return true;
}

void bench_space(void)
{
    if (!open())
        return;
    check();
    measure("space.switch",
            &(struct bench_op){
                .per = "op", .rounds = SWITCH_ROUNDS, .ops = SWITCHES, .run = there_and_back},
            NULL);
    measure("space.prot",
            &(struct bench_op){
                .per = "op", .rounds = ROUNDS, .ops = 1, .run = restrict_page, .after = open_page},
            region_base(region));
    measure("space.prot.100",
            &(struct bench_op){.per = "call",
                               .rounds = ROUNDS,
                               .ops = 1,
                               .run = restrict_region,
                               .after = open_region},
            NULL);
    measure("space.prot1",
            &(struct bench_op){
                .per = "op", .rounds = ROUNDS, .ops = 1, .run = prot1_page, .after = unprot_page},
            region_base(region));
    trap(handler, TRAP_LEAN);
    measure("space.trap",
            &(struct bench_op){.per = "fault",
                               .rounds = TRAP_ROUNDS,
                               .ops = PAGES,
                               .before = close_and_enter,
                               .run = write_all,
                               .after = leave_and_check},
            NULL);
    trap(NULL, 0);
    space_destroy(space);
    region_destroy(region);
}
