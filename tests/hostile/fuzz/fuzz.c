/*
 * Random hypercalls, by a fixed sequence: bad arguments of every sort mixed with good ones. Each
 * answer is one that the contract has, the hypervisor lives, and in the end all can be undone.
 *
 * The calls reach memory of this guest only above its own image: a fuzzer that takes its own code
 * away would prove nothing.
 */
#include <trapline/view.h>

#include "probe.h"

enum {
    CALLS = 60000,
    VICTIM_PAGES = 3 * PAGES_2M,
    ALIAS_PAGES = 256,          /* where aliases begin, at either end of the window */
    ALIAS_REACH = 8 * PAGES_2M, /* where they can be: none is longer than RAM */
    WINDOW_PAGES = 1024,        /* of the victim, that hold lists and buffers */
};

/* The calls that are made; those of several vCPUs and guests have tests of their own. */
static const uint8_t numbers[] = {
    TRAPLINE_HC_NOP,         TRAPLINE_HC_TRAP,         TRAPLINE_HC_PROT1,
    TRAPLINE_HC_PROTN,       TRAPLINE_HC_UNPROT,       TRAPLINE_HC_DIRTY,
    TRAPLINE_HC_MAP2,        TRAPLINE_HC_UNMAP2,       TRAPLINE_HC_TRACK,
    TRAPLINE_HC_PRINT,       TRAPLINE_HC_STATS,        TRAPLINE_HC_VIEW_CREATE,
    TRAPLINE_HC_VIEW_PROT,   TRAPLINE_HC_VIEW_DESTROY, TRAPLINE_HC_VIEW_PROTN,
    TRAPLINE_HC_VIEW_SWITCH,
};

static char *victim;
static bool views[VIEW_MAX + 1]; /* there are */
static unsigned inside;          /* the view that this program is in */
static uint64_t to_destroy;      /* what the last VIEW_DESTROY named */
static uint64_t state = 88172645463325252;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t below(uint64_t limit)
{
    return (next() >> 11) % limit;
}

/* A page address: mostly good, sometimes wild. */
static uint64_t some_page(void)
{
    const uint64_t alias = (uint64_t)alias_window();

    switch (below(16)) {
    case 0: return next();
    case 1: return 1ul << below(64);
    case 2: return ~0ul << below(64);
    case 3: return ram_size() + (below(5) - 2) * PAGE;
    case 4: return (uint64_t)victim + below(VICTIM_PAGES * PAGE);
    case 5:
    case 6:
    case 7: return alias + below(ALIAS_PAGES) * PAGE;
    case 8: return alias + (alias_window_pages() - below(ALIAS_PAGES)) * PAGE;
    case 9: return alias + (alias_window_pages() + below(5) - 2) * PAGE;
    default: return (uint64_t)victim + below(VICTIM_PAGES) * PAGE;
    }
}

/* A number of pages or entries. */
static uint64_t some_count(void)
{
    switch (below(12)) {
    case 0: return next();
    case 1: return 1ul << below(64);
    case 2: return ~0ul << below(64);
    case 3: return 0;
    case 4: return PAGES_2M << below(3);
    case 5: return below(1200);
    default: return 1 + below(40);
    }
}

static uint64_t some_access(void)
{
    return below(8) ? below(8) : next();
}

/* Where a list or buffer is: in the victim, which may be protected, or wild. */
static uint64_t some_buffer(void)
{
    switch (below(10)) {
    case 0: return next();
    case 1: return ~0ul << below(64);
    case 2: return ram_size() - below(64) * 8;
    case 3: return (uint64_t)victim + below(WINDOW_PAGES * PAGE);
    default: return (uint64_t)victim + below(WINDOW_PAGES * PAGE / 8) * 8;
    }
}

/* The call must not reach below the victim: its range begins in it, or is no range of RAM. */
static bool spares_image(uint64_t page, uint64_t pages)
{
    return page >= (uint64_t)victim || pages == 0 || page % PAGE ||
           page + pages * PAGE <= (uint64_t)BYTES_2M;
}

static void fill_list(uint64_t list, uint64_t count, bool ranges)
{
    uint64_t *const entries = (uint64_t *)list;

    for (uint64_t i = 0; i < count; i++) {
        if (ranges && i % 2) {
            entries[i] = some_count();
            if (!spares_image(entries[i - 1], entries[i]))
                entries[i - 1] = (uint64_t)victim;
        } else {
            entries[i] = below(20) ? (uint64_t)victim + below(VICTIM_PAGES) * PAGE : some_page();
            if (!spares_image(entries[i], 1))
                entries[i] = ~0ul;
        }
    }
}

