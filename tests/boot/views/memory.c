/* What happens to memory in view 0 shows in the others; what is written in any of them is dirty. */
#include "views.h"

enum {
    VIEWS = 9,
};

/* Each view opens one page of its own and closes all others. */
static void check_many(void)
{
    char *const pages = need_pages(VIEWS, 1);
    unsigned views[VIEWS];

    plant_ret(pages, VIEWS);
    for (unsigned i = 0; i < VIEWS; i++) {
        views[i] = need_view();
        EXPECT_EQ(view_prot(views[i], pages, VIEWS, TRAPLINE_NONE), 0);
        EXPECT_EQ(view_prot(views[i], pages + i * PAGE, 1, ACCESS_ALL), 0);
    }
    for (unsigned i = 0; i < VIEWS; i++) {
        for (unsigned k = 0; k < VIEWS; k++) {
            check_at("page %u in view %u", k, i);
            EXPECT_EQ(allowed_in(views[i], pages + k * PAGE), i == k ? ACCESS_ALL : 0);
        }
    }
    for (unsigned i = 0; i < VIEWS; i++)
        EXPECT_EQ(view_destroy(views[i]), 0);
    pages_free(pages, VIEWS);
}

/* Aliases are restricted by their own addresses, those that come later, too. */
static void check_aliases(void)
{
    char *const page = need_pages(2, 1), *const alias = alias_window();
    const unsigned view = need_view();

    plant_ret(page, 2);
    EXPECT_EQ(view_prot(view, alias, 1, TRAPLINE_READ), 0);
    EXPECT_EQ(map2_range(page, 2, alias, ACCESS_ALL), 0);
    EXPECT_EQ(allowed_in(view, alias), TRAPLINE_READ);
    EXPECT_EQ(allowed_in(view, alias + PAGE), ACCESS_ALL);
    EXPECT_EQ(allowed_in(view, page), ACCESS_ALL);
    EXPECT_EQ(allowed(alias), ACCESS_ALL);
    EXPECT_EQ(view_prot(view, page, 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed_in(view, alias), TRAPLINE_READ);
    EXPECT_EQ(allowed_in(view, page), TRAPLINE_NONE);
    EXPECT_EQ(prot1(alias, TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed_in(view, alias), TRAPLINE_NONE);
    EXPECT_EQ(unprot(alias), 0);
    EXPECT_EQ(unmap2_range(alias, 2), 0);
    /* The restriction is still there for what is mapped next. */
    EXPECT_EQ(map2(page + PAGE, alias, ACCESS_RW), 0);
    EXPECT_EQ(allowed_in(view, alias), TRAPLINE_READ);
    EXPECT_EQ(allowed(alias), ACCESS_RW);
    EXPECT_EQ(unmap2(alias), 0);
    EXPECT_EQ(view_destroy(view), 0);
    pages_free(page, 2);
}

static size_t dirty_now(char *pages, size_t count, void **list)
{
    size_t left = 0;
    const long got = dirty(pages, count, list, count, &left);

    EXPECT_EQ(left, 0);
    return got < 0 ? 0 : (size_t)got;
}

/* Exactly this page, and clean afterwards. */
static void expect_dirty(char *pages, size_t count, const char *page)
{
    void *list[64];

    EXPECT_EQ(dirty_now(pages, count, list), 1);
    EXPECT_EQ((uint64_t)list[0], (uint64_t)page);
    EXPECT_EQ(dirty_now(pages, count, list), 0);
}

static void write_in(unsigned view, char *byte)
{
    view_switch(view);
    ++*(volatile char *)byte;
    view_switch(0);
}

static void read_in(unsigned view, const char *byte)
{
    view_switch(view);
    (void)*(const volatile char *)byte;
    view_switch(0);
}

/* Stores through any view, private tables and shared ones, aliases, and views that are gone. */
static void check_dirty(void)
{
    enum {
        COUNT_PAGES = 16,
    };
    char *const pages = need_pages(COUNT_PAGES, 1), *const alias = alias_window();
    const unsigned closed = need_view(), open = need_view();
    void *list[COUNT_PAGES];
    unsigned gone;

    write_in(closed, pages);
    EXPECT_EQ(view_prot(closed, pages, 4, TRAPLINE_READ), 0);
    EXPECT_EQ(map2(pages + 9 * PAGE, alias, ACCESS_RW), 0);
    EXPECT_EQ(view_prot(closed, alias + PAGE, 1, TRAPLINE_NONE), 0);
    for (unsigned round = 0; round < 2; round++) {
        check_at("round %u", round);
        EXPECT_EQ(track(pages, COUNT_PAGES, 1), 0);
        EXPECT_EQ(dirty_now(pages, COUNT_PAGES, list), 0);
        read_in(closed, pages + 5 * PAGE);
        read_in(open, pages + 5 * PAGE);
        EXPECT_EQ(dirty_now(pages, COUNT_PAGES, list), 0);
        for (unsigned i = 0; i < 3; i++) {
            write_in(closed, pages + 6 * PAGE);
            expect_dirty(pages, COUNT_PAGES, pages + 6 * PAGE);
            write_in(open, pages + 6 * PAGE);
            expect_dirty(pages, COUNT_PAGES, pages + 6 * PAGE);
            write_in(0, pages + 6 * PAGE);
            expect_dirty(pages, COUNT_PAGES, pages + 6 * PAGE);
            write_in(closed, alias);
            expect_dirty(pages, COUNT_PAGES, pages + 9 * PAGE);
        }
        /* In several at once it is one page. */
        write_in(closed, pages + 7 * PAGE);
        write_in(open, pages + 7 * PAGE);
        write_in(0, pages + 7 * PAGE);
        expect_dirty(pages, COUNT_PAGES, pages + 7 * PAGE);
        /* The table that recorded it goes; so does a whole view. */
        write_in(closed, pages + 8 * PAGE);
        EXPECT_EQ(view_prot(closed, pages, 4, ACCESS_ALL), 0);
        expect_dirty(pages, COUNT_PAGES, pages + 8 * PAGE);
        EXPECT_EQ(view_prot(closed, pages, 4, TRAPLINE_READ), 0);
        gone = need_view();
        EXPECT_EQ(view_prot(gone, pages, 4, TRAPLINE_READ), 0);
        write_in(gone, pages + 10 * PAGE);
        EXPECT_EQ(view_destroy(gone), 0);
        expect_dirty(pages, COUNT_PAGES, pages + 10 * PAGE);
        EXPECT_EQ(track(pages, COUNT_PAGES, 0), 0);
        write_in(closed, pages + 11 * PAGE);
    }
    /* An alias goes that was written in a view. */
    EXPECT_EQ(track(pages, COUNT_PAGES, 1), 0);
    write_in(closed, alias);
    EXPECT_EQ(unmap2(alias), 0);
    expect_dirty(pages, COUNT_PAGES, pages + 9 * PAGE);
    EXPECT_EQ(track(pages, COUNT_PAGES, 0), 0);
    EXPECT_EQ(view_destroy(closed), 0);
    EXPECT_EQ(view_destroy(open), 0);
    pages_free(pages, COUNT_PAGES);
}

/* What view 0 takes away, gives back, splits and merges is so in a view with tables of its own. */
static void check_changes(void)
{
    char *const pages = need_pages(2 * PAGES_2M, PAGES_2M);
    static void *list[40];
    const unsigned view = need_view();

    for (unsigned i = 0; i < 2 * PAGES_2M; i += 64)
        plant_ret(pages + i * PAGE, 1);
    EXPECT_EQ(view_prot(view, pages + 64 * PAGE, 1, ACCESS_RX), 0);
    EXPECT_EQ(view_prot(view, pages + PAGES_2M * PAGE, PAGES_2M, ACCESS_RW), 0);
    for (unsigned round = 0; round < 2; round++) {
        EXPECT_EQ(protn_range(pages, 2 * PAGES_2M, TRAPLINE_READ), 0);
        EXPECT_EQ(allowed_in(view, pages), TRAPLINE_READ);
        EXPECT_EQ(allowed_in(view, pages + 64 * PAGE), TRAPLINE_READ);
        EXPECT_EQ(unprot(pages + 128 * PAGE), 0);
        EXPECT_EQ(unprot(pages + (PAGES_2M + 128) * PAGE), 0);
        EXPECT_EQ(allowed_in(view, pages + 128 * PAGE), ACCESS_ALL);
        EXPECT_EQ(allowed_in(view, pages + (PAGES_2M + 128) * PAGE), ACCESS_RW);
        EXPECT_EQ(allowed_in(view, pages + (PAGES_2M + 192) * PAGE), TRAPLINE_READ);
        EXPECT_EQ(unprot_range(pages, 2 * PAGES_2M), 0);
        EXPECT_EQ(allowed_in(view, pages), ACCESS_ALL);
        EXPECT_EQ(allowed_in(view, pages + 64 * PAGE), ACCESS_RX);
        EXPECT_EQ(allowed_in(view, pages + (PAGES_2M + 192) * PAGE), ACCESS_RW);
        for (unsigned i = 0; i < COUNT(list); i++)
            list[i] = pages + i * 64 % (2 * PAGES_2M) * PAGE;
        EXPECT_EQ(protn(list, COUNT(list), TRAPLINE_NONE), 0);
        EXPECT_EQ(allowed_in(view, pages + 64 * PAGE), TRAPLINE_NONE);
        EXPECT_EQ(allowed_in(view, list[15]), TRAPLINE_NONE);
        EXPECT_EQ(unprot_range(pages, 2 * PAGES_2M), 0);
        EXPECT_EQ(allowed_in(view, list[15]), allowed(list[15]) & ACCESS_RW);
    }
    EXPECT_EQ(view_destroy(view), 0);
    pages_free(pages, 2 * PAGES_2M);
}

static const struct check checks[] = {
    {"views: nine with a page each", check_many},
    {"views: aliases", check_aliases},
    {"views: DIRTY", check_dirty},
    {"views: changes of view 0", check_changes},
};

int main(void)
{
    return RUN_CHECKS(checks);
}
