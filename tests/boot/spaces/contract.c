/* Each call of a space, what it does and its errors. */
#include "except.h"
#include "spaces.h"

/* One page in all combinations: a space allows what space 0 and its own restriction both do. */
static void check_access(void)
{
    struct region *const region = need_region(3, 1);
    char *const page = page_of(region, 1);
    const unsigned space = need_space();

    for (size_t i = 0; i < COUNT(accesses); i++) {
        EXPECT_EQ(space_prot(space, region, page, 1, accesses[i]), 0);
        for (size_t k = 0; k < COUNT(accesses); k++) {
            check_at("access %u restricted to %u", accesses[k], accesses[i]);
            EXPECT_EQ(region_unprot(region, page), 0);
            EXPECT_EQ(region_prot1(region, page, accesses[k]), 0);
            EXPECT_EQ(allowed_in(space, page), accesses[i] & accesses[k]);
            EXPECT_EQ(allowed(page), accesses[k]);
        }
        EXPECT_EQ(allowed_in(space, page_of(region, 0)), ACCESS_ALL);
        EXPECT_EQ(allowed_in(space, page_of(region, 2)), ACCESS_ALL);
    }
    EXPECT_EQ(space_destroy(space), 0);
    region_destroy(region);
}

/* A right that space 0 loses or gains is lost and gained where it was used just now, too. */
static void check_follow(void)
{
    struct region *const region = need_region(PAGES_2M + 4, PAGES_2M);
    char *const restricted = page_of(region, 0), *const beside = page_of(region, 1),
                *const apart = page_of(region, PAGES_2M + 1);
    char *const pages[] = {restricted, beside, apart};
    const unsigned space = need_space(), other = need_space();

    EXPECT_EQ(space_prot(space, region, restricted, 1, ACCESS_RW), 0);
    for (size_t i = 0; i < COUNT(pages); i++) {
        void *list[1] = {pages[i]};

        for (unsigned from = 0; from < 2; from++) {
            check_at("page %zu from space %u", i, from ? space : 0);
            warm(space, pages[i]);
            warm(other, pages[i]);
            space_switch(from ? space : 0);
            EXPECT_EQ(region_prot1(region, pages[i], TRAPLINE_NONE), 0);
            EXPECT_EQ(allowed(pages[i]), TRAPLINE_NONE);
            space_switch(0);
            EXPECT_EQ(allowed(pages[i]), TRAPLINE_NONE);
            EXPECT_EQ(allowed_in(space, pages[i]), TRAPLINE_NONE);
            EXPECT_EQ(allowed_in(other, pages[i]), TRAPLINE_NONE);
            space_switch(from ? space : 0);
            EXPECT_EQ(region_unprot(region, pages[i]), 0);
            space_switch(0);
            EXPECT_EQ(allowed_in(space, pages[i]), pages[i] == restricted ? ACCESS_RW : ACCESS_ALL);
            EXPECT_EQ(allowed_in(other, pages[i]), ACCESS_ALL);
            warm(space, pages[i]);
            EXPECT_EQ(region_protn(region, list, 1, TRAPLINE_NONE), 0);
            EXPECT_EQ(allowed_in(space, pages[i]), TRAPLINE_NONE);
            EXPECT_EQ(region_unprot_range(region, pages[i], 1), 0);
            warm(space, pages[i]);
            EXPECT_EQ(region_protn_range(region, pages[i], 1, TRAPLINE_READ), 0);
            EXPECT_EQ(allowed_in(space, pages[i]), TRAPLINE_READ);
            EXPECT_EQ(region_unprot(region, pages[i]), 0);
        }
    }
    EXPECT_EQ(space_destroy(space), 0);
    EXPECT_EQ(space_destroy(other), 0);
    region_destroy(region);
}

/* Restrictions of a space that was used just now, from without and from within. */
static void check_restrict(void)
{
    struct region *const region = need_region(2, 1);
    char *const page = page_of(region, 0);
    const unsigned space = need_space(), other = need_space();

    for (unsigned inside = 0; inside < 2; inside++) {
        for (size_t i = 0; i < COUNT(accesses); i++) {
            check_at("restricted to %u from %s", accesses[i], inside ? "within" : "without");
            EXPECT_EQ(space_prot(space, region, page, 1, ACCESS_ALL), 0);
            warm(space, page);
            warm(other, page);
            space_switch(inside ? space : 0);
            EXPECT_EQ(space_prot(space, region, page, 1, accesses[i]), 0);
            space_switch(0);
            EXPECT_EQ(allowed_in(space, page), accesses[i]);
            EXPECT_EQ(allowed_in(other, page), ACCESS_ALL);
            EXPECT_EQ(allowed(page), ACCESS_ALL);
        }
    }
    EXPECT_EQ(space_destroy(space), 0);
    EXPECT_EQ(space_destroy(other), 0);
    region_destroy(region);
}

