/* Several vCPUs in views of their own: shootdown in a view, DIRTY, and views that are in use. */
#include <trapline/thread.h>

#include "except.h"
#include "views.h"

enum {
    THREADS = 3,
    PAGES = 12,
    ROUNDS = 60,
};

static struct {
    char *pages;
    unsigned views[THREADS];
    atomic_uint faults[THREADS];
    atomic_uint wrong;
} own;

static void open_page(struct trapline_fault *fault)
{
    const unsigned view = view_enter_full(), me = vcpu_index();

    if (view != own.views[me])
        atomic_fetch_add(&own.wrong, 1);
    atomic_fetch_add(&own.faults[me], 1);
    if (view_prot(view, trap_page(fault), 1, ACCESS_RW))
        atomic_fetch_add(&own.wrong, 1);
    view_leave(view);
}

/* The pages are open in one view and closed in the others at the same time. */
static void mutate(void *argument)
{
    const unsigned me = vcpu_index();

    (void)argument;
    view_switch(own.views[me]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (view_prot(own.views[me], own.pages, PAGES, TRAPLINE_NONE))
            atomic_fetch_add(&own.wrong, 1);
        for (unsigned i = 0; i < PAGES; i++)
            ((volatile char *)own.pages)[i * PAGE + me] = (char)round;
    }
    view_switch(0);
}

static void check_own(void)
{
    own.pages = need_pages(PAGES, 1);
    for (unsigned i = 0; i < THREADS; i++)
        own.views[i] = need_view();
    trap(open_page, 0);
    for (unsigned i = 1; i < THREADS; i++)
        EXPECT_EQ(thread_start(i, mutate, NULL), 0);
    mutate(NULL);
    for (unsigned i = 1; i < THREADS; i++)
        EXPECT_EQ(thread_join(i), 0);
    trap(NULL, 0);
    EXPECT_EQ(own.wrong, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        EXPECT_EQ(own.faults[i], ROUNDS * PAGES);
        EXPECT_EQ(view_destroy(own.views[i]), 0);
    }
    pages_free(own.pages, PAGES);
}

static struct {
    volatile uint64_t *page;
    unsigned view;
    atomic_uint closed, stop, faults;
} shot;

/* Waits until the page is open again; the access is then tried again. */
static void wait_until_open(struct trapline_fault *fault)
{
    const unsigned view = view_enter_full();

    (void)fault;
    atomic_fetch_add(&shot.faults, 1);
    while (atomic_load(&shot.closed))
        __builtin_ia32_pause();
    view_leave(view);
}

static void write_on(void *argument)
{
    (void)argument;
    view_switch(shot.view);
    while (!atomic_load(&shot.stop))
        ++*shot.page;
    view_switch(0);
}

/* When VIEW_PROT has returned, nobody in the view writes to the page any more. */
static void check_shootdown(void)
{
    shot.page = (uint64_t *)need_pages(1, 1);
    shot.view = need_view();
    *shot.page = 0;
    trap(wait_until_open, 0);
    EXPECT_EQ(thread_start(1, write_on, NULL), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t start = *shot.page;
        uint64_t stopped;

        while (*shot.page == start)
            __builtin_ia32_pause();
        atomic_store(&shot.closed, 1);
        EXPECT_EQ(view_prot(shot.view, (void *)shot.page, 1, round % 2 ? TRAPLINE_READ : 0), 0);
        stopped = *shot.page;
        for (unsigned i = 0; i < 300; i++)
            EXPECT_EQ(*shot.page, stopped);
        EXPECT_EQ(view_prot(shot.view, (void *)shot.page, 1, ACCESS_RW), 0);
        atomic_store(&shot.closed, 0);
    }
    atomic_store(&shot.stop, 1);
    EXPECT_EQ(thread_join(1), 0);
    trap(NULL, 0);
    EXPECT(shot.faults >= 1);
    EXPECT_EQ(view_destroy(shot.view), 0);
    pages_free((void *)shot.page, 1);
}

static struct {
    char *pages;
    unsigned view;
    atomic_uint turn; /* odd: the writer's; 0: over */
    unsigned page;
} track_state;

static void write_in_turn(void *argument)
{
    unsigned turn;

    (void)argument;
    view_switch(track_state.view);
    while ((turn = atomic_load(&track_state.turn))) {
        if (turn % 2 == 0)
            continue;
        ((volatile char *)track_state.pages)[track_state.page * PAGE] = (char)turn;
        atomic_store(&track_state.turn, turn + 1);
    }
    view_switch(0);
}

