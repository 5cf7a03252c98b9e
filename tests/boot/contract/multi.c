/* MULTI: calls in order, up to the first error, and one exit and one flush for all of them. */
#include "probe.h"

static struct trapline_call calls[TRAPLINE_MULTI_MAX + 1] __attribute__((aligned(4096)));

static void put(size_t i, uint64_t number, const void *page, uint64_t b, uint64_t c, uint64_t d)
{
    calls[i] = (struct trapline_call){.number = number, .argument = {(uint64_t)page, b, c, d}};
    calls[i].result = 1;
}

static void check_list(void)
{
    char *const pages = need_pages(4, 1);
    void *const list[] = {pages + PAGE, pages + 2 * PAGE};
    struct trapline_stats before, after;
    void *dirtied[2];
    size_t bad = 77;

    plant_ret(pages, 4);
    put(0, TRAPLINE_HC_TRACK, pages, 1, 1, 0);
    put(1, TRAPLINE_HC_PROT1, pages + PAGE, TRAPLINE_READ, 0, 0);
    put(2, TRAPLINE_HC_PROTN, list, 2, TRAPLINE_NONE, 0);
    put(3, TRAPLINE_HC_UNPROT, pages + 2 * PAGE, 1, 0, 0);
    put(4, TRAPLINE_HC_MAP2, pages + 3 * PAGE, 1, (uint64_t)alias_window(), TRAPLINE_READ);
    put(5, TRAPLINE_HC_NOP, NULL, 0, 0, 0);
    EXPECT_EQ(stats(&before), 0);
    EXPECT_EQ(multi(calls, 6, &bad), 0);
    EXPECT_EQ(stats(&after), 0);
    EXPECT_EQ(bad, 77);
    EXPECT_EQ(after.hypercalls - before.hypercalls, 2);
    EXPECT(after.exits - before.exits <= 4); /* and the timer's, when it came */
    for (size_t i = 0; i < 6; i++)
        EXPECT_EQ(calls[i].result, 0);
    EXPECT_EQ(allowed(pages + PAGE), TRAPLINE_NONE);
    EXPECT_EQ(allowed(pages + 2 * PAGE), ACCESS_ALL);
    EXPECT_EQ(allowed(alias_window()), TRAPLINE_READ);

    *(volatile char *)pages = (char)PROBE_RET;
    put(0, TRAPLINE_HC_DIRTY, pages, 1, (uint64_t)dirtied, 2);
    put(1, TRAPLINE_HC_TRACK, pages, 1, 0, 0);
    put(2, TRAPLINE_HC_UNMAP2, alias_window(), 1, 0, 0);
    put(3, TRAPLINE_HC_UNPROT, pages, 4, 0, 0);
    EXPECT_EQ(multi(calls, 4, NULL), 0);
    EXPECT_EQ(calls[0].result, 1);
    EXPECT_EQ(calls[0].second, 0);
    EXPECT(dirtied[0] == pages);
    EXPECT_EQ(allowed(pages + PAGE), ACCESS_ALL);
    pages_free(pages, 4);
}

