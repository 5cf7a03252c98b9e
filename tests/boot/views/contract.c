/* Each call of a view, what it does and its errors. */
#include "views.h"

/* One page in all combinations: a view allows what view 0 and its own restriction both do. */
static void check_access(void)
{
    char *const page = need_pages(3, 1) + PAGE;
    const unsigned view = need_view();

    plant_ret(page - PAGE, 3);
    for (size_t i = 0; i < access_count(); i++) {
        EXPECT_EQ(view_prot(view, page, 1, accesses[i]), 0);
        for (size_t k = 0; k < access_count(); k++) {
            check_at("access %u restricted to %u", accesses[k], accesses[i]);
            EXPECT_EQ(unprot(page), 0);
            EXPECT_EQ(prot1(page, accesses[k]), 0);
            EXPECT_EQ(allowed_in(view, page), accesses[i] & accesses[k]);
            EXPECT_EQ(allowed(page), accesses[k]);
        }
        EXPECT_EQ(allowed_in(view, page - PAGE), ACCESS_ALL);
        EXPECT_EQ(allowed_in(view, page + PAGE), ACCESS_ALL);
    }
    EXPECT_EQ(unprot(page), 0);
    EXPECT_EQ(view_destroy(view), 0);
    pages_free(page - PAGE, 3);
}

static void check_create(void)
{
    const struct trapline_stats before = counters();
    const unsigned first = need_view(), second = need_view();

    EXPECT(first >= 1 && first <= VIEW_MAX && second >= 1 && second <= VIEW_MAX);
    EXPECT(first != second);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_SWITCH, first, 0), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_DESTROY, first, 0), -TRAPLINE_EAGAIN);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_SWITCH, second, 0), first);
    EXPECT_EQ(view_destroy(first), 0);
    EXPECT_EQ(view_destroy(first), -TRAPLINE_ENOENT);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_SWITCH, first, 0), -TRAPLINE_ENOENT);
    EXPECT_EQ(view_create(), first);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_SWITCH, 0, 0), second);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_SWITCH, 0, 0), 0);
    EXPECT_EQ(view_destroy(second), 0);
    EXPECT_EQ(view_destroy(first), 0);
    EXPECT(counters().table_pages <= before.table_pages + TABLES_KEPT);
}

static void check_numbers(void)
{
    static const struct {
        uint64_t view;
        int want;
    } rows[] = {
        {NO_SUCH_VIEW, -TRAPLINE_ENOENT},
        {VIEW_MAX, -TRAPLINE_ENOENT},
        {VIEW_MAX + 1, -TRAPLINE_EINVAL},
        {1ul << 32, -TRAPLINE_EINVAL},
        {~0ul, -TRAPLINE_EINVAL},
        {1ul << 63, -TRAPLINE_EINVAL},
        {0, -TRAPLINE_EINVAL},
    };
    uint64_t page = (uint64_t)need_pages(1, 1);

    for (size_t i = 0; i < COUNT(rows); i++) {
        const uint64_t view = rows[i].view;

        check_at("view 0x%lx", view);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_DESTROY, view, 0), rows[i].want);
        EXPECT_EQ(hypercall(TRAPLINE_HC_VIEW_PROT, page, 1, 0, view).rax, rows[i].want);
        EXPECT_EQ(hypercall(TRAPLINE_HC_VIEW_PROTN, page, 0, 0, view).rax, rows[i].want);
        if (view)
            EXPECT_EQ(hypercall2(TRAPLINE_HC_VIEW_SWITCH, view, 0), rows[i].want);
    }
    pages_free((void *)page, 1);
}

