/*
 * A guest of two vCPUs that behaves well beside others that do not: one prepares pages and protects
 * them, the other meets the protection, and nothing may come out otherwise than always.
 */
#include "threads.h"

enum {
    PAGES = 256,
    ROUNDS = 25,
};

static uint64_t *region;
static atomic_uint faults, wrong, phase;

static void count_and_allow(struct trapline_fault *fault)
{
    atomic_fetch_add(&faults, 1);
    unprot(trap_page(fault));
}

static uint64_t word(unsigned page, unsigned round)
{
    return (page + 1) * 0x9e3779b97f4a7c15 ^ round;
}

/* In odd phases this vCPU writes to all pages, which are protected. */
static void writer(void *argument)
{
    (void)argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        WAIT_UNTIL(atomic_load(&phase) == 2 * round + 1);
        for (unsigned page = 0; page < PAGES; page++) {
            if (region[page * (PAGE / 8)] != word(page, round))
                atomic_fetch_add(&wrong, 1);
            region[page * (PAGE / 8)]++;
        }
        atomic_fetch_add(&phase, 1);
    }
}

static void check_protection(void)
{
    static void *dirty_pages[PAGES];
    size_t left = 0;

    region = (uint64_t *)need_pages(PAGES, 1);
    trap(count_and_allow, 0);
    EXPECT_EQ(track(region, PAGES, 1), 0);
    threads_start(writer, NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        check_at("round %u", round);
        for (unsigned page = 0; page < PAGES; page++)
            region[page * (PAGE / 8)] = word(page, round);
        EXPECT_EQ(protn_range(region, PAGES, TRAPLINE_READ), 0);
        EXPECT_EQ(dirty(region, PAGES, dirty_pages, PAGES, &left), PAGES);
        atomic_store(&faults, 0);
        atomic_fetch_add(&phase, 1);
        WAIT_UNTIL(atomic_load(&phase) == 2 * round + 2);
        EXPECT_EQ(atomic_load(&faults), PAGES);
        EXPECT_EQ(dirty(region, PAGES, dirty_pages, PAGES, &left), PAGES);
        for (unsigned page = 0; page < PAGES; page++)
            EXPECT_EQ(region[page * (PAGE / 8)], word(page, round) + 1);
    }
    threads_join();
    EXPECT_EQ(atomic_load(&wrong), 0);
    EXPECT_EQ(track(region, PAGES, 0), 0);
    trap(NULL, 0);
}

/* RAM was zero when the guest began: nothing of another guest's came with it. */
static void check_zero(void)
{
    const uint64_t *const rest = (uint64_t *)need_pages(PAGES, 1);
    uint64_t sum = 0;

    for (unsigned i = 0; i < PAGES * (PAGE / 8); i++)
        sum |= rest[i];
    EXPECT_EQ(sum, 0);
}

static const struct check checks[] = {
    {"memory is zero", check_zero},
    {"protection on two vCPUs", check_protection},
};

int main(void)
{
    return RUN_CHECKS(checks);
}