static void check_error(void)
{
    static const unsigned refused[] = {
        TRAPLINE_HC_TRAP, TRAPLINE_HC_PRINT,  TRAPLINE_HC_EXIT,  TRAPLINE_HC_STATS,
        TRAPLINE_HC_PARK, TRAPLINE_HC_UNPARK, TRAPLINE_HC_MULTI, TRAPLINE_HC_COUNT,
    };
    char *const pages = need_pages(3, 1);
    size_t bad;

    plant_ret(pages, 3);
    for (size_t i = 0; i < COUNT(refused); i++) {
        check_at("number %u", refused[i]);
        bad = 77;
        put(0, TRAPLINE_HC_PROT1, pages, TRAPLINE_READ, 0, 0);
        put(1, refused[i], NULL, 0, 0, 0);
        put(2, TRAPLINE_HC_PROT1, pages + PAGE, TRAPLINE_READ, 0, 0);
        EXPECT_EQ(multi(calls, 3, &bad), -TRAPLINE_EINVAL);
        EXPECT_EQ(bad, 1);
        EXPECT_EQ(calls[0].result, 0);
        EXPECT_EQ(calls[1].result, -TRAPLINE_EINVAL);
        EXPECT_EQ(calls[2].result, 1);
    }
    EXPECT_EQ(allowed(pages), TRAPLINE_READ);
    EXPECT_EQ(allowed(pages + PAGE), ACCESS_ALL);
    check_at("an error of a call");
    put(0, TRAPLINE_HC_UNPROT, pages, 1, 0, 0);
    put(1, TRAPLINE_HC_PROT1, pages + 8, TRAPLINE_READ, 0, 0);
    EXPECT_EQ(multi(calls, 2, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(bad, 1);
    EXPECT_EQ(allowed(pages), ACCESS_ALL);
    check_at("a list that takes more than one slice");
    put(0, TRAPLINE_HC_PROTN, pages, 2, TRAPLINE_LIST_RANGES, 0);
    EXPECT_EQ(multi(calls, 1, &bad), -TRAPLINE_EINVAL);
    pages_free(pages, 3);
}

static void check_lists(void)
{
    char *const pages = need_pages(2, 1);
    struct trapline_call *const inside = (struct trapline_call *)pages;
    size_t bad = 0;

    EXPECT_EQ(multi(calls, TRAPLINE_MULTI_MAX + 1, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(bad, TRAPLINE_MULTI_MAX + 1);
    EXPECT_EQ(multi((struct trapline_call *)((char *)calls + 4), 1, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(bad, 1);
    EXPECT_EQ(multi((struct trapline_call *)ram_size(), 1, &bad), -TRAPLINE_EFAULT);
    EXPECT_EQ(multi((struct trapline_call *)alias_window(), 1, &bad), -TRAPLINE_EFAULT);
    EXPECT_EQ(multi((struct trapline_call *)~7ul, 1, &bad), -TRAPLINE_EFAULT);
    EXPECT_EQ(multi(calls, 0, &bad), 0);
    *inside = (struct trapline_call){.number = TRAPLINE_HC_PROT1,
                                     .argument = {(uint64_t)pages + PAGE, TRAPLINE_NONE}};
    for (unsigned access = TRAPLINE_NONE; access <= TRAPLINE_READ; access++) {
        EXPECT_EQ(prot1(pages, access), 0);
        EXPECT_EQ(multi(inside, 1, &bad), -TRAPLINE_EFAULT);
        EXPECT_EQ(bad, 1);
    }
    EXPECT_EQ(unprot(pages), 0);
    plant_ret(pages + PAGE, 1);
    EXPECT_EQ(allowed(pages + PAGE), ACCESS_ALL);
    /* A list may protect the page that it lies in. */
    inside->argument[0] = (uint64_t)pages;
    inside->result = 1;
    EXPECT_EQ(multi(inside, 1, &bad), 0);
    EXPECT_EQ(unprot(pages), 0);
    EXPECT_EQ(inside->result, 0);
    pages_free(pages, 2);
}

static void check_pair(void)
{
    enum {
        PAGES = 16
    };
    char *const pages = need_pages(PAGES, 1);
    struct trapline_stats before, after;

    plant_ret(pages, PAGES);
    EXPECT_EQ(protn_range(pages, PAGES, TRAPLINE_NONE), 0);
    EXPECT_EQ(unprot(pages), 0);
    EXPECT_EQ(stats(&before), 0);
    for (size_t i = 0; i + 1 < PAGES; i++)
        EXPECT_EQ(prot1_unprot(pages + i * PAGE, i % 2 ? TRAPLINE_READ : TRAPLINE_NONE,
                               pages + (i + 1) * PAGE),
                  0);
    EXPECT_EQ(stats(&after), 0);
    EXPECT_EQ(after.hypercalls - before.hypercalls, PAGES);
    EXPECT(after.flushes - before.flushes <= PAGES - 1);
    for (size_t i = 0; i + 1 < PAGES; i++)
        EXPECT_EQ(allowed(pages + i * PAGE), i % 2 ? TRAPLINE_READ : TRAPLINE_NONE);
    EXPECT_EQ(allowed(pages + (PAGES - 1) * PAGE), ACCESS_ALL);
    /* The same page: lowered first, then raised. */
    EXPECT_EQ(prot1_unprot(pages, TRAPLINE_NONE, pages), 0);
    EXPECT_EQ(allowed(pages), ACCESS_ALL);
    EXPECT_EQ(prot1_unprot(pages + 1, TRAPLINE_NONE, pages + PAGE), -TRAPLINE_EINVAL);
    EXPECT_EQ(allowed(pages + PAGE), TRAPLINE_READ);
    for (unsigned access = TRAPLINE_NONE; access <= TRAPLINE_READ; access++) {
        EXPECT_EQ(prot1(pages, access ? ACCESS_ALL : TRAPLINE_READ), 0);
        EXPECT_EQ(prot1_unprot(pages, access, (void *)(1ul << 40)), -TRAPLINE_ENOENT);
        EXPECT_EQ(prot1_unprot(pages, TRAPLINE_NONE, pages + 1), -TRAPLINE_EINVAL);
        EXPECT_EQ(allowed(pages), access ? ACCESS_ALL : TRAPLINE_READ);
    }
    EXPECT_EQ(unprot_range(pages, PAGES), 0);
    pages_free(pages, PAGES);
}

int main(void)
{
    static const struct check checks[] = {
        {"calls in order", check_list},
        {"up to the first error", check_error},
        {"lists that are refused", check_lists},
        {"one page protected, another unprotected", check_pair},
    };

    return RUN_CHECKS(checks);
}