static void check_prot_errors(void)
{
    char *const page = need_pages(1, 1);
    const uint64_t p = (uint64_t)page;
    const uint64_t end = (uint64_t)alias_window() + alias_window_pages() * PAGE;
    const struct {
        const char *name;
        uint64_t page, pages, access;
        int want;
    } rows[] = {
        {"misaligned", p + 1, 1, 1, -TRAPLINE_EINVAL},
        {"no page", p, 0, 1, -TRAPLINE_EINVAL},
        {"wraps", p, ~0ul, 1, -TRAPLINE_EINVAL},
        {"the last page of all, and one", ~0xffful, 2, 1, -TRAPLINE_EINVAL},
        {"write without read", p, 1, TRAPLINE_WRITE, -TRAPLINE_EINVAL},
        {"write and execute", p, 1, TRAPLINE_WRITE | TRAPLINE_EXEC, -TRAPLINE_EINVAL},
        {"access 8", p, 1, 8, -TRAPLINE_EINVAL},
        {"access beyond 32 bits", p, 1, 0x100000001, -TRAPLINE_EINVAL},
        {"beyond the alias window", end, 1, 1, -TRAPLINE_ENOENT},
        {"across its end", end - PAGE, 2, 1, -TRAPLINE_ENOENT},
        {"its last page", end - PAGE, 1, 1, 0},
        {"where nothing is mapped", ram_size(), 1, 1, 0},
        {"everything", 0, end / PAGE, ACCESS_ALL, 0},
    };
    const unsigned view = need_view();

    plant_ret(page, 1);
    EXPECT_EQ(view_prot(view, page, 1, TRAPLINE_READ), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(
            hypercall(TRAPLINE_HC_VIEW_PROT, rows[i].page, rows[i].pages, rows[i].access, view).rax,
            rows[i].want);
        if (i + 1 < COUNT(rows))
            EXPECT_EQ(allowed_in(view, page), TRAPLINE_READ);
    }
    EXPECT_EQ(allowed_in(view, page), ACCESS_ALL);
    if (!has_feature(TRAPLINE_FEATURE_EXEC_ONLY))
        EXPECT_EQ(view_prot(view, page, 1, TRAPLINE_EXEC), -TRAPLINE_EOPNOTSUPP);
    EXPECT_EQ(view_destroy(view), 0);
    pages_free(page, 1);
}

/* Ranges with edges in large pages, given back in parts, and what they cost. */
static void check_ranges(void)
{
    enum {
        ALL = 3 * PAGES_2M,
    };
    const struct trapline_stats before = counters();
    char *const pages = need_pages(ALL, PAGES_2M);
    const unsigned view = need_view();
    const uint64_t end = (uint64_t)alias_window() + alias_window_pages() * PAGE;

    for (unsigned i = 0; i < ALL; i += 7)
        plant_ret(pages + i * PAGE, 1);
    /* From page 105 to 1204: the middle 2 MiB are one entry. */
    EXPECT_EQ(view_prot(view, pages + 105 * PAGE, 1100, TRAPLINE_READ), 0);
    EXPECT(counters().table_pages <= before.table_pages + 5);
    for (unsigned i = 0; i < ALL; i += 35)
        EXPECT_EQ(allowed_in(view, pages + i * PAGE),
                  i >= 105 && i < 1205 ? TRAPLINE_READ : ACCESS_ALL);
    EXPECT_EQ(view_prot(view, pages + 700 * PAGE, 35, ACCESS_ALL), 0);
    EXPECT_EQ(allowed_in(view, pages + 693 * PAGE), TRAPLINE_READ);
    EXPECT_EQ(allowed_in(view, pages + 700 * PAGE), ACCESS_ALL);
    EXPECT_EQ(allowed_in(view, pages + 735 * PAGE), TRAPLINE_READ);
    EXPECT_EQ(view_prot(view, pages, ALL, ACCESS_ALL), 0);
    EXPECT_EQ(allowed_in(view, pages + 105 * PAGE), ACCESS_ALL);
    /* Everything that there can be is one entry. */
    for (unsigned i = 0; i < 100; i++) {
        EXPECT_EQ(view_prot(view, 0, end / PAGE, i % 2 ? ACCESS_ALL : TRAPLINE_NONE), 0);
        EXPECT_EQ(view_prot(view, pages + i * PAGE, 1, TRAPLINE_READ), 0);
    }
    EXPECT_EQ(view_prot(view, 0, end / PAGE, TRAPLINE_NONE), 0);
    EXPECT(counters().table_pages <= before.table_pages + 1 + TABLES_KEPT);
    EXPECT_EQ(view_destroy(view), 0);
    EXPECT(counters().table_pages <= before.table_pages + TABLES_KEPT);
    pages_free(pages, ALL);
}

