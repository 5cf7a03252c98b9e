/* User mode: a system call, and a fault on a page that a protection key forbids. */
/* The handlers keep to the general registers: see USER_HANDLER and TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include <trapline/thread.h>
#include <trapline/user.h>

#include "guest/workloads/bench/bench.h"

enum {
    CALLS = 100,
    ROUNDS = 200,
    STACK_PAGES = 1,
    TOUCH_BYTES = 3, /* of the write in touch(), which has no prefix and no displacement */
};

static char *stack_end;
static struct user_result end;
static struct region *region;

USER_HANDLER static int64_t empty_call(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                       uint64_t number)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    return (int64_t)number;
}

USER_CODE static int64_t call(uint64_t calls)
{
    int64_t sum = 0;

    while (calls-- > 0)
        sum += user_syscall(1, 0, 0, 0, 0, 0);
    return sum;
}

USER_CODE static int64_t touch(uint64_t page)
{
    for (unsigned i = 0; i < CALLS; i++)
        __asm__ volatile("movb $1, (%0)" : : "a"(page) : "memory");
    return CALLS;
}

TRAP_LEAN_HANDLER static void step_over(struct trapline_fault *fault)
{
    fault->rip += TOUCH_BYTES;
}

static void run_calls(void *ctx)
{
    (void)ctx;
    user_run(call, CALLS, stack_end, &end);
}

static void run_no_calls(void *ctx)
{
    (void)ctx;
    user_run(call, 0, stack_end, &end);
}

static void run_touch(void *ctx)
{
    (void)ctx;
    user_run(touch, (uint64_t)region_base(region), stack_end, &end);
}

static void check_sum(void *ctx)
{
    bench_expect(end.how == USER_RETURNED && end.value == CALLS, ctx, "each is made and returns");
}

/* Going to user mode and coming back is not what is measured. */
static void run_row(const char *name, const char *mode, const char *per, void (*body)(void *))
{
    const struct bench_op none = {.name = name, .rounds = ROUNDS, .ops = 1, .run = run_no_calls};
    const struct bench_op op = {.name = name,
                                .mode = mode,
                                .per = per,
                                .rounds = ROUNDS,
                                .ops = CALLS,
                                .run = body,
                                .after = check_sum,
                                .baseline = bench_median(&none, NULL)};

    bench_run(&op, (void *)name);
}

static void run_key_trap(void)
{
    struct region_set *set;
    void *page;

    if (region_create(&region, 1, 1, REGION_KEY) != 0) {
        printf("bench: user.trap left out: this CPU has no protection keys\n");
        return;
    }
    page = region_base(region);
    bench_expect(region_set_create(&set, region, &page, 1) == 0 &&
                     region_set_prot(set, TRAPLINE_NONE) == 0,
                 "user.trap", "the page is forbidden");
    region_trap(step_over, TRAP_LEAN);
    run_row("user.trap", "key", "fault", run_touch);
    region_trap(NULL, 0);
    region_set_destroy(set);
    user_access_begin();
    bench_expect(*(volatile char *)page == 0, "user.trap", "the stopped writes had no effect");
    user_access_end();
    region_destroy(region);
}

void bench_user(void)
{
    const bool calls = bench_wanted("user.syscall"), traps = bench_wanted("user.trap");
    char *stack;

    if (!(calls || traps))
        return;
    if (vcpu_count() > 1) {
        printf("bench: user.* left out: user mode is for guests of one vCPU\n");
        return;
    }
    stack = pages_alloc(STACK_PAGES, 1);
    bench_expect(stack && user_allow(stack, STACK_PAGES, true) == 0, "user", "there is memory");
    stack_end = stack + STACK_PAGES * PAGE;
    user_syscalls(empty_call);
    if (calls)
        run_row("user.syscall", "syscall", "call", run_calls);
    if (traps)
        run_key_trap();
    user_syscalls(NULL);
    user_allow(stack, STACK_PAGES, false);
    pages_free(stack, STACK_PAGES);
}
