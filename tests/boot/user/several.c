/*
 * Ring 3 on several vCPUs at once: each has its own stack, system calls and faults, and what is
 * taken away from user mode is taken away from that of all.
 */
/* System calls' handlers keep to the general registers. */
#pragma GCC target("general-regs-only")

#include <trapline/user.h>

#include "threads.h"

enum {
    ROUNDS = 200,
    TAKEN_ROUNDS = 20,
    VECTOR_UD = 6,
    VECTOR_PF = 14,
    CALL_INDEX = 7,
    WATCH_TICKS = 4000,
};

static char *stacks, *page;
static atomic_uint wrong, opened, rounds_done[VCPUS_MAX];
static atomic_bool stop;
static struct region *region;

static char *stack_end(void)
{
    return stacks + (vcpu_index() + 1) * PAGE;
}

static void expect(bool condition)
{
    if (!condition)
        atomic_fetch_add(&wrong, 1);
}

USER_HANDLER static int64_t on_call(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                    uint64_t number)
{
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    return number == CALL_INDEX ? (int64_t)(vcpu_index() * 1000 + a) : -1;
}

/* Sums what its calls return, with numbers of its own on its stack meanwhile. */
USER_CODE static int64_t call_often(uint64_t argument)
{
    volatile int64_t sum = 0;

    for (uint64_t i = 0; i < argument; i++)
        sum += user_syscall(CALL_INDEX, i, 0, 0, 0, 0);
    return sum;
}

USER_CODE static int64_t undefined(uint64_t argument)
{
    __asm__ volatile("ud2" : : "a"(argument));
    return 0;
}

USER_CODE static int64_t add_one(uint64_t argument)
{
    ++*(volatile uint64_t *)argument;
    return 0;
}

USER_CODE static int64_t add_for_ever(uint64_t argument)
{
    for (;;)
        ++*(volatile uint64_t *)argument;
    return 0;
}

static void open_page(struct trapline_fault *fault)
{
    atomic_fetch_add(&opened, 1);
    expect((fault->cs & 3) == 3 && trap_page(fault) == page);
    expect(region_unprot(region, page) == 0);
}

/* System calls, an exception, and an access to a page that another vCPU protects, by turns. */
static void use_all(void *argument)
{
    const uint64_t self = vcpu_index();
    struct user_result end;

    (void)argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        expect(user_run(call_often, 10, stack_end(), &end) == 0 && end.how == USER_RETURNED &&
               end.value == (int64_t)(self * 10000 + 45));
        expect(user_run(undefined, i, stack_end(), &end) == 0 && end.how == USER_FAULTED &&
               end.vector == VECTOR_UD);
        expect(user_run(add_one, (uint64_t)page + self * 8, stack_end(), &end) == 0 &&
               end.how == USER_RETURNED);
        atomic_fetch_add(&rounds_done[self], 1);
    }
}

static void begin(enum region_mechanism mechanism)
{
    atomic_store(&wrong, 0);
    atomic_store(&opened, 0);
    EXPECT_EQ(region_create(&region, 1, 1, mechanism), 0);
    page = region_base(region);
    EXPECT_EQ(user_allow(page, 1, true), 0);
}

static void end_region(void)
{
    EXPECT_EQ(user_allow(page, 1, false), 0);
    region_destroy(region);
    EXPECT_EQ(atomic_load(&wrong), 0);
}

static bool all_done(void)
{
    for (unsigned v = 1; v < vcpu_count(); v++)
        if (atomic_load(&rounds_done[v]) < ROUNDS)
            return false;
    return true;
}

static uint64_t counter(unsigned vcpu)
{
    uint64_t value;

    user_access_begin();
    value = ((volatile uint64_t *)page)[vcpu];
    user_access_end();
    return value;
}

static void check_at_once(void)
{
    for (enum region_mechanism mechanism = REGION_EPT; mechanism <= REGION_PT; mechanism++) {
        check_at("%s", region_mechanism_name(mechanism));
        begin(mechanism);
        user_syscalls(on_call);
        region_trap(open_page, 0);
        for (unsigned v = 1; v < vcpu_count(); v++)
            atomic_store(&rounds_done[v], 0);
        EXPECT_EQ(region_prot1(region, page, TRAPLINE_NONE), 0); /* they may be done at once */
        threads_start(use_all, NULL);
        while (!all_done()) {
            EXPECT_EQ(region_prot1(region, page, TRAPLINE_NONE), 0);
            nap();
        }
        threads_join();
        EXPECT_EQ(region_unprot(region, page), 0);
        for (unsigned v = 1; v < vcpu_count(); v++)
            EXPECT_EQ(counter(v), ROUNDS);
        EXPECT(atomic_load(&opened) > 0);
        region_trap(NULL, 0);
        user_syscalls(NULL);
        end_region();
    }
}

/* In user mode until the page is taken away; then again, when it is there. */
static void add_while_allowed(void *argument)
{
    const uint64_t own = (uint64_t)page + vcpu_index() * 8;
    struct user_result end;

    (void)argument;
    while (!atomic_load(&stop)) {
        if (!user_may(page, PAGE, TRAPLINE_READ)) {
            nap();
            continue;
        }
        expect(user_run(add_for_ever, own, stack_end(), &end) == 0 && end.how == USER_FAULTED &&
               end.vector == VECTOR_PF && end.address == own);
    }
}

static void check_taken_back(void)
{
    begin(REGION_PT);
    atomic_store(&stop, false);
    threads_start(add_while_allowed, NULL);
    for (unsigned round = 0; round < TAKEN_ROUNDS; round++) {
        uint64_t then[VCPUS_MAX], start;

        check_at("round %u", round);
        for (unsigned v = 1; v < vcpu_count(); v++) {
            then[v] = counter(v);
            WAIT_UNTIL(counter(v) > then[v] + round);
        }
        atomic_store(&stop, round == TAKEN_ROUNDS - 1);
        EXPECT_EQ(user_allow(page, 1, false), 0);
        for (unsigned v = 1; v < vcpu_count(); v++)
            then[v] = counter(v);
        nap();
        for (start = rdtsc(); rdtsc() - start < WATCH_TICKS;)
            __builtin_ia32_pause();
        for (unsigned v = 1; v < vcpu_count(); v++)
            EXPECT_EQ(counter(v), then[v]);
        if (round < TAKEN_ROUNDS - 1)
            EXPECT_EQ(user_allow(page, 1, true), 0);
    }
    threads_join();
    EXPECT_EQ(user_allow(page, 1, true), 0);
    end_region();
}

static void check_keys(void)
{
    struct region *keys;

    EXPECT_EQ(region_create(&keys, 1, 1, REGION_KEY), -TRAPLINE_EOPNOTSUPP);
}

static const struct check checks[] = {
    {"user mode of several vCPUs: calls, exceptions and faults at once", check_at_once},
    {"user mode of several vCPUs: a page taken back from all", check_taken_back},
    {"user mode of several vCPUs: no protection keys", check_keys},
};

int main(void)
{
    stacks = need_pages(vcpu_count(), 1);
    if (user_allow(stacks, vcpu_count(), true))
        return EXIT_FAILURE;
    return RUN_CHECKS(checks);
}