static void check_protn(void)
{
    char *const pages = need_pages(PAGES_2M + 64, PAGES_2M);
    static void *list[1025];
    struct trapline_range ranges[] = {
        {(uint64_t)pages, PAGES_2M},
        {(uint64_t)pages + 30 * PAGE, 4},
        {(uint64_t)pages + PAGES_2M * PAGE, 3},
    };
    const uint64_t l = (uint64_t)list, end = (uint64_t)alias_window() * 2;
    const unsigned view = need_view();
    size_t bad = 77;

    plant_ret(pages, 64);
    plant_ret(pages + PAGES_2M * PAGE, 4);
    for (size_t i = 0; i < 20; i++)
        list[i] = pages + (i * 7 % 40) * PAGE;
    list[20] = list[3];
    EXPECT_EQ(view_protn(view, list, 21, TRAPLINE_READ, NULL), 0);
    for (size_t i = 0; i < 20; i++)
        EXPECT_EQ(allowed_in(view, list[i]), TRAPLINE_READ);
    EXPECT_EQ(allowed_in(view, pages + 1 * PAGE), ACCESS_ALL);
    /* Overlapping ranges, one of them a large page. */
    EXPECT_EQ(view_protn_ranges(view, ranges, 3, TRAPLINE_NONE, NULL), 0);
    EXPECT_EQ(allowed_in(view, pages), TRAPLINE_NONE);
    EXPECT_EQ(allowed_in(view, pages + 31 * PAGE), TRAPLINE_NONE);
    EXPECT_EQ(allowed_in(view, pages + (PAGES_2M + 2) * PAGE), TRAPLINE_NONE);
    EXPECT_EQ(allowed_in(view, pages + (PAGES_2M + 3) * PAGE), ACCESS_ALL);
    EXPECT_EQ(view_protn_ranges(view, ranges, 2, ACCESS_ALL, NULL), 0);
    EXPECT_EQ(allowed_in(view, pages + 31 * PAGE), ACCESS_ALL);
    EXPECT_EQ(allowed_in(view, pages + PAGES_2M * PAGE), TRAPLINE_NONE);
    /* All or nothing. */
    list[7] = (char *)list[7] + 8;
    EXPECT_EQ(view_protn(view, list, 20, TRAPLINE_READ, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(bad, 7);
    EXPECT_EQ(allowed_in(view, pages), ACCESS_ALL);
    list[7] = (void *)end;
    EXPECT_EQ(view_protn(view, list, 20, TRAPLINE_READ, &bad), -TRAPLINE_ENOENT);
    EXPECT_EQ(bad, 7);
    EXPECT_EQ(allowed_in(view, list[0]), ACCESS_ALL);
    ranges[1].pages = 0;
    EXPECT_EQ(view_protn_ranges(view, ranges, 3, TRAPLINE_READ, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(bad, 1);
    EXPECT_EQ(allowed_in(view, pages), ACCESS_ALL);
    /* The list itself. */
    EXPECT_EQ(view_protn(view, list, 0, TRAPLINE_READ, NULL), 0);
    EXPECT_EQ(view_protn(view, list, 1025, TRAPLINE_READ, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(bad, 0);
    EXPECT_EQ(view_protn_ranges(view, ranges, 513, TRAPLINE_READ, NULL), -TRAPLINE_EINVAL);
    EXPECT_EQ(view_protn(view, list, 1, TRAPLINE_WRITE, NULL), -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VIEW_PROTN, l + 4, 1, 1, view).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VIEW_PROTN, l, 1, 1 | 1 << 9, view).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VIEW_PROTN, ram_size(), 1, 1, view).rax, -TRAPLINE_EFAULT);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VIEW_PROTN, ram_size() - 8, 2, 1, view).rax, -TRAPLINE_EFAULT);
    EXPECT_EQ(view_destroy(view), 0);
    pages_free(pages, PAGES_2M + 64);
}

/* Buffers and lists are the caller's in the view that it is in. */
static void check_buffers(void)
{
    char *const page = need_pages(2, 1);
    const unsigned view = need_view();
    void **const list = (void **)page;

    list[0] = page + PAGE;
    EXPECT_EQ(view_prot(view, page, 1, TRAPLINE_READ), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_STATS, (uint64_t)page + 64, 0), 0);
    view_switch(view);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_STATS, (uint64_t)page + 64, 0), -TRAPLINE_EFAULT);
    EXPECT_EQ(protn(list, 1, TRAPLINE_READ), 0);
    EXPECT_EQ(view_prot(view, page, 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(protn(list, 1, TRAPLINE_NONE), -TRAPLINE_EFAULT);
    EXPECT_EQ(view_protn(view, list, 1, TRAPLINE_NONE, NULL), -TRAPLINE_EFAULT);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_PRINT, (uint64_t)page, 1), -TRAPLINE_EFAULT);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_STATS, (uint64_t)page + PAGE - 8, 0), -TRAPLINE_EFAULT);
    view_switch(0);
    EXPECT_EQ(list[0] == page + PAGE, 1);
    EXPECT_EQ(protn(list, 1, ACCESS_ALL), 0);
    EXPECT_EQ(view_destroy(view), 0);
    pages_free(page, 2);
}

