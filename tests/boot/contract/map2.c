/*
 * MAP2: a second address for a page, with a protection of its own; many of them; taking them away;
 * every way of asking for one wrongly.
 */
#include "probe.h"

static char *window;
static uint64_t window_bytes;

static struct hypercall_result call(uint64_t page, uint64_t pages, uint64_t alias, uint64_t access)
{
    return hypercall(TRAPLINE_HC_MAP2, page, pages, alias, access);
}

/* Whether an address is an alias now: UNPROT of it says so, and changes nothing that matters. */
static bool mapped(const void *alias)
{
    return hypercall2(TRAPLINE_HC_UNPROT, (uint64_t)alias, 1) == 0;
}

/* Both addresses show the same bytes, in both directions. */
static void check_contents(void)
{
    enum {
        PAGES = 5
    };
    char *const pages = need_pages(PAGES, 1);
    char *const alias = window + 3 * PAGE;

    EXPECT_EQ(map2_range(pages, PAGES, alias, ACCESS_RW), 0);
    for (unsigned i = 0; i < PAGES * PAGE; i += 1001)
        pages[i] = (char)i;
    for (unsigned i = 0; i < PAGES * PAGE; i += 1001)
        EXPECT_EQ(((volatile char *)alias)[i], (char)i);
    for (unsigned i = 0; i < PAGES * PAGE; i += 777)
        ((volatile char *)alias)[i] = (char)(i + 1);
    for (unsigned i = 0; i < PAGES * PAGE; i += 777)
        EXPECT_EQ(((volatile char *)pages)[i], (char)(i + 1));
    EXPECT_EQ(__atomic_fetch_add((uint64_t *)alias, 1, __ATOMIC_SEQ_CST), *(uint64_t *)pages - 1);
    EXPECT_EQ(unmap2_range(alias, PAGES), 0);
    for (unsigned i = 0; i < PAGES; i++)
        EXPECT(!mapped(alias + i * PAGE));
    pages_free(pages, PAGES);
}

/* The access that MAP2 gives is the most that the alias allows. */
static void check_access(void)
{
    static const struct {
        uint64_t access;
        int result;
    } rows[] = {
        {TRAPLINE_NONE, -TRAPLINE_EINVAL},
        {TRAPLINE_READ, 0},
        {TRAPLINE_WRITE, -TRAPLINE_EINVAL},
        {ACCESS_RW, 0},
        {TRAPLINE_EXEC, -TRAPLINE_EINVAL},
        {ACCESS_RX, 0},
        {TRAPLINE_WRITE | TRAPLINE_EXEC, -TRAPLINE_EINVAL},
        {ACCESS_ALL, 0},
        {8 | TRAPLINE_READ, -TRAPLINE_EINVAL},
        {1ul << 32 | TRAPLINE_READ, -TRAPLINE_EINVAL},
        {~0ul, -TRAPLINE_EINVAL},
    };
    char *const page = need_pages(1, 1);

    plant_ret(page, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("access 0x%lx", rows[i].access);
        EXPECT_EQ(call((uint64_t)page, 1, (uint64_t)window, rows[i].access).rax, rows[i].result);
        EXPECT_EQ(mapped(window), rows[i].result == 0);
        if (rows[i].result)
            continue;
        EXPECT_EQ(allowed(window), rows[i].access);
        EXPECT_EQ(prot1(window, TRAPLINE_NONE), 0);
        EXPECT_EQ(allowed(window), TRAPLINE_NONE);
        EXPECT_EQ(prot1(window, ACCESS_ALL), 0); /* and its full rights in common */
        EXPECT_EQ(allowed(window), rows[i].access);
        EXPECT_EQ(prot1(window, TRAPLINE_READ), 0);
        EXPECT_EQ(allowed(window), TRAPLINE_READ);
        EXPECT_EQ(unprot(window), 0);
        EXPECT_EQ(allowed(window), rows[i].access);
        EXPECT_EQ(allowed(page), ACCESS_ALL);
        EXPECT_EQ(unmap2(window), 0);
    }
    pages_free(page, 1);
}

