/* Several vCPUs in spaces of their own: rights that are taken from one that runs; spaces in use. */
#include "threads.h"

#include "spaces.h"

enum {
    PAGES = 12,
    ROUNDS = 40,
    LOOKS = 300, /* at a page that nobody may write any more */
};

static struct {
    struct region *region;
    unsigned spaces[VCPUS_MAX];
    atomic_uint faults[VCPUS_MAX];
    atomic_uint wrong;
} own;

static void open_page(struct trapline_fault *fault)
{
    const unsigned space = space_enter_full(), me = vcpu_index();

    if (space != own.spaces[me] || space_current() != 0)
        atomic_fetch_add(&own.wrong, 1);
    atomic_fetch_add(&own.faults[me], 1);
    if (space_prot(space, own.region, trap_page(fault), 1, ACCESS_RW))
        atomic_fetch_add(&own.wrong, 1);
    space_leave(space);
}

/* The pages are open in one space and closed in the others at the same time. */
static void mutate(void *argument)
{
    const unsigned me = vcpu_index();

    (void)argument;
    space_switch(own.spaces[me]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (space_prot(own.spaces[me], own.region, region_base(own.region), PAGES, TRAPLINE_NONE))
            atomic_fetch_add(&own.wrong, 1);
        for (unsigned i = 0; i < PAGES; i++)
            ((volatile char *)page_of(own.region, i))[me] = (char)round;
    }
    /* The thread ends where it is: the next one of this vCPU begins in space 0. */
    if (me == 0)
        space_switch(0);
}

static void note_space(void *argument)
{
    *(unsigned *)argument = space_current();
}

static void check_own(void)
{
    unsigned seen = SPACE_MAX + 1;

    own.region = need_region(PAGES, 1);
    for (unsigned i = 0; i < vcpu_count(); i++)
        own.spaces[i] = need_space();
    trap(open_page, 0);
    threads_start(mutate, NULL);
    mutate(NULL);
    threads_join();
    trap(NULL, 0);
    EXPECT_EQ(own.wrong, 0);
    EXPECT_EQ(thread_start(1, note_space, &seen), 0);
    EXPECT_EQ(thread_join(1), 0);
    EXPECT_EQ(seen, 0);
    for (unsigned i = 0; i < vcpu_count(); i++) {
        EXPECT_EQ(own.faults[i], ROUNDS * PAGES);
        EXPECT_EQ(space_destroy(own.spaces[i]), 0);
    }
    region_destroy(own.region);
}

static struct {
    struct region *region;
    volatile uint64_t *page;
    unsigned space;
    atomic_uint closed, stop, faults;
} shot;

/* Waits until the page is open again; the access is then tried again. */
static void wait_until_open(struct trapline_fault *fault)
{
    const unsigned space = space_enter_full();

    (void)fault;
    atomic_fetch_add(&shot.faults, 1);
    WAIT_UNTIL(!atomic_load(&shot.closed));
    space_leave(space);
}

static void write_on(void *argument)
{
    (void)argument;
    space_switch(shot.space);
    while (!atomic_load(&shot.stop))
        ++*shot.page;
    space_switch(0);
}

/* Take the right to write from the page: in the other's space, or in space 0, or at the end of it.
 */
static void close_page(unsigned round)
{
    void *const page = (void *)shot.page;
    const unsigned access = round % 2 ? TRAPLINE_READ : TRAPLINE_NONE;
    void *list[1] = {page};

    switch (round % 3) {
    case 0: EXPECT_EQ(space_prot(shot.space, shot.region, page, 1, access), 0); break;
    case 1: EXPECT_EQ(region_prot1(shot.region, page, TRAPLINE_READ), 0); break;
    default: EXPECT_EQ(region_protn(shot.region, list, 1, TRAPLINE_READ), 0); break;
    }
}

static void reopen_page(unsigned round)
{
    void *const page = (void *)shot.page;

    if (round % 3 == 0)
        EXPECT_EQ(space_prot(shot.space, shot.region, page, 1, ACCESS_RW), 0);
    else
        EXPECT_EQ(region_unprot(shot.region, page), 0);
}

/* When a call that takes a right away has returned, nobody in the space writes to the page. */
static void check_shootdown(void)
{
    shot.region = need_region(1, 1);
    shot.page = region_base(shot.region);
    shot.space = need_space();
    *shot.page = 0;
    trap(wait_until_open, 0);
    EXPECT_EQ(thread_start(1, write_on, NULL), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t start = *shot.page;
        uint64_t stopped;

        WAIT_UNTIL(*shot.page != start);
        EXPECT_EQ(space_destroy(shot.space), -TRAPLINE_EAGAIN);
        atomic_store(&shot.closed, 1);
        close_page(round);
        stopped = *shot.page;
        for (unsigned i = 0; i < LOOKS; i++)
            EXPECT_EQ(*shot.page, stopped);
        WAIT_UNTIL(atomic_load(&shot.faults) > round);
        EXPECT_EQ(*shot.page, stopped);
        reopen_page(round);
        atomic_store(&shot.closed, 0);
    }
    atomic_store(&shot.stop, 1);
    EXPECT_EQ(thread_join(1), 0);
    trap(NULL, 0);
    EXPECT_EQ(shot.faults, ROUNDS);
    EXPECT_EQ(space_destroy(shot.space), 0);
    region_destroy(shot.region);
}

static const struct check checks[] = {
    {"spaces: one for each vCPU", check_own},
    {"spaces: shootdown", check_shootdown},
};

int main(void)
{
    return RUN_CHECKS(checks);
}
