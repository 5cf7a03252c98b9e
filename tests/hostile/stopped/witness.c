/*
 * A guest that behaves well beside others that do not: it goes on working for a while, and nothing
 * of what it does may come out otherwise.
 */
#include "probe.h"

enum {
    REGION_PAGES = 1024,
    ROUNDS = 12,
};

static uint64_t *region;

static uint64_t word(unsigned page, unsigned round)
{
    return (page + 1) * 0x9e3779b97f4a7c15 ^ round;
}

static void check_memory(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned page = 0; page < REGION_PAGES; page++)
            region[page * (PAGE / 8) + page % 512] = word(page, round);
        for (unsigned page = 0; page < REGION_PAGES; page++)
            EXPECT_EQ(region[page * (PAGE / 8) + page % 512], word(page, round));
    }
}

static void check_protection(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        check_at("round %u", round);
        EXPECT_EQ(protn_range(region, REGION_PAGES, TRAPLINE_READ), 0);
        for (unsigned page = round; page < REGION_PAGES; page += 5) {
            char *const address = (char *)region + page * PAGE;

            EXPECT_EQ(probe(address, TRAPLINE_READ), 0);
            EXPECT_EQ(probe(address, TRAPLINE_WRITE), 1);
            EXPECT_EQ(unprot(address), 0);
            EXPECT_EQ(probe(address, TRAPLINE_WRITE), 0);
        }
        EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    }
}

static void check_dirty(void)
{
    static void *buffer[REGION_PAGES];
    size_t left = 0;

    EXPECT_EQ(track(region, REGION_PAGES, 1), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        check_at("round %u", round);
        for (unsigned page = 0; page < REGION_PAGES; page += 3)
            region[page * (PAGE / 8)] = round;
        EXPECT_EQ(dirty(region, REGION_PAGES, buffer, REGION_PAGES, &left), (REGION_PAGES + 2) / 3);
        EXPECT_EQ(left, 0);
    }
    EXPECT_EQ(track(region, REGION_PAGES, 0), 0);
}

static void check_aliases(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        char *const window = alias_window();

        check_at("round %u", round);
        EXPECT_EQ(map2_range(region, 100, window, ACCESS_RW), 0);
        for (unsigned page = 0; page < 100; page++) {
            *(volatile unsigned *)(window + page * PAGE) = page + round;
            EXPECT_EQ(*(unsigned *)((char *)region + page * PAGE), page + round);
        }
        EXPECT_EQ(unmap2_range(window, 100), 0);
    }
}

/* RAM was zero when the guest began: nothing of another guest's came with it. */
static void check_zero(void)
{
    uint64_t rest = 0;

    for (uint64_t at = 6ul << 20; at < ram_size() - BYTES_2M; at += 8)
        rest |= *(const volatile uint64_t *)at;
    EXPECT_EQ(rest, 0);
}

static const struct check checks[] = {
    {"witness: memory begins as zero", check_zero},
    {"witness: memory", check_memory},
    {"witness: protection", check_protection},
    {"witness: dirty pages", check_dirty},
    {"witness: aliases", check_aliases},
    {"witness: memory again", check_memory},
};

int main(void)
{
    region = (uint64_t *)need_pages(REGION_PAGES, PAGES_2M);
    return RUN_CHECKS(checks);
}