/* Several aliases of one page, each with its own protection; one taken away leaves the others. */
static void check_several(void)
{
    enum {
        ALIASES = 40
    };
    char *const page = need_pages(1, 1);

    plant_ret(page, 1);
    page[1] = 77;
    for (unsigned i = 0; i < ALIASES; i++)
        EXPECT_EQ(map2(page, window + i * 3 * PAGE, i % 2 ? ACCESS_RW : TRAPLINE_READ), 0);
    EXPECT_EQ(prot1(page, TRAPLINE_NONE), 0);
    for (unsigned i = 0; i < ALIASES; i++) {
        check_at("alias %u", i);
        EXPECT_EQ(allowed(window + i * 3 * PAGE), i % 2 ? ACCESS_RW : TRAPLINE_READ);
    }
    for (unsigned i = 0; i < ALIASES; i += 3)
        EXPECT_EQ(unmap2(window + i * 3 * PAGE), 0);
    for (unsigned i = 0; i < ALIASES; i++) {
        check_at("alias %u afterwards", i);
        EXPECT_EQ(mapped(window + i * 3 * PAGE), i % 3 != 0);
        if (i % 3)
            EXPECT_EQ(window[i * 3 * PAGE + 1], 77);
    }
    EXPECT_EQ(allowed(page), TRAPLINE_NONE);
    for (unsigned i = 0; i < ALIASES; i++) {
        if (i % 3)
            EXPECT_EQ(unmap2(window + i * 3 * PAGE), 0);
    }
    EXPECT_EQ(unprot(page), 0);
    EXPECT_EQ(allowed(page), ACCESS_ALL);
    pages_free(page, 1);
}

