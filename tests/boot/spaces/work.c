/* Spaces at work: a handler in the full space, DIRTY, aliases, user mode, regions that end. */
#include "spaces.h"

#include <trapline/user.h>

enum {
    PAGES = 20,
    ROUNDS = 10,
};

static struct region *region;
static unsigned mutators;
static volatile unsigned faults, wrong;

static void open_region(size_t pages)
{
    region = need_region(pages, 1);
    mutators = need_space();
    faults = wrong = 0;
}

static void close_region(void)
{
    trap(NULL, 0);
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(space_destroy(mutators), 0);
    region_destroy(region);
}

/* Leaves a mark in the page, as a collector that scans it: only space 0 lets it. */
static void scan(struct trapline_fault *fault)
{
    const unsigned space = space_enter_full();
    char *const page = trap_page(fault);

    faults++;
    wrong += space != mutators || space_current() != 0;
    page[1]++;
    wrong += space_prot(space, region, page, 1, ACCESS_RW) != 0;
    space_leave(space);
    wrong += space_current() != space;
}

TRAP_LEAN_HANDLER static void scan_lean(struct trapline_fault *fault)
{
    const unsigned space = space_enter_full();

    faults++;
    space_prot(space, region, trap_page(fault), 1, ACCESS_RW);
    space_leave(space);
}

/* Every page is given to the handler once, however it is registered. */
static void check_handler(void)
{
    static const struct {
        trap_handler *handler;
        unsigned flags;
    } rows[] = {{scan, 0}, {scan_lean, TRAP_LEAN}};

    open_region(PAGES);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("flags %u", rows[i].flags);
        faults = 0;
        trap(rows[i].handler, rows[i].flags);
        for (unsigned round = 0; round < ROUNDS; round++) {
            EXPECT_EQ(space_prot(mutators, region, page_of(region, 0), PAGES, TRAPLINE_NONE), 0);
            space_switch(mutators);
            for (unsigned k = 0; k < PAGES; k++)
                *(volatile char *)page_of(region, (k * 7 + round) % PAGES) = (char)round;
            space_switch(0);
            EXPECT_EQ(faults, (round + 1) * PAGES);
        }
    }
    for (unsigned k = 0; k < PAGES; k++)
        EXPECT_EQ(page_of(region, k)[1], ROUNDS);
    close_region();
}