static void check_create(void)
{
    struct region *const region = need_region(1, 1);
    const size_t before = pages_available();
    const unsigned first = need_space(), second = need_space();
    int vector;

    EXPECT(first >= 1 && first <= SPACE_MAX && second >= 1 && second <= SPACE_MAX);
    EXPECT(first != second);
    EXPECT_EQ(pages_available(), before - 2);
    EXPECT_EQ(space_current(), 0);
    EXPECT_EQ(space_enter_full(), 0);
    space_switch(first);
    EXPECT_EQ(space_current(), first);
    EXPECT_EQ(space_destroy(first), -TRAPLINE_EAGAIN);
    space_switch(second);
    EXPECT_EQ(space_destroy(first), 0);
    EXPECT_EQ(space_destroy(first), -TRAPLINE_ENOENT);
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t none = i ? SPACE_CR3_NONE : space_cr3[first];

        TRY(vector, "mov %0, %%cr3", , "r"(none));
        EXPECT_EQ(vector, VECTOR_GP);
    }
    EXPECT_EQ(space_current(), second);
    EXPECT_EQ(space_create(), first);
    EXPECT_EQ(space_enter_full(), second);
    EXPECT_EQ(space_current(), 0);
    space_leave(second);
    EXPECT_EQ(space_current(), second);
    space_leave(0);
    EXPECT_EQ(space_current(), second);
    space_switch(0);
    /* A number that is used again begins with nothing of what was cached for it. */
    EXPECT_EQ(space_prot(first, region, region_base(region), 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed_in(first, region_base(region)), TRAPLINE_NONE);
    EXPECT_EQ(space_destroy(first), 0);
    EXPECT_EQ(space_create(), first);
    EXPECT_EQ(allowed_in(first, region_base(region)), ACCESS_ALL);
    EXPECT_EQ(space_destroy(second), 0);
    EXPECT_EQ(space_destroy(first), 0);
    EXPECT_EQ(pages_available(), before);
    region_destroy(region);
}

static void check_numbers(void)
{
    static const struct {
        unsigned space;
        int want;
    } rows[] = {
        {0, -TRAPLINE_EINVAL},         {2, -TRAPLINE_ENOENT},
        {SPACE_MAX, -TRAPLINE_ENOENT}, {SPACE_MAX + 1, -TRAPLINE_EINVAL},
        {~0u, -TRAPLINE_EINVAL},
    };
    struct region *const region = need_region(1, 1);
    const unsigned space = need_space();

    EXPECT_EQ(space, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("space %u", rows[i].space);
        EXPECT_EQ(space_destroy(rows[i].space), rows[i].want);
        EXPECT_EQ(space_prot(rows[i].space, region, region_base(region), 1, TRAPLINE_READ),
                  rows[i].want);
    }
    EXPECT_EQ(allowed_in(space, region_base(region)), ACCESS_ALL);
    EXPECT_EQ(space_destroy(space), 0);
    region_destroy(region);
}

/* A call that fails changes no right, and takes no memory when its arguments are wrong. */
static void check_errors(void)
{
    struct region *const region = need_region(3, 1), *const another = need_region(1, 1);
    char *const page = page_of(region, 1);
    const unsigned space = need_space();
    const struct {
        const char *name;
        char *page;
        size_t pages;
        unsigned access;
        int want;
    } rows[] = {
        {"misaligned", page + 1, 1, TRAPLINE_READ, -TRAPLINE_EINVAL},
        {"no page", page, 0, TRAPLINE_READ, -TRAPLINE_EINVAL},
        {"wraps", page, ~0ul, TRAPLINE_READ, -TRAPLINE_EINVAL},
        {"beyond the region", page, 3, TRAPLINE_READ, -TRAPLINE_ENOENT},
        {"another region's", region_base(another), 1, TRAPLINE_READ, -TRAPLINE_ENOENT},
        {"no page of a region", (char *)PAGE, 1, TRAPLINE_READ, -TRAPLINE_ENOENT},
        {"nothing", NULL, 1, TRAPLINE_READ, -TRAPLINE_ENOENT},
        {"write without read", page, 1, TRAPLINE_WRITE, -TRAPLINE_EINVAL},
        {"access 8", page, 1, 8, -TRAPLINE_EINVAL},
        {"execute alone", page, 1, TRAPLINE_EXEC, -TRAPLINE_EOPNOTSUPP},
    };
    struct region *ept;
    size_t before;

    EXPECT_EQ(space_prot(space, region, page, 1, TRAPLINE_READ), 0);
    before = pages_available();
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(space_prot(space, region, rows[i].page, rows[i].pages, rows[i].access),
                  rows[i].want);
        EXPECT_EQ(allowed_in(space, page), TRAPLINE_READ);
        EXPECT_EQ(allowed_in(space, page_of(region, 2)), ACCESS_ALL);
    }
    EXPECT_EQ(pages_available(), before);
    EXPECT_EQ(region_create(&ept, 1, 1, REGION_EPT), 0);
    EXPECT_EQ(space_prot(space, ept, region_base(ept), 1, TRAPLINE_READ), -TRAPLINE_EOPNOTSUPP);
    region_destroy(ept);
    EXPECT_EQ(space_destroy(space), 0);
    region_destroy(another);
    region_destroy(region);
}

