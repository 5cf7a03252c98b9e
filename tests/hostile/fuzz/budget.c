/*
 * The guest's table budget: what needs tables that are not there returns ENOMEM and has changed
 * nothing, what needs none works, and with some given back everything works again.
 */
#include "probe.h"

static char *window;
static char *untouched; /* 2 MiB pieces that are still in one large page each */

enum {
    UNTOUCHED = 6, /* pieces */
};

/*
 * A page allows reading and writing, or reading, or nothing. Code is not run there: where the CPU
 * must not execute from large pages, that needs a table.
 */
static unsigned data_allowed(void *page)
{
    return (probe(page, TRAPLINE_READ) == 0 ? TRAPLINE_READ : 0) |
           (probe(page, TRAPLINE_WRITE) == 0 ? TRAPLINE_WRITE : 0);
}

/* Use the budget up by aliases, each 2 MiB from the last; returns how many there are. */
static unsigned use_up(const char *page)
{
    const unsigned most = (unsigned)(alias_window_pages() / PAGES_2M);
    unsigned count = 0;

    while (count < most && map2((void *)page, window + count * BYTES_2M, ACCESS_RW) == 0)
        count++;
    return count;
}

static void check_exhausted(void)
{
    static void *list[UNTOUCHED];
    char *const page = need_pages(1, 1);
    const bool large = has_feature(TRAPLINE_FEATURE_EPT_2M);
    unsigned first = 0;

    plant_ret(page, 1);
    for (size_t i = 0; i < UNTOUCHED; i++) {
        list[i] = untouched + i * BYTES_2M + 5 * PAGE;
        plant_ret(list[i], 1);
        plant_ret((char *)list[i] + PAGE, 1);
    }
    for (int round = 0; round < 3; round++) {
        const unsigned count = use_up(page);
        char *const next = window + count * BYTES_2M;
        struct trapline_stats counts;
        size_t bad = 99;
        unsigned worked = 0;

        check_at("round %d: %u aliases", round, count);
        EXPECT(count > 10 && count < alias_window_pages() / PAGES_2M);
        if (round == 0)
            first = count;
        EXPECT_EQ(count, first); /* nothing is lost from round to round */
        EXPECT_EQ(map2(page, next, ACCESS_RW), -TRAPLINE_ENOMEM);
        EXPECT_EQ(unmap2(next), -TRAPLINE_ENOENT);
        EXPECT_EQ(stats(&counts), 0);
        EXPECT(counts.table_pages <= counts.table_budget);
        /* What is there still works. */
        for (unsigned i = 0; i < count; i += 7) {
            window[i * BYTES_2M + 1] = (char)i;
            EXPECT_EQ(page[1], (char)i);
        }
        EXPECT_EQ(prot1(window, TRAPLINE_READ), 0);
        EXPECT_EQ(data_allowed(window), TRAPLINE_READ);
        EXPECT_EQ(unprot(window), 0);
        if (large) {
            /* Splits need a table; whatever was kept in reserve is used up first. */
            while (worked < UNTOUCHED && prot1(list[worked], TRAPLINE_READ) == 0)
                worked++;
            EXPECT(worked < UNTOUCHED);
            EXPECT_EQ(data_allowed(list[UNTOUCHED - 1]), ACCESS_RW);
            EXPECT_EQ(unprot_range(untouched, UNTOUCHED * PAGES_2M), 0);
            EXPECT_EQ(protn_at(list, UNTOUCHED, TRAPLINE_NONE, &bad), -TRAPLINE_ENOMEM);
            EXPECT(bad < UNTOUCHED);
            for (size_t i = 0; i < UNTOUCHED; i++)
                EXPECT_EQ(data_allowed(list[i]), ACCESS_RW);
            EXPECT_EQ(track(untouched, UNTOUCHED * PAGES_2M, 1), -TRAPLINE_ENOMEM);
            EXPECT_EQ(dirty(untouched, 1, list, 0, NULL), -TRAPLINE_EINVAL);
            /* A whole large page needs none. */
            EXPECT_EQ(protn_range(untouched, PAGES_2M, TRAPLINE_READ), 0);
            EXPECT_EQ(data_allowed(list[0]), TRAPLINE_READ);
            EXPECT_EQ(unprot_range(untouched, PAGES_2M), 0);
        }
        /* With some given back it goes on. */
        for (unsigned i = 0; i < 10; i++)
            EXPECT_EQ(unmap2(window + i * BYTES_2M), 0);
        EXPECT_EQ(protn_at(list, UNTOUCHED, TRAPLINE_NONE, &bad), 0);
        for (size_t i = 0; i < UNTOUCHED; i++) {
            EXPECT_EQ(data_allowed(list[i]), TRAPLINE_NONE);
            EXPECT_EQ(data_allowed((char *)list[i] + PAGE), ACCESS_RW);
        }
        EXPECT_EQ(unprot_range(untouched, UNTOUCHED * PAGES_2M), 0);
        for (unsigned i = 10; i < count; i++)
            EXPECT_EQ(unmap2(window + i * BYTES_2M), 0);
        EXPECT_EQ(data_allowed(page), ACCESS_RW);
    }
    pages_free(page, 1);
}

static const struct check checks[] = {
    {"budget: used up, and given back", check_exhausted},
};

int main(void)
{
    window = alias_window();
    untouched = need_pages(UNTOUCHED * PAGES_2M, PAGES_2M);
    return RUN_CHECKS(checks);
}
