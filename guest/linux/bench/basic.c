/* One page at a time: TRAP, PROT1, UNPROT; and the system call that does nothing. */
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/linux/bench/area.h"
#include "guest/linux/bench/bench.h"
#include "guest/linux/bench/fault.h"
#include "guest/linux/bench/key.h"
#include "guest/linux/bench/protection.h"

enum {
    ROUNDS = 10000,
    ONE_PAGE_ROUNDS = 5000,
};

static const char own_mode[] = "mprotect-own";

/* Not getpid(), which a C library may answer by itself. */
static void run_null(void *ctx)
{
    (void)ctx;
    syscall(SYS_getpid);
}

static void run_trap(const char *mode, char *page)
{
    const struct bench_op op = {.name = "trap",
                                .mode = mode,
                                .per = "fault",
                                .rounds = ROUNDS,
                                .ops = 1,
                                .run = bench_touch};

    fault_handle(fault_step_over);
    bench_run(&op, page);
    fault_handle(NULL);
}

static void run_changes(const char *mode, struct range *range)
{
    const struct bench_op protect = {.name = "prot1",
                                     .mode = mode,
                                     .per = "op",
                                     .rounds = ONE_PAGE_ROUNDS,
                                     .ops = 1,
                                     .run = range_forbid,
                                     .after = range_allow};
    const struct bench_op unprotect = {.name = "unprot",
                                       .mode = mode,
                                       .per = "op",
                                       .rounds = ONE_PAGE_ROUNDS,
                                       .ops = 1,
                                       .before = range_forbid,
                                       .run = range_allow};

    bench_run(&protect, range);
    bench_run(&unprotect, range);
}

/* A page in the middle of a mapping, which mprotect() makes three of and one again. */
static void run_inside(const struct protection *by)
{
    char *const area = area_open(PAGES_2M);
    struct range range = {by, area + PAGES_2M / 2 * PAGE, 1};

    bench_expect(area && by->begin(area, PAGES_2M), "prot1", "there is memory");
    range_check("prot1", &range, true);
    range_forbid(&range);
    run_trap(by->mode, range.page);
    range_allow(&range);
    run_changes(by->mode, &range);
    area_close(area, PAGES_2M);
}

/* A page that is a mapping. */
static void run_alone(void)
{
    struct range range = {&by_mprotect, area_open(1), 1};

    bench_expect(range.page, "prot1", "there is memory");
    range_check("prot1", &range, false);
    run_changes(own_mode, &range);
    area_close(range.page, 1);
}

static void run_key(void)
{
    char *page;

    if (!bench_wanted("trap") || !key_begin())
        return;
    page = area_open(1);
    bench_expect(page && key_attach(page, 1), "trap", "a page gets a protection key");
    key_forbid(NULL);
    bench_expect(bench_write_traps(page), "trap", "a write is delivered");
    run_trap("pkey", page);
    key_allow(NULL);
    bench_expect(!bench_write_traps(page), "trap", "then a write is not delivered");
    area_close(page, 1);
    key_end();
}

void bench_basic(void)
{
    static const struct bench_op null = {.name = "hypercall.null",
                                         .mode = "syscall",
                                         .per = "op",
                                         .rounds = ROUNDS,
                                         .ops = 1,
                                         .run = run_null};

    bench_expect(syscall(SYS_getpid) == getpid(), null.name, "it returns the process's number");
    bench_run(&null, NULL);
    for (size_t i = 0; protections[i]; i++)
        run_inside(protections[i]);
    run_alone();
    run_key();
}