/* Pages keep the protection they have when they get an alias, and the alias begins with its own. */
static void check_protected_page(void)
{
    char *const page = need_pages(1, 1);

    plant_ret(page, 1);
    EXPECT_EQ(prot1(page, TRAPLINE_NONE), 0);
    EXPECT_EQ(map2(page, window, ACCESS_RW), 0);
    EXPECT_EQ(allowed(window), ACCESS_RW);
    EXPECT_EQ(allowed(page), TRAPLINE_NONE);
    EXPECT_EQ(protn_range(window, 1, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed(window), TRAPLINE_READ);
    EXPECT_EQ(unmap2(window), 0);
    EXPECT_EQ(map2(page, window, ACCESS_RW), 0);
    EXPECT_EQ(allowed(window), ACCESS_RW); /* not what it was before */
    EXPECT_EQ(unmap2(window), 0);
    EXPECT_EQ(unprot(page), 0);
    pages_free(page, 1);
}

/* A range of more than a large page, not aligned, and its parts. */
static void check_range(void)
{
    enum {
        PAGES = 2 * PAGES_2M + 100
    };
    char *const pages = need_pages(PAGES, 1);
    char *const alias = window + BYTES_2M - 50 * PAGE;
    struct trapline_stats before, after;

    plant_ret(pages, PAGES);
    EXPECT_EQ(stats(&before), 0);
    for (int round = 0; round < 3; round++) {
        check_at("round %d", round);
        EXPECT_EQ(map2_range(pages, PAGES, alias, TRAPLINE_READ), 0);
        for (unsigned i = 0; i < PAGES; i++) {
            *(volatile unsigned *)(pages + i * PAGE + 8) = i + (unsigned)round;
            EXPECT_EQ(*(volatile unsigned *)(alias + i * PAGE + 8), i + (unsigned)round);
        }
        /* The middle first, then both ends. */
        EXPECT_EQ(unmap2_range(alias + 300 * PAGE, PAGES_2M), 0);
        EXPECT(mapped(alias + 299 * PAGE));
        EXPECT(!mapped(alias + 300 * PAGE));
        EXPECT(!mapped(alias + (299 + PAGES_2M) * PAGE));
        EXPECT(mapped(alias + (300 + PAGES_2M) * PAGE));
        EXPECT_EQ(unmap2_range(alias, PAGES), -TRAPLINE_ENOENT);
        EXPECT(mapped(alias));
        EXPECT_EQ(unmap2_range(alias, 300), 0);
        EXPECT_EQ(unmap2_range(alias + (300 + PAGES_2M) * PAGE, PAGES - PAGES_2M - 300), 0);
        if (round == 0)
            EXPECT_EQ(stats(&before), 0);
    }
    EXPECT_EQ(stats(&after), 0);
    EXPECT(after.table_pages <= before.table_pages + 8); /* nothing piles up */
    pages_free(pages, PAGES);
}

static void check_errors(void)
{
    char *const page = need_pages(2, 1);
    char *const alias = window + BYTES_2M;
    const uint64_t p = (uint64_t)page, a = (uint64_t)alias, w = (uint64_t)window;
    const uint64_t w_end = w + window_bytes;
    const struct {
        const char *name;
        uint64_t page, pages, alias;
        int result;
    } rows[] = {
        {"page misaligned", p + 8, 1, w, -TRAPLINE_EINVAL},
        {"alias misaligned", p, 1, w + 8, -TRAPLINE_EINVAL},
        {"no pages", p, 0, w, -TRAPLINE_EINVAL},
        {"page outside RAM", ram_size(), 1, w, -TRAPLINE_ENOENT},
        {"pages over the end of RAM", ram_size() - PAGE, 2, w, -TRAPLINE_ENOENT},
        {"page at 1 TiB", 1ul << 40, 1, w, -TRAPLINE_ENOENT},
        {"alias in RAM", p, 1, p + PAGE, -TRAPLINE_EINVAL},
        {"alias 0", p, 1, 0, -TRAPLINE_EINVAL},
        {"alias below the window", p, 1, w - PAGE, -TRAPLINE_EINVAL},
        {"alias behind the window", p, 1, w_end, -TRAPLINE_EINVAL},
        {"alias over the end of the window", p, 2, w_end - PAGE, -TRAPLINE_EINVAL},
        {"alias at 1 TiB", p, 1, 1ul << 40, -TRAPLINE_EINVAL},
        {"alias with bit 63", p, 1, 1ul << 63 | w, -TRAPLINE_EINVAL},
        {"alias at the end of all", p, 1, ~0xffful, -TRAPLINE_EINVAL},
        {"2^52 pages", p, 1ul << 52, w, -TRAPLINE_EINVAL},
        {"all ones pages", p, ~0ul, w, -TRAPLINE_EINVAL},
        {"alias of an alias", a, 1, w, -TRAPLINE_EINVAL},
        {"alias of what is no alias", w, 1, w + PAGE, -TRAPLINE_ENOENT},
        {"mapped already", p, 1, a, -TRAPLINE_EEXIST},
        {"second page mapped already", p, 2, a - PAGE, -TRAPLINE_EEXIST},
    };

    plant_ret(page, 2);
    EXPECT_EQ(map2(page, alias, TRAPLINE_READ), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(call(rows[i].page, rows[i].pages, rows[i].alias, ACCESS_RW).rax, rows[i].result);
        EXPECT(!mapped(window));
        EXPECT(!mapped(alias - PAGE));
        EXPECT_EQ(allowed(alias), TRAPLINE_READ);
        EXPECT_EQ(allowed(page), ACCESS_ALL);
        EXPECT_EQ(allowed(page + PAGE), ACCESS_ALL);
    }
    check_at("the window's last page");
    EXPECT_EQ(map2(page, window + window_bytes - PAGE, ACCESS_RW), 0);
    EXPECT_EQ(unmap2(window + window_bytes - PAGE), 0);
    EXPECT_EQ(unmap2(alias), 0);
    pages_free(page, 2);
}

static void check_unmap_errors(void)
{
    char *const page = need_pages(1, 1);
    const uint64_t p = (uint64_t)page, w = (uint64_t)window;
    const struct {
        const char *name;
        uint64_t alias, pages;
        int result;
    } rows[] = {
        {"misaligned", w + 8, 1, -TRAPLINE_EINVAL},
        {"no pages", w, 0, -TRAPLINE_EINVAL},
        {"not mapped", w + PAGE, 1, -TRAPLINE_ENOENT},
        {"second page not mapped", w, 2, -TRAPLINE_ENOENT},
        {"a page of RAM", p, 1, -TRAPLINE_EINVAL},
        {"page 0", 0, 1, -TRAPLINE_EINVAL},
        {"behind the window", w + window_bytes, 1, -TRAPLINE_ENOENT},
        {"1 TiB", 1ul << 40, 1, -TRAPLINE_ENOENT},
        {"2^52 pages", w, 1ul << 52, -TRAPLINE_EINVAL},
        {"all ones pages", w, ~0ul, -TRAPLINE_EINVAL},
        {"wraps", ~0xffful, 2, -TRAPLINE_EINVAL},
    };

    EXPECT_EQ(map2(page, window, ACCESS_RW), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_UNMAP2, rows[i].alias, rows[i].pages), rows[i].result);
        EXPECT(mapped(window));
        EXPECT_EQ(*(volatile char *)page, 0);
    }
    check_at("twice");
    EXPECT_EQ(unmap2(window), 0);
    EXPECT_EQ(unmap2(window), -TRAPLINE_ENOENT);
    pages_free(page, 1);
}

/* The whole of RAM a second time, as far as the window reaches, in one call. */
static void check_large(void)
{
    const uint64_t bytes = 32ul << 20;
    char *const pages = (char *)BYTES_2M;

    EXPECT_EQ(map2_range(pages, bytes / PAGE, window, TRAPLINE_READ), 0);
    for (uint64_t at = 0; at < bytes; at += 64 * PAGE + 8)
        EXPECT_EQ(*(volatile uint64_t *)(window + at), *(volatile uint64_t *)(pages + at));
    EXPECT_EQ(unmap2_range(window, bytes / PAGE), 0);
    EXPECT(!mapped(window));
}

static const struct check checks[] = {
    {"map2: contents", check_contents},
    {"map2: access", check_access},
    {"map2: several aliases", check_several},
    {"map2: a protected page", check_protected_page},
    {"map2: ranges", check_range},
    {"map2: errors", check_errors},
    {"unmap2: errors", check_unmap_errors},
    {"map2: 32 MiB", check_large},
};

int main(void)
{
    window = alias_window();
    window_bytes = alias_window_pages() * PAGE;
    return RUN_CHECKS(checks);
}
