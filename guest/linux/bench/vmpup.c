/*
 * The combinations that Appel and Li's paper measures: 100 pages in a random permutation, writes,
 * 100 rounds.
 */
#include <ucontext.h>

#include "guest/linux/bench/area.h"
#include "guest/linux/bench/bench.h"
#include "guest/linux/bench/fault.h"
#include "guest/linux/bench/key.h"
#include "guest/linux/bench/protection.h"
#include "guest/workloads/bench/walk.h"

enum {
    PAGES = WALK_PAGES,
    AREA_PAGES = 2 * PAGES,
    ROUNDS = 100,
};

static const struct protection *by;
static char *area;
static char *unprotected;    /* vmpup.appel1: the page unprotected last */
static unsigned faults_left; /* in this round */
static const char *row;

static void empty_handler(int number, siginfo_t *info, void *context)
{
    if (--faults_left == 0)
        fault_step_over(number, info, context);
}

static void appel1_handler(int number, siginfo_t *info, void *context)
{
    char *const page = fault_page(info);

    (void)number, (void)context;
    faults_left--;
    by->forbid(unprotected, 1);
    by->allow(page, 1);
    unprotected = page;
}

static void appel2_handler(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    faults_left--;
    by->allow(fault_page(info), 1);
}

static void run_appel1(void *ctx)
{
    (void)ctx;
    walk_write();
}

static void run_appel2(void *ctx)
{
    (void)ctx;
    by->forbid(area, PAGES);
    walk_write();
}

static void reset_faults(void *ctx)
{
    (void)ctx;
    faults_left = PAGES;
}

/* Each round is checked: a fault for each page. */
static void check_faults(void *ctx)
{
    (void)ctx;
    bench_expect(faults_left == 0, row, "there is one fault for each page");
}

static void run(const char *name, const char *mode, fault_handler *handler, void (*body)(void *))
{
    const struct bench_op op = {.name = name,
                                .mode = mode,
                                .per = "fault",
                                .rounds = ROUNDS,
                                .ops = PAGES,
                                .before = reset_faults,
                                .run = body,
                                .after = check_faults};

    row = name;
    fault_handle(handler);
    bench_run(&op, area);
    fault_handle(NULL);
}

static void open_area(void)
{

    area = area_open(AREA_PAGES);
    bench_expect(area, "vmpup", "there is memory");
    walk_over(area);
}

static void run_protection(void)
{
    open_area();
    bench_expect(by->begin(area, AREA_PAGES), "vmpup", "the area can be used");
    by->forbid(area, 1);
    run("vmpup.trap", by->mode, empty_handler, bench_touch);
    by->forbid(area, PAGES);
    unprotected = area + PAGES * PAGE; /* on the first fault, a page that nobody writes to */
    run("vmpup.appel1", by->mode, appel1_handler, run_appel1);
    by->allow(area, AREA_PAGES);
    run("vmpup.appel2", by->mode, appel2_handler, run_appel2);
    area_close(area, AREA_PAGES);
}

/* A key is of a set: what changes pages one by one has no use for it. */
static void run_key(void)
{
    if (!bench_wanted("vmpup.trap") || !key_begin())
        return;
    open_area();
    bench_expect(key_attach(area, 1), "vmpup.trap", "a page gets a protection key");
    key_forbid(NULL);
    run("vmpup.trap", "pkey", empty_handler, bench_touch);
    key_allow(NULL);
    area_close(area, AREA_PAGES);
    key_end();
}

void bench_vmpup(void)
{
    for (size_t i = 0; protections[i]; i++) {
        by = protections[i];
        run_protection();
    }
    run_key();
}
