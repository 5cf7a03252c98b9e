/*
 * PROT1 and UNPROT: each access value, each way of being called wrongly, and that a call that fails
 * has changed nothing.
 */
#include "probe.h"

struct access_row {
    uint64_t access;
    int result;
    unsigned allowed;
};

static const struct access_row access_rows[] = {
    {TRAPLINE_NONE, 0, TRAPLINE_NONE}, {TRAPLINE_READ, 0, TRAPLINE_READ}, {ACCESS_RW, 0, ACCESS_RW},
    {ACCESS_RX, 0, ACCESS_RX},         {ACCESS_ALL, 0, ACCESS_ALL},
};

/* From every access to every other one, and back by UNPROT. */
static void check_access(void)
{
    char *const page = need_pages(3, 1) + PAGE;

    plant_ret(page - PAGE, 3);
    for (size_t from = 0; from < COUNT(access_rows); from++) {
        for (size_t to = 0; to < COUNT(access_rows); to++) {
            check_at("%lu to %lu", access_rows[from].access, access_rows[to].access);
            EXPECT_EQ(prot1(page, (unsigned)access_rows[from].access), 0);
            EXPECT_EQ(allowed(page), access_rows[from].allowed);
            EXPECT_EQ(prot1(page, (unsigned)access_rows[to].access), 0);
            EXPECT_EQ(allowed(page), access_rows[to].allowed);
        }
        EXPECT_EQ(unprot(page), 0);
        EXPECT_EQ(allowed(page), ACCESS_ALL);
        EXPECT_EQ(allowed(page - PAGE), ACCESS_ALL);
        EXPECT_EQ(allowed(page + PAGE), ACCESS_ALL);
    }
    pages_free(page - PAGE, 3);
}

/* EXEC alone works exactly where the feature is shown. */
static void check_exec_only(void)
{
    const bool can = has_feature(TRAPLINE_FEATURE_EXEC_ONLY);
    char *const page = need_pages(1, 1);

    plant_ret(page, 1);
    EXPECT_EQ(prot1(page, ACCESS_RW), 0);
    EXPECT_EQ(prot1(page, TRAPLINE_EXEC), can ? 0 : -TRAPLINE_EOPNOTSUPP);
    EXPECT_EQ(allowed(page), can ? TRAPLINE_EXEC : ACCESS_RW);
    EXPECT_EQ(unprot(page), 0);
    pages_free(page, 1);
}

/* An access that cannot be changes nothing. */
static void check_bad_access(void)
{
    static const uint64_t rows[] = {
        TRAPLINE_WRITE,
        TRAPLINE_WRITE | TRAPLINE_EXEC,
        8,
        8 | TRAPLINE_READ,
        TRAPLINE_LIST_RANGES,
        TRAPLINE_LIST_RANGES | TRAPLINE_READ,
        1ul << 32,
        1ul << 32 | TRAPLINE_READ,
        1ul << 63 | TRAPLINE_READ,
        ~0ul,
    };
    char *const page = need_pages(1, 1);

    plant_ret(page, 1);
    EXPECT_EQ(prot1(page, ACCESS_RX), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("access 0x%lx", rows[i]);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_PROT1, (uint64_t)page, rows[i]), -TRAPLINE_EINVAL);
        EXPECT_EQ(allowed(page), ACCESS_RX);
    }
    EXPECT_EQ(unprot(page), 0);
    pages_free(page, 1);
}