/* A page that space 0 forbids as well is forbidden until both allow it. */
static void check_both(void)
{
    open_region(1);
    EXPECT_EQ(region_prot1(region, page_of(region, 0), TRAPLINE_NONE), 0);
    EXPECT_EQ(space_prot(mutators, region, page_of(region, 0), 1, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed_in(mutators, page_of(region, 0)), TRAPLINE_NONE);
    EXPECT_EQ(region_unprot(region, page_of(region, 0)), 0);
    EXPECT_EQ(allowed_in(mutators, page_of(region, 0)), TRAPLINE_READ);
    EXPECT_EQ(region_prot1(region, page_of(region, 0), TRAPLINE_NONE), 0);
    EXPECT_EQ(space_prot(mutators, region, page_of(region, 0), 1, ACCESS_ALL), 0);
    EXPECT_EQ(allowed_in(mutators, page_of(region, 0)), TRAPLINE_NONE);
    EXPECT_EQ(region_unprot(region, page_of(region, 0)), 0);
    EXPECT_EQ(allowed_in(mutators, page_of(region, 0)), ACCESS_ALL);
    close_region();
}

/* DIRTY's next answer: how many pages, and the first of them. */
static long dirty_first(char **first)
{
    void *list[PAGES];
    size_t left = 0;
    const long count = region_dirty(region, region_base(region), PAGES, list, PAGES, &left);

    *first = count > 0 ? list[0] : NULL;
    EXPECT_EQ(left, 0);
    return count;
}

/* A write in any space is reported by the next DIRTY, once; through own tables, too. */
static void check_dirty(void)
{
    char *first;
    int other;

    open_region(PAGES);
    EXPECT_EQ(space_prot(mutators, region, page_of(region, 0), 1, TRAPLINE_READ), 0);
    warm(mutators, page_of(region, 5));
    EXPECT_EQ(region_track(region, region_base(region), PAGES, 1), 0);
    EXPECT_EQ(dirty_first(&first), 0);
    for (unsigned i = 1; i < PAGES; i++) {
        check_at("page %u", i);
        warm(i % 2 ? mutators : 0, page_of(region, i));
        if (i % 3 == 0) { /* the flag outlives a change of the page's rights */
            EXPECT_EQ(region_prot1(region, page_of(region, i), TRAPLINE_READ), 0);
            EXPECT_EQ(region_unprot(region, page_of(region, i)), 0);
        }
        if (i % 4 == 0)
            EXPECT_EQ(space_prot(mutators, region, page_of(region, i), 1, ACCESS_RW), 0);
        EXPECT_EQ(dirty_first(&first), 1);
        EXPECT(first == page_of(region, i));
        EXPECT_EQ(dirty_first(&first), 0);
        warm(mutators, page_of(region, i));
        EXPECT_EQ(dirty_first(&first), 1);
    }
    EXPECT_EQ(dirty_first(&first), 0);
    check_at("a space that ends");
    other = space_create();
    EXPECT(other > 0);
    EXPECT_EQ(space_prot((unsigned)other, region, page_of(region, 0), 1, TRAPLINE_READ), 0);
    warm((unsigned)other, page_of(region, 3));
    EXPECT_EQ(space_destroy((unsigned)other), 0);
    EXPECT_EQ(dirty_first(&first), 1);
    EXPECT(first == page_of(region, 3));
    EXPECT_EQ(region_track(region, region_base(region), PAGES, 0), 0);
    close_region();
}

/* Another address of a page is restricted by itself, and its restriction ends with it. */
static void check_alias(void)
{
    char *alias, *first;

    open_region(PAGES);
    alias = region_alias_window(region);
    EXPECT_EQ(region_map2(region, page_of(region, 2), alias, ACCESS_ALL), 0);
    EXPECT_EQ(space_prot(mutators, region, alias, 1, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed_in(mutators, page_of(region, 2)), ACCESS_ALL);
    space_switch(mutators);
    EXPECT_EQ(probe(alias, TRAPLINE_WRITE), 1);
    EXPECT_EQ(probe(alias, TRAPLINE_READ), 0);
    space_switch(0);
    EXPECT_EQ(probe(alias, TRAPLINE_WRITE), 0);
    EXPECT_EQ(region_track(region, region_base(region), PAGES, 1), 0);
    EXPECT_EQ(space_prot(mutators, region, alias, 1, ACCESS_RW), 0);
    warm(mutators, alias);
    EXPECT_EQ(dirty_first(&first), 1);
    EXPECT(first == page_of(region, 2));
    warm(mutators, alias);
    EXPECT_EQ(space_prot(mutators, region, alias, 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(region_unmap2(region, alias), 0);
    EXPECT_EQ(dirty_first(&first), 1);
    EXPECT_EQ(region_track(region, region_base(region), PAGES, 0), 0);
    EXPECT_EQ(region_map2(region, page_of(region, 3), alias, ACCESS_ALL), 0);
    space_switch(mutators);
    EXPECT_EQ(probe(alias, TRAPLINE_WRITE), 0);
    space_switch(0);
    EXPECT_EQ(region_unmap2(region, alias), 0);
    close_region();
}

/* An alias that goes to another page takes its restriction along, and no write. */
static void check_remap(void)
{
    char *alias, *first;

    open_region(PAGES);
    alias = region_alias_window(region);
    EXPECT_EQ(region_map2(region, page_of(region, 2), alias, ACCESS_ALL), 0);
    EXPECT_EQ(space_prot(mutators, region, alias, 1, ACCESS_RW), 0);
    EXPECT_EQ(region_track(region, region_base(region), PAGES, 1), 0);
    page_of(region, 2)[1] = 2;
    page_of(region, 3)[1] = 3;
    EXPECT_EQ(dirty_first(&first), 2);
    for (unsigned from = 0; from < 2; from++) {
        check_at("from space %u", from ? mutators : 0);
        warm(mutators, alias);
        space_switch(from ? mutators : 0);
        EXPECT_EQ(region_remap2(region, page_of(region, 3), alias, ACCESS_ALL), 0);
        space_switch(0);
        EXPECT_EQ(dirty_first(&first), 1);
        EXPECT(first == page_of(region, 2));
        EXPECT_EQ(alias[1], 3);
        EXPECT_EQ(allowed_in(mutators, alias), ACCESS_RW);
        EXPECT_EQ(dirty_first(&first), 1);
        EXPECT(first == page_of(region, 3));
        space_switch(from ? mutators : 0);
        EXPECT_EQ(region_remap2(region, page_of(region, 2), alias, ACCESS_ALL), 0);
        space_switch(mutators);
        EXPECT_EQ(alias[1], 2);
        space_switch(0);
    }
    EXPECT_EQ(dirty_first(&first), 0);
    EXPECT_EQ(region_track(region, region_base(region), PAGES, 0), 0);
    EXPECT_EQ(region_unmap2(region, alias), 0);
    close_region();
}

/* Pages of a region that is gone are everybody's again; regions are made and end in any space. */
static void check_region_ends(void)
{
    char *page;

    open_region(3);
    page = page_of(region, 1);
    EXPECT_EQ(space_prot(mutators, region, page_of(region, 0), 3, TRAPLINE_NONE), 0);
    region_destroy(region);
    space_switch(mutators);
    *(volatile char *)page = 1;
    region = need_region(2 * PAGES_2M, PAGES_2M);
    EXPECT_EQ(region_prot1(region, page_of(region, 0), TRAPLINE_READ), 0);
    EXPECT_EQ(allowed(page_of(region, 0)), TRAPLINE_READ);
    EXPECT_EQ(space_prot(mutators, region, page_of(region, 1), PAGES_2M, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed(page_of(region, 1)), TRAPLINE_READ);
    space_switch(0);
    EXPECT_EQ(allowed(page_of(region, 0)), TRAPLINE_READ);
    EXPECT_EQ(allowed(page_of(region, 1)), ACCESS_ALL);
    EXPECT_EQ(region->pt_pages, 0);
    EXPECT_EQ(space_destroy(mutators), 0);
    /* The calls are inlined again, where they may be. */
    EXPECT_EQ(region->pt_pages, vcpu_count() == 1 ? region_pages(region) : 0);
    mutators = need_space();
    close_region();
}

enum {
    SYSCALL_SPACE = 1,
};

USER_HANDLER static int64_t tell_space(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                       uint64_t number)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    return number == SYSCALL_SPACE ? (int64_t)space_current() : -TRAPLINE_ENOSYS;
}

USER_CODE static int64_t write_and_ask(uint64_t address)
{
    *(volatile char *)address = 7;
    return user_syscall(SYSCALL_SPACE, 0, 0, 0, 0, 0);
}

/* User mode in a space: what it is given there is what it has there, in tables of the space, too.
 */
static void check_user(void)
{
    char *const stack = need_pages(1, 1);
    struct user_result result;
    char *page;

    open_region(4);
    user_syscalls(tell_space);
    page = page_of(region, 1);
    EXPECT_EQ(space_prot(mutators, region, page_of(region, 0), 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(user_allow(stack, 1, true), 0);
    EXPECT_EQ(user_allow(page, 1, true), 0);
    trap(scan_lean, TRAP_LEAN);
    for (unsigned restricted = 0; restricted < 2; restricted++) {
        check_at("restricted %u", restricted);
        if (restricted)
            EXPECT_EQ(space_prot(mutators, region, page, 1, TRAPLINE_READ), 0);
        space_switch(mutators);
        EXPECT_EQ(user_may(page, 1, ACCESS_RW), !restricted);
        EXPECT_EQ(user_run(write_and_ask, (uint64_t)page, stack + PAGE, &result), 0);
        EXPECT_EQ(result.how, USER_RETURNED);
        EXPECT_EQ(result.value, mutators);
        EXPECT_EQ(space_enter_full(), mutators);
        user_access_begin();
        EXPECT_EQ(*page, 7);
        user_access_end();
        EXPECT_EQ(faults, restricted);
    }
    EXPECT_EQ(user_allow(page, 1, false), 0);
    space_switch(mutators);
    EXPECT_EQ(user_run(write_and_ask, (uint64_t)page, stack + PAGE, &result), 0);
    EXPECT_EQ(result.how, USER_FAULTED);
    EXPECT_EQ(result.address, page);
    space_switch(0);
    EXPECT_EQ(user_allow(stack, 1, false), 0);
    user_syscalls(NULL);
    close_region();
    pages_free(stack, 1);
}

static const struct check checks[] = {
    {"spaces: a handler in the full space", check_handler},
    {"spaces: both have to allow", check_both},
    {"spaces: DIRTY", check_dirty},
    {"spaces: aliases", check_alias},
    {"spaces: an alias that goes to another page", check_remap},
    {"spaces: regions that come and go", check_region_ends},
    {"spaces: user mode", check_user},
};

int main(void)
{
    return RUN_CHECKS(checks);
}