/* All that there can be, and not one more. */
static void check_most(void)
{
    const struct trapline_stats before = counters();
    char *const page = need_pages(1, 1);
    unsigned made = 0;
    int view;

    plant_ret(page, 1);
    while ((view = view_create()) > 0)
        made++;
    EXPECT_EQ(view, -TRAPLINE_EAGAIN);
    EXPECT_EQ(made, VIEW_MAX);
    EXPECT(counters().table_pages <= before.table_pages + VIEW_MAX + TABLES_KEPT);
    EXPECT_EQ(view_prot(VIEW_MAX, page, 1, TRAPLINE_READ), 0);
    EXPECT_EQ(view_prot(1, page, 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed_in(VIEW_MAX, page), TRAPLINE_READ);
    EXPECT_EQ(allowed_in(1, page), TRAPLINE_NONE);
    EXPECT_EQ(allowed_in(2, page), ACCESS_ALL);
    for (unsigned i = 1; i <= VIEW_MAX; i++)
        EXPECT_EQ(view_destroy(i), 0);
    EXPECT(counters().table_pages <= before.table_pages + TABLES_KEPT);
    pages_free(page, 1);
}

/* No table is left: the call fails, nothing has changed, and what was given back is enough. */
static void check_memory(void)
{
    char *const pages = need_pages(8 * PAGES_2M, PAGES_2M);
    unsigned views[VIEW_MAX], count = 0, failed;
    int error = 0;

    for (unsigned i = 0; i < 8; i++)
        plant_ret(pages + i * BYTES_2M, 1);
    while (!error) {
        const int view = view_create();

        if (view < 0) {
            EXPECT_EQ(view, -TRAPLINE_ENOMEM);
            break;
        }
        views[count++] = (unsigned)view;
        for (failed = 0; failed < 8 && !error; failed++)
            error = view_prot((unsigned)view, pages + failed * BYTES_2M, 1, TRAPLINE_NONE);
    }
    if (error) {
        EXPECT_EQ(error, -TRAPLINE_ENOMEM);
        EXPECT_EQ(allowed_in(views[count - 1], pages + (failed - 1) * BYTES_2M), ACCESS_ALL);
    }
    EXPECT(count > 8);
    EXPECT_EQ(allowed_in(views[0], pages + 7 * BYTES_2M), TRAPLINE_NONE);
    EXPECT_EQ(view_destroy(views[0]), 0);
    views[0] = need_view();
    EXPECT_EQ(view_prot(views[0], pages, 1, TRAPLINE_NONE), 0);
    for (unsigned i = 0; i < count; i++)
        EXPECT_EQ(view_destroy(views[i]), 0);
    pages_free(pages, 8 * PAGES_2M);
}

static const struct check checks[] = {
    {"views: what view 0 and the restriction allow", check_access},
    {"views: created, destroyed, in use", check_create},
    {"views: numbers that name none", check_numbers},
    {"views: errors of VIEW_PROT", check_prot_errors},
    {"views: ranges and what they cost", check_ranges},
    {"views: VIEW_PROTN", check_protn},
    {"views: buffers", check_buffers},
    {"views: 511", check_most},
    {"views: no tables left", check_memory},
};

int main(void)
{
    return RUN_CHECKS(checks);
}