/* All that there can be, and not one more; memory in proportion to what they restrict. */
static void check_most(void)
{
    struct region *const region = need_region(2 * PAGES_2M, PAGES_2M);
    const size_t before = pages_available();
    unsigned made = 0;
    int space;

    while ((space = space_create()) > 0)
        made++;
    EXPECT_EQ(space, -TRAPLINE_EAGAIN);
    EXPECT_EQ(made, SPACE_MAX);
    EXPECT_EQ(pages_available(), before - SPACE_MAX);
    EXPECT_EQ(space_prot(SPACE_MAX, region, page_of(region, 3), 2, TRAPLINE_READ), 0);
    EXPECT_EQ(space_prot(1, region, page_of(region, 3), 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(pages_available(), before - SPACE_MAX - 2 * 3);
    EXPECT_EQ(space_prot(1, region, page_of(region, 4), 300, TRAPLINE_READ), 0);
    EXPECT_EQ(pages_available(), before - SPACE_MAX - 2 * 3);
    EXPECT_EQ(space_prot(1, region, page_of(region, PAGES_2M), 1, TRAPLINE_READ), 0);
    EXPECT_EQ(space_prot(2, region, page_of(region, 0), 2 * PAGES_2M, ACCESS_ALL), 0);
    EXPECT_EQ(pages_available(), before - SPACE_MAX - 2 * 3 - 1);
    EXPECT_EQ(allowed_in(SPACE_MAX, page_of(region, 3)), TRAPLINE_READ);
    EXPECT_EQ(allowed_in(1, page_of(region, 3)), TRAPLINE_NONE);
    EXPECT_EQ(allowed_in(1, page_of(region, PAGES_2M)), TRAPLINE_READ);
    EXPECT_EQ(allowed_in(2, page_of(region, 3)), ACCESS_ALL);
    for (unsigned i = 1; i <= SPACE_MAX; i++)
        EXPECT_EQ(space_destroy(i), 0);
    EXPECT_EQ(pages_available(), before);
    region_destroy(region);
}

/* Pages that were taken, listed in their first. */
struct taken {
    struct taken *next;
    size_t pages;
};

static struct taken *take_all(void)
{
    struct taken *list = NULL;

    for (size_t pages = pages_available(); pages > 0; pages /= 2) {
        struct taken *more;

        while ((more = (void *)pages_alloc(pages, 1))) {
            *more = (struct taken){list, pages};
            list = more;
        }
    }
    return list;
}

static void give_back(struct taken *list)
{
    while (list) {
        struct taken *const next = list->next;

        pages_free(list, list->pages);
        list = next;
    }
}

/* No memory is left: the call fails, no right has changed. */
static void check_memory(void)
{
    struct region *const region = need_region(2 * PAGES_2M, PAGES_2M);
    const size_t before = pages_available();
    const unsigned space = need_space();
    struct taken *taken;

    /* There are tables for the first 2 MiB, and no page for those of the second. */
    EXPECT_EQ(space_prot(space, region, page_of(region, 0), 1, TRAPLINE_READ), 0);
    taken = take_all();
    EXPECT_EQ(pages_available(), 0);
    EXPECT_EQ(space_create(), -TRAPLINE_ENOMEM);
    EXPECT_EQ(space_prot(space, region, page_of(region, 1), PAGES_2M, TRAPLINE_NONE),
              -TRAPLINE_ENOMEM);
    EXPECT_EQ(allowed_in(space, page_of(region, 0)), TRAPLINE_READ);
    EXPECT_EQ(allowed_in(space, page_of(region, 1)), ACCESS_ALL);
    EXPECT_EQ(allowed_in(space, page_of(region, PAGES_2M)), ACCESS_ALL);
    EXPECT_EQ(space_prot(space, region, page_of(region, 1), 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed_in(space, page_of(region, 1)), TRAPLINE_NONE);
    give_back(taken);
    EXPECT_EQ(space_destroy(space), 0);
    EXPECT_EQ(pages_available(), before);
    region_destroy(region);
}

static const struct check checks[] = {
    {"spaces: every restriction of every access", check_access},
    {"spaces: what space 0 loses and gains", check_follow},
    {"spaces: restricting what is in use", check_restrict},
    {"spaces: make, enter, leave, destroy", check_create},
    {"spaces: numbers that are none", check_numbers},
    {"spaces: errors change nothing", check_errors},
    {"spaces: as many as there can be", check_most},
    {"spaces: no memory", check_memory},
};

int main(void)
{
    set_gate(VECTOR_GP, except_stubs[VECTOR_GP]);
    return RUN_CHECKS(checks);
}