static bool in_victim(uint64_t address, uint64_t bytes)
{
    const uint64_t offset = address - (uint64_t)victim;

    return address % 8 == 0 && offset < VICTIM_PAGES * PAGE &&
           bytes <= VICTIM_PAGES * PAGE - offset;
}

/* The answers that the contract has. */
static bool known(int64_t result)
{
    switch (-result) {
    case TRAPLINE_ENOENT:
    case TRAPLINE_ENOMEM:
    case TRAPLINE_EAGAIN:
    case TRAPLINE_EFAULT:
    case TRAPLINE_EEXIST:
    case TRAPLINE_EINVAL:
    case TRAPLINE_ENOSYS:
    case TRAPLINE_EOPNOTSUPP: return true;
    default: return result >= 0;
    }
}

/* A view's number: mostly one of a few, sometimes wild. */
static uint64_t some_view(void)
{
    return below(16) ? 1 + below(12) : below(2) ? below(600) : next();
}

static struct hypercall_result one_call(uint64_t number)
{
    uint64_t a = some_page(), b = some_count(), c = next(), d = next();

    if (number == TRAPLINE_HC_PROTN || number == TRAPLINE_HC_VIEW_PROTN) {
        const bool ranges = below(2);

        d = some_view();
        a = some_buffer();
        c = some_access() | (ranges ? TRAPLINE_LIST_RANGES : 0);
        if (in_victim(a, (ranges ? 16 : 8) * (b < 8192 ? b : 8192)) && b < 8192)
            fill_list(a, b * (ranges ? 2 : 1), ranges);
        else if (!in_victim(a, 0) || b < 8192)
            b = below(2) ? next() : ~0ul; /* no list of what happens to lie there */
        else
            a |= 1;
    } else if (number == TRAPLINE_HC_PROT1) {
        b = some_access();
        if (!spares_image(a, 1))
            a = (uint64_t)victim;
    } else if (number == TRAPLINE_HC_DIRTY) {
        c = some_buffer();
        d = some_count();
    } else if (number == TRAPLINE_HC_UNMAP2) {
        b = below(4) ? 1 + below(3) : b;
    } else if (number == TRAPLINE_HC_MAP2) {
        b = below(4) ? 1 + below(3) : b;
        c = below(8) ? (uint64_t)alias_window() + below(ALIAS_PAGES) * PAGE : some_page();
        d = some_access();
    } else if (number == TRAPLINE_HC_TRACK) {
        c = below(4) ? below(2) : next();
    } else if (number == TRAPLINE_HC_PRINT) {
        a = some_buffer();
        b = in_victim(a & ~7ul, 0) || a < ram_size() ? 0 : some_count();
    } else if (number == TRAPLINE_HC_STATS) {
        a = some_buffer();
    } else if (number == TRAPLINE_HC_TRAP) {
        /* The hypervisor writes to the area. */
        a = spares_image(a, 1) && a != (uint64_t)BYTES_2M ? a | below(2) : (uint64_t)victim;
    } else if (number == TRAPLINE_HC_VIEW_DESTROY) {
        a = to_destroy = below(8) ? 1 + below(16) : some_view(); /* or there would be hundreds */
    } else if (number == TRAPLINE_HC_VIEW_PROT) {
        if (!spares_image(a, b))
            a = (uint64_t)victim;
        c = some_access();
        d = some_view();
    } else if (number == TRAPLINE_HC_VIEW_SWITCH) {
        /* The ways to switch are not mixed: see follow_views(). */
        a = below(2) && !view_vmfunc ? 0 : VIEW_MAX + 1 + (next() & ~0xffful);
    }
    return hypercall(number, a, b, c, d);
}

/* Note which views there are, and go to one of them by and by. */
static void follow_views(uint64_t number, int64_t result)
{
    const uint64_t other = 1 + below(12);

    if (number == TRAPLINE_HC_VIEW_CREATE && result > 0)
        views[result] = true;
    else if (number == TRAPLINE_HC_VIEW_DESTROY && result == 0)
        views[to_destroy] = false;
    if (below(50) == 0) {
        inside = views[other] ? (unsigned)other : 0;
        view_switch(inside);
    } else if (number == TRAPLINE_HC_VIEW_SWITCH && result >= 0) {
        inside = 0;
    }
}