/* Pages that are none. */
static void check_bad_page(void)
{
    char *const page = need_pages(1, 1);
    const uint64_t alias = (uint64_t)alias_window();
    const uint64_t alias_end = alias + alias_window_pages() * PAGE;
    const struct {
        const char *name;
        uint64_t page;
        int result;
    } rows[] = {
        {"misaligned by 1", (uint64_t)page + 1, -TRAPLINE_EINVAL},
        {"misaligned by 8", (uint64_t)page + 8, -TRAPLINE_EINVAL},
        {"misaligned by 4095", (uint64_t)page + 4095, -TRAPLINE_EINVAL},
        {"misaligned outside RAM", ram_size() + 1, -TRAPLINE_EINVAL},
        {"all ones", ~0ul, -TRAPLINE_EINVAL},
        {"end of RAM", ram_size(), -TRAPLINE_ENOENT},
        {"behind RAM", ram_size() + PAGE, -TRAPLINE_ENOENT},
        {"below the alias window", alias - PAGE, -TRAPLINE_ENOENT},
        {"alias that is not mapped", alias, -TRAPLINE_ENOENT},
        {"last alias", alias_end - PAGE, -TRAPLINE_ENOENT},
        {"end of the alias window", alias_end, -TRAPLINE_ENOENT},
        {"512 GiB", 1ul << 39, -TRAPLINE_ENOENT},
        {"1 TiB", 1ul << 40, -TRAPLINE_ENOENT},
        {"bit 51", 1ul << 51, -TRAPLINE_ENOENT},
        {"bit 52", 1ul << 52, -TRAPLINE_ENOENT},
        {"page with bit 63", 1ul << 63 | (uint64_t)page, -TRAPLINE_ENOENT},
        {"page with bit 52", 1ul << 52 | (uint64_t)page, -TRAPLINE_ENOENT},
    };

    plant_ret(page, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("PROT1, %s", rows[i].name);
        if (alias == ram_size() && rows[i].page == alias - PAGE)
            continue; /* RAM reaches up to the window */
        EXPECT_EQ(hypercall2(TRAPLINE_HC_PROT1, rows[i].page, TRAPLINE_NONE), rows[i].result);
        check_at("UNPROT, %s", rows[i].name);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPROT, rows[i].page, 1), rows[i].result);
    }
    EXPECT_EQ(allowed(page), ACCESS_ALL);
    pages_free(page, 1);
}

/* The last and the first page of RAM are pages like others. */
static void check_edges(void)
{
    char *const last = (char *)(ram_size() - PAGE);

    EXPECT_EQ(hypercall2(TRAPLINE_HC_PROT1, 0, TRAPLINE_NONE), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPROT, 0, 1), 0);
    plant_ret(last, 1);
    EXPECT_EQ(prot1(last, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed(last), TRAPLINE_READ);
    EXPECT_EQ(unprot(last), 0);
    EXPECT_EQ(allowed(last), ACCESS_ALL);
}

/* UNPROT of a range raises all of it, whatever the pages allowed, and nothing beside it. */
static void check_unprot_range(void)
{
    enum {
        PAGES = PAGES_2M + 40
    }; /* lies in at least two 2 MiB pieces */
    char *const pages = need_pages(PAGES, 1);

    plant_ret(pages, PAGES);
    for (size_t i = 0; i < PAGES; i++)
        EXPECT_EQ(prot1(pages + i * PAGE, (unsigned)access_rows[i % COUNT(access_rows)].access), 0);
    EXPECT_EQ(unprot_range(pages + PAGE, PAGES - 2), 0);
    EXPECT_EQ(allowed(pages), access_rows[0].allowed);
    EXPECT_EQ(allowed(pages + (PAGES - 1) * PAGE),
              access_rows[(PAGES - 1) % COUNT(access_rows)].allowed);
    for (size_t i = 1; i < PAGES - 1; i++) {
        check_at("page %zu", i);
        EXPECT_EQ(allowed(pages + i * PAGE), ACCESS_ALL);
    }
    EXPECT_EQ(unprot_range(pages, PAGES), 0);
    pages_free(pages, PAGES);
}

/* Ranges that cannot be unprotected leave all pages as they were. */
static void check_unprot_errors(void)
{
    char *const page = (char *)(ram_size() - 2 * PAGE);
    const struct {
        const char *name;
        uint64_t page, pages;
        int result;
    } rows[] = {
        {"no page", (uint64_t)page, 0, -TRAPLINE_EINVAL},
        {"misaligned", (uint64_t)page + 8, 1, -TRAPLINE_EINVAL},
        {"over the end of RAM", (uint64_t)page, 3, -TRAPLINE_ENOENT},
        {"all of it and one more", 0, ram_size() / PAGE + 1, -TRAPLINE_ENOENT},
        {"from the last page of all", ~0xffful, 2, -TRAPLINE_EINVAL},
        {"2^52 pages", (uint64_t)page, 1ul << 52, -TRAPLINE_EINVAL},
        {"2^52 + 1 pages", (uint64_t)page, (1ul << 52) + 1, -TRAPLINE_EINVAL},
        {"2^63 pages", (uint64_t)page, 1ul << 63, -TRAPLINE_EINVAL},
        {"all ones", (uint64_t)page, ~0ul, -TRAPLINE_EINVAL},
    };

    plant_ret(page, 2);
    EXPECT_EQ(protn_range(page, 2, TRAPLINE_READ), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPROT, rows[i].page, rows[i].pages), rows[i].result);
        EXPECT_EQ(allowed(page), TRAPLINE_READ);
        EXPECT_EQ(allowed(page + PAGE), TRAPLINE_READ);
    }
    EXPECT_EQ(unprot_range(page, 2), 0);
}