/* What another vCPU wrote in its view is reported by the next call, once. */
static void check_dirty(void)
{
    void *list[PAGES];
    size_t left;

    track_state.pages = need_pages(PAGES, 1);
    track_state.view = need_view();
    EXPECT_EQ(view_prot(track_state.view, track_state.pages, 1, TRAPLINE_READ), 0);
    EXPECT_EQ(track(track_state.pages, PAGES, 1), 0);
    atomic_store(&track_state.turn, 2);
    EXPECT_EQ(thread_start(1, write_in_turn, NULL), 0);
    for (unsigned round = 0; round < 4 * ROUNDS; round++) {
        const unsigned turn = 2 * round + 3;

        track_state.page = 1 + round * 5 % (PAGES - 1);
        atomic_store(&track_state.turn, turn);
        while (atomic_load(&track_state.turn) == turn)
            __builtin_ia32_pause();
        EXPECT_EQ(dirty(track_state.pages, PAGES, list, PAGES, &left), 1);
        EXPECT_EQ((uint64_t)list[0], (uint64_t)track_state.pages + track_state.page * PAGE);
    }
    atomic_store(&track_state.turn, 0);
    EXPECT_EQ(thread_join(1), 0);
    EXPECT_EQ(track(track_state.pages, PAGES, 0), 0);
    EXPECT_EQ(view_destroy(track_state.view), 0);
    pages_free(track_state.pages, PAGES);
}

static struct {
    unsigned view;
    atomic_uint inside, leave, refused;
} use;

static void stay(void *argument)
{
    const bool park = argument;

    view_switch(use.view);
    atomic_store(&use.inside, 1);
    if (park)
        thread_park(0);
    while (!atomic_load(&use.leave))
        __builtin_ia32_pause();
    view_switch(0);
}

/* In and out, until the view is gone. */
static void come_and_go(void *argument)
{
    int vector = VECTOR_NONE;

    (void)argument;
    atomic_store(&use.inside, 1);
    while (vector == VECTOR_NONE) {
        if (view_vmfunc) {
            TRY(vector, "vmfunc", , ARGS("a"(0), "c"(use.view)));
            view_function(0);
        } else if (hypercall2(TRAPLINE_HC_VIEW_SWITCH, use.view, 0) < 0) {
            break;
        } else {
            view_switch(0);
        }
    }
    if (view_vmfunc && vector != VECTOR_GP)
        atomic_fetch_add(&use.refused, 1);
}

static void begin_use(thread_function *function, void *argument)
{
    use.view = need_view();
    atomic_store(&use.inside, 0);
    atomic_store(&use.leave, 0);
    EXPECT_EQ(thread_start(1, function, argument), 0);
    while (!atomic_load(&use.inside))
        __builtin_ia32_pause();
}

/* A view that a vCPU is in, running or parked, or goes in and out of, is not destroyed under it. */
static void check_in_use(void)
{
    int result;

    for (unsigned parked = 0; parked < 2; parked++) {
        check_at("%s", parked ? "parked" : "running");
        begin_use(stay, (void *)(uintptr_t)parked);
        for (unsigned i = 0; i < 20; i++)
            EXPECT_EQ(view_destroy(use.view), -TRAPLINE_EAGAIN);
        atomic_store(&use.leave, 1);
        thread_unpark(1);
        EXPECT_EQ(thread_join(1), 0);
        EXPECT_EQ(view_destroy(use.view), 0);
    }
    for (unsigned round = 0; round < 20; round++) {
        check_at("in and out, round %u", round);
        begin_use(come_and_go, NULL);
        while ((result = view_destroy(use.view)) == -TRAPLINE_EAGAIN)
            ;
        EXPECT_EQ(result, 0);
        EXPECT_EQ(thread_join(1), 0);
    }
    EXPECT_EQ(use.refused, 0);
}

static const struct check checks[] = {
    {"views: a vCPU each", check_own},
    {"views: shootdown", check_shootdown},
    {"views: DIRTY of another vCPU's writes", check_dirty},
    {"views: in use", check_in_use},
};

int main(void)
{
    except_init();
    return RUN_CHECKS(checks);
}