/* Let the accesses of this program itself through. */
static void let_through(struct trapline_fault *fault)
{
    view_switch(0);
    unprot(trap_page(fault));
    if (inside)
        view_prot(inside, trap_page(fault), 1, ACCESS_ALL);
    view_switch(inside);
}

static void check_calls(void)
{
    static uint64_t calls[TRAPLINE_HC_COUNT + 1], good[TRAPLINE_HC_COUNT + 1];
    uint64_t number;

    trap(let_through, 0);
    for (unsigned i = 0; i < CALLS && check_good(); i++) {
        struct hypercall_result result;

        number = below(COUNT(numbers) + 1);
        number = number < COUNT(numbers) ? numbers[number]
                                         : TRAPLINE_HC_COUNT + below(2) * next() % (1ul << 40);
        result = one_call(number);
        if (number == TRAPLINE_HC_TRAP)
            hypercall2(TRAPLINE_HC_TRAP, (uint64_t)trap_area(), 0);
        if (!known(result.rax))
            check_failed(__LINE__, "call %u, number %lu: %ld", i, number, result.rax);
        if (number >= TRAPLINE_HC_COUNT) {
            EXPECT_EQ(result.rax, -TRAPLINE_ENOSYS);
            number = TRAPLINE_HC_COUNT;
        }
        calls[number]++;
        good[number] += result.rax >= 0;
        follow_views(number, result.rax);
    }
    view_switch(0);
    trap(NULL, 0);
    /* The mixture is one that gets somewhere. */
    for (size_t i = 0; i < COUNT(numbers); i++) {
        number = numbers[i];
        check_at("hypercall %lu: %lu of %lu good", number, good[number], calls[number]);
        EXPECT(calls[number] > CALLS / 20);
        EXPECT(good[number] > calls[number] / 100 ||
               (number == TRAPLINE_HC_VIEW_SWITCH && view_vmfunc));
        EXPECT(number == TRAPLINE_HC_NOP || number == TRAPLINE_HC_VIEW_CREATE ||
               good[number] < calls[number]);
    }
}

/* Take back everything; then memory is memory. */
static void check_undo(void)
{
    char *const alias = alias_window();
    struct trapline_stats counts;

    for (unsigned i = 1; i <= VIEW_MAX; i++)
        EXPECT_EQ(view_destroy(i), views[i] ? 0 : -TRAPLINE_ENOENT);
    EXPECT_EQ(unprot_range(NULL, ram_size() / PAGE), 0);
    EXPECT_EQ(track(NULL, ram_size() / PAGE, 0), 0);
    for (size_t i = 0; i < 2 * ALIAS_REACH; i++) {
        const size_t page = i < ALIAS_REACH ? i : alias_window_pages() - 2 * ALIAS_REACH + i;
        const int result = unmap2(alias + page * PAGE);

        EXPECT(result == 0 || result == -TRAPLINE_ENOENT);
    }
    EXPECT_EQ(stats(&counts), 0);
    EXPECT(counts.table_pages <= counts.table_budget);
    plant_ret(victim, VICTIM_PAGES);
    for (size_t i = 0; i < VICTIM_PAGES; i++) {
        check_at("page %zu", i);
        EXPECT_EQ(allowed(victim + i * PAGE), ACCESS_ALL);
        *(uint64_t *)(victim + i * PAGE + 8) = i;
    }
    for (size_t i = 0; i < VICTIM_PAGES; i++)
        EXPECT_EQ(*(uint64_t *)(victim + i * PAGE + 8), i);
    EXPECT_EQ(prot1(victim, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed(victim), TRAPLINE_READ);
    EXPECT_EQ(map2(victim, alias, ACCESS_RW), 0);
    EXPECT_EQ(*(uint64_t *)(alias + 8), 0);
    EXPECT_EQ(unmap2(alias), 0);
}

static const struct check checks[] = {
    {"fuzz: every answer is one of the contract", check_calls},
    {"fuzz: everything can be taken back", check_undo},
};

int main(int argc, char **argv)
{
    if (argc == 2)
        state += strtoul(argv[1], NULL, 0) * 0x9e3779b97f4a7c15;
    victim = need_pages(VICTIM_PAGES, PAGES_2M);
    return RUN_CHECKS(checks);
}