/*
 * Large pages: one page of an aligned 2 MiB is protected (a split), the rest keeps its rights; with
 * the page unprotected again the tables go back to where they were.
 */
static void check_split_and_merge(void)
{
    char *const region = need_pages(PAGES_2M, PAGES_2M);
    struct trapline_stats before, split, after;

    plant_ret(region, PAGES_2M);
    EXPECT_EQ(stats(&before), 0);
    EXPECT_EQ(prot1(region + 77 * PAGE, TRAPLINE_NONE), 0);
    EXPECT_EQ(stats(&split), 0);
    for (size_t i = 0; i < PAGES_2M; i++) {
        check_at("page %zu", i);
        EXPECT_EQ(allowed(region + i * PAGE), i == 77 ? TRAPLINE_NONE : ACCESS_ALL);
    }
    check_at("UNPROT");
    EXPECT_EQ(unprot(region + 77 * PAGE), 0);
    EXPECT_EQ(allowed(region + 77 * PAGE), ACCESS_ALL);
    EXPECT_EQ(stats(&after), 0);
    if (has_feature(TRAPLINE_FEATURE_EPT_2M))
        EXPECT(split.splits > before.splits);
    EXPECT(after.table_pages <= after.table_budget);
    /* A whole aligned 2 MiB splits nothing. */
    check_at("whole 2 MiB");
    EXPECT_EQ(unprot_range(region, PAGES_2M), 0);
    EXPECT_EQ(stats(&before), 0);
    EXPECT_EQ(protn_range(region, PAGES_2M, TRAPLINE_READ), 0);
    EXPECT_EQ(stats(&after), 0);
    EXPECT_EQ(after.splits, before.splits);
    for (size_t i = 0; i < PAGES_2M; i += 51)
        EXPECT_EQ(allowed(region + i * PAGE), TRAPLINE_READ);
    EXPECT_EQ(unprot_range(region, PAGES_2M), 0);
    pages_free(region, PAGES_2M);
}

/*
 * Raising after a violation needs no flush, lowering does (SDM 28.3.3.4): as the counters show.
 * Where the CPU delivers violations a raise drops the caller's own translations, so that it meets
 * no fault by an old one.
 */
static void check_flushes(void)
{
    char *const pages = need_pages(2, 1);
    struct trapline_stats before, lowered, raised;

    plant_ret(pages, 2);
    EXPECT_EQ(prot1(pages + PAGE, TRAPLINE_READ), 0); /* the split is done */
    EXPECT_EQ(stats(&before), 0);
    EXPECT_EQ(prot1(pages, TRAPLINE_READ), 0);
    EXPECT_EQ(stats(&lowered), 0);
    EXPECT_EQ(prot1(pages, ACCESS_RW), 0);
    EXPECT_EQ(stats(&raised), 0);
    EXPECT_EQ(lowered.flushes - before.flushes, 1);
    EXPECT_EQ(raised.flushes - lowered.flushes, has_feature(TRAPLINE_FEATURE_VE) ? 1 : 0);
    EXPECT_EQ(lowered.exits - before.exits, 2); /* PROT1 and STATS */
    EXPECT_EQ(unprot_range(pages, 2), 0);
    pages_free(pages, 2);
}

static const struct check checks[] = {
    {"prot: from each access to each other", check_access},
    {"prot: execute-only", check_exec_only},
    {"prot: bad access", check_bad_access},
    {"prot: bad page", check_bad_page},
    {"prot: first and last page", check_edges},
    {"unprot: range", check_unprot_range},
    {"unprot: errors", check_unprot_errors},
    {"prot: one page of a large one", check_split_and_merge},
    {"prot: flushes", check_flushes},
};

int main(void)
{
    return RUN_CHECKS(checks);
}
