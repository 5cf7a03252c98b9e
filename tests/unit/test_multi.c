/* MULTI: what is executed, what is refused, and what it owes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/multi.h"
#include "tests/unit/hv_world.h"
#include "vmx/instructions.h"

enum {
    AREA = 0x300000,
    LIST = 0x310000,
    BUFFER = 0x320000,
    PAGE_AT = 0x210000,
    UNTOUCHED = 0x5a,
};

static struct trapline_call *calls;

/* With a page beside them protected, so that single pages are 4 KiB leaves. */
static void open_machine(bool ve)
{
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .features =
            {.page_2m = true, .page_1g = true, .accessed_dirty = true, .exec_only = true, .ve = ve},
    });
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, AREA, 0, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT + 99 * PAGE, TRAPLINE_NONE, 0, 0), 0);
    calls = ram(LIST);
}

static void put(unsigned i, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    calls[i] = (struct trapline_call){.number = number, .argument = {a, b, c, d}};
    calls[i].result = UNTOUCHED;
    calls[i].second = UNTOUCHED;
}

static int64_t multi_at(uint64_t list, uint64_t count)
{
    return hypercall(TRAPLINE_HC_MULTI, list, count, 0x1234, 0);
}

static void test_order_and_results(void **state)
{
    uint64_t *pages;
    unsigned before;

    (void)state;
    open_machine(false);
    pages = ram(BUFFER);
    pages[0] = PAGE_AT + 3 * PAGE;
    pages[1] = PAGE_AT + 5 * PAGE;
    put(0, TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_READ, 0, 0);
    put(1, TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_NONE, 0, 0);
    put(2, TRAPLINE_HC_NOP, 1, 2, 3, 4);
    put(3, TRAPLINE_HC_PROTN, BUFFER, 2, TRAPLINE_READ, 0);
    put(4, TRAPLINE_HC_UNPROT, PAGE_AT + 3 * PAGE, 1, 0, 0);
    put(5, TRAPLINE_HC_MAP2, PAGE_AT, 1, world.guest->alias_base, TRAPLINE_READ);
    put(6, TRAPLINE_HC_UNMAP2, world.guest->alias_base, 1, 0, 0);
    put(7, TRAPLINE_HC_TRACK, PAGE_AT + 8 * PAGE, 4, 1, 0);
    put(8, TRAPLINE_HC_DIRTY, PAGE_AT + 8 * PAGE, 4, BUFFER + PAGE, 4);
    put(9, TRAPLINE_HC_PROT1, 1, 0, 0, 0); /* beyond the count */
    before = world.invepts;
    assert_int_equal(multi_at(LIST, 9), 0);
    assert_int_equal(world.rdx, 0x1234);
    assert_true(world.invepts > before);
    assert_int_equal(access_of(PAGE_AT), TRAPLINE_NONE);
    assert_int_equal(access_of(PAGE_AT + 3 * PAGE), 7);
    assert_int_equal(access_of(PAGE_AT + 5 * PAGE), TRAPLINE_READ);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(calls[i].result, 0);
    assert_int_equal(calls[8].second, 0); /* pages left */
    assert_int_equal(calls[9].result, UNTOUCHED);
    assert_int_equal(calls[9].second, UNTOUCHED);
    world_close();
}

/* One flush, however many pages lose rights; none when none does. */
static void test_one_flush(void **state)
{
    unsigned before;

    (void)state;
    open_machine(false);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 8; i++)
            put(i, TRAPLINE_HC_PROT1, PAGE_AT + i * PAGE, TRAPLINE_NONE, 0, 0);
        before = world.invepts;
        assert_int_equal(multi_at(LIST, 8), 0);
        assert_int_equal(world.invepts - before, 1);
        for (unsigned i = 0; i < 8; i++)
            put(i, TRAPLINE_HC_UNPROT, PAGE_AT + i * PAGE, 1, 0, 0);
        before = world.invepts;
        assert_int_equal(multi_at(LIST, 8), 0);
        assert_int_equal(world.invepts - before, 0);
        hypercall(TRAPLINE_HC_NOP, 0, 0, 0, 0); /* the other way next */
    }
    world_close();
}

static void test_first_error_ends_it(void **state)
{
    static const struct {
        uint64_t number, a, b, c;
        int64_t result;
    } bad[] = {
        {TRAPLINE_HC_PROT1, PAGE_AT + 1, 0, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_WRITE, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_PROT1, PAGE_AT, 8, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_PROT1, 1ull << 40, 0, 0, -TRAPLINE_ENOENT},
        {TRAPLINE_HC_UNPROT, PAGE_AT, 0, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_UNPROT, PAGE_AT, 1ull << 40, 0, -TRAPLINE_ENOENT},
        {TRAPLINE_HC_PROTN, LIST + 1, 1, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_PROTN, 1ull << 40, 1, 0, -TRAPLINE_EFAULT},
        {TRAPLINE_HC_PROTN, BUFFER, 1025, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_PROTN, BUFFER, 2, TRAPLINE_LIST_RANGES, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_DIRTY, PAGE_AT, 1, BUFFER, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_TRAP, 0, 0, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_PRINT, LIST, 1, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_EXIT, 0, 0, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_STATS, BUFFER, 0, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_PARK, 0, 0, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_MULTI, LIST, 1, 0, -TRAPLINE_EINVAL},
        {TRAPLINE_HC_COUNT, 0, 0, 0, -TRAPLINE_EINVAL},
        {UINT64_MAX, 0, 0, 0, -TRAPLINE_EINVAL},
        {(1ull << 32) + TRAPLINE_HC_PROT1, PAGE_AT, 0, 0, -TRAPLINE_EINVAL},
    };

    (void)state;
    open_machine(false);
    memset(ram(BUFFER), 0, 2 * PAGE);
    for (unsigned i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
        unsigned row = i / 2;

        calls = ram(i % 2 ? LIST : AREA + TRAPLINE_MULTI_AREA);
        put(0, TRAPLINE_HC_PROT1, PAGE_AT + 7 * PAGE, TRAPLINE_NONE, 0, 0);
        put(1, TRAPLINE_HC_UNPROT, PAGE_AT + 8 * PAGE, 1, 0, 0);
        put(2, bad[row].number, bad[row].a, bad[row].b, bad[row].c, 0);
        put(3, TRAPLINE_HC_PROT1, PAGE_AT + 9 * PAGE, TRAPLINE_NONE, 0, 0);
        assert_int_equal(multi_at(i % 2 ? LIST : AREA + TRAPLINE_MULTI_AREA, 4), bad[row].result);
        assert_int_equal(world.rdx, 2);
        assert_int_equal(calls[0].result, 0);
        assert_int_equal(calls[1].result, 0);
        assert_int_equal(calls[2].result, bad[row].result);
        assert_int_equal(calls[3].result, UNTOUCHED);
        assert_int_equal(access_of(PAGE_AT + 7 * PAGE), TRAPLINE_NONE);
        assert_int_equal(access_of(PAGE_AT + 9 * PAGE), 7);
        assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, PAGE_AT + 7 * PAGE, 1, 0, 0), 0);
    }
    world_close();
}

static void test_bad_lists(void **state)
{
    struct snapshot before, after;
    static const struct {
        uint64_t list, count;
        int64_t result;
    } rows[] = {
        {LIST + 4, 1, -TRAPLINE_EINVAL},
        {LIST, TRAPLINE_MULTI_MAX + 1, -TRAPLINE_EINVAL},
        {LIST, UINT64_MAX, -TRAPLINE_EINVAL},
        {AREA + TRAPLINE_MULTI_AREA, TRAPLINE_MULTI_MAX + 1, -TRAPLINE_EINVAL},
        {WORLD_RAM_MAX, 1, -TRAPLINE_EFAULT},
        {WORLD_RAM_MAX - 8, 1, -TRAPLINE_EFAULT},
        {1ull << 40, 1, -TRAPLINE_EFAULT},
        {~7ull, 1, -TRAPLINE_EFAULT},
        {BUFFER, 1, -TRAPLINE_EFAULT},           /* read-only */
        {BUFFER - 32, 1, -TRAPLINE_EFAULT},      /* half of it */
        {BUFFER + PAGE, 1, -TRAPLINE_EFAULT},    /* no access */
        {AREA + PAGE - 32, 1, -TRAPLINE_EFAULT}, /* half in the area's page, which is read-only */
        {AREA + 0x80, 1, -TRAPLINE_EFAULT},      /* the area itself */
    };

    (void)state;
    open_machine(true);
    put(0, TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_NONE, 0, 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, BUFFER, TRAPLINE_READ, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, BUFFER + PAGE, TRAPLINE_NONE, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, AREA, TRAPLINE_READ, 0, 0), 0);
    for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        snapshot_take(&before);
        assert_int_equal(multi_at(rows[i / 2].list, rows[i / 2].count), rows[i / 2].result);
        assert_int_equal(world.rdx, rows[i / 2].count);
        snapshot_take(&after);
        assert_true(snapshot_same(&before, &after));
    }
    assert_int_equal(multi_at(LIST, 0), 0);
    assert_int_equal(multi_at(1ull << 40, 0), -TRAPLINE_EFAULT);

    /* Behind the area its page's protection does not matter, on either way. */
    for (unsigned i = 0; i < 2; i++) {
        calls = ram(AREA + TRAPLINE_MULTI_AREA);
        put(0, TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_NONE, 0, 0);
        put(1, TRAPLINE_HC_UNPROT, PAGE_AT, 1, 0, 0);
        assert_int_equal(multi_at(AREA + TRAPLINE_MULTI_AREA, 2), 0);
        assert_int_equal(calls[1].result, 0);
        hypercall(TRAPLINE_HC_NOP, 0, 0, 0, 0);
    }
    /* And it is an ordinary page when it is no area. */
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, 0, 0, 0, 0), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(multi_at(AREA + TRAPLINE_MULTI_AREA, 1), -TRAPLINE_EFAULT);
    world_close();
}

/* On the shortest way and off it: the same accesses, results and flushes. */
static void test_pairs(void **state)
{
    (void)state;
    open_machine(true);
    calls = ram(AREA + TRAPLINE_MULTI_AREA);
    for (unsigned i = 0; i < 400; i++) {
        uint64_t lowered = PAGE_AT + i * 7 % 50 * PAGE, raised = PAGE_AT + i * 3 % 50 * PAGE;
        unsigned access = i % 3 == 0 ? TRAPLINE_READ : TRAPLINE_NONE;

        put(0, TRAPLINE_HC_PROT1, lowered, access, 0, 0);
        put(1, TRAPLINE_HC_UNPROT, raised, 1, 0, 0);
        if (i % 5 == 0)
            hypercall(TRAPLINE_HC_NOP, 0, 0, 0, 0);
        assert_int_equal(multi_at(AREA + TRAPLINE_MULTI_AREA, 2), 0);
        if (lowered != raised)
            assert_int_equal(access_of(lowered), access);
        assert_int_equal(access_of(raised), 7);
        assert_int_equal(calls[0].result, 0);
        assert_int_equal(calls[1].result, 0);
    }
    world_close();
}

/*
 * PROT1_UNPROT: on the shortest way and off it the same, with one flush, and with #VE another one
 * where the raised page was cached; both or neither.
 */
static void both_or_neither(bool ve)
{
    static const struct {
        uint64_t page, access, other;
        int64_t result;
        uint64_t which;
    } bad[] = {
        {PAGE_AT + 1, TRAPLINE_NONE, PAGE_AT, -TRAPLINE_EINVAL, 0},
        {PAGE_AT, TRAPLINE_WRITE, PAGE_AT + PAGE, -TRAPLINE_EINVAL, 0},
        {PAGE_AT, 8, PAGE_AT + PAGE, -TRAPLINE_EINVAL, 0},
        {1ull << 40, TRAPLINE_NONE, PAGE_AT, -TRAPLINE_ENOENT, 0},
        {PAGE_AT, TRAPLINE_NONE, PAGE_AT + 1, -TRAPLINE_EINVAL, 1},
        {PAGE_AT, TRAPLINE_READ, 1ull << 40, -TRAPLINE_ENOENT, 1},
        {PAGE_AT + 7 * PAGE, TRAPLINE_READ, UINT64_MAX, -TRAPLINE_EINVAL, 1},
        {AREA + 0x100000, TRAPLINE_NONE, 1ull << 40, -TRAPLINE_ENOENT, 1}, /* of a large leaf */
    };

    open_machine(ve);
    for (unsigned i = 0; i < 400; i++) {
        uint64_t lowered = PAGE_AT + i * 7 % 50 * PAGE, raised = PAGE_AT + i * 3 % 50 * PAGE;
        unsigned access = i % 3 == 0 ? TRAPLINE_READ : TRAPLINE_NONE;
        unsigned before = world.invepts;

        if (i % 5 == 0)
            hypercall(TRAPLINE_HC_NOP, 0, 0, 0, 0);
        assert_int_equal(hypercall(TRAPLINE_HC_PROT1_UNPROT, lowered, access, raised, 0), 0);
        assert_int_equal(world.rdx, raised);
        assert_true(world.invepts - before <= 1u + ve);
        if (lowered != raised)
            assert_int_equal(access_of(lowered), access);
        assert_int_equal(access_of(raised), 7);
    }
    for (unsigned i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
        static const unsigned accesses[] = {7, TRAPLINE_READ, TRAPLINE_NONE};
        unsigned access = accesses[i % 3];

        assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, access, 0, 0), 0);
        assert_int_equal(hypercall(TRAPLINE_HC_PROT1_UNPROT, bad[i / 2].page, bad[i / 2].access,
                                   bad[i / 2].other, 0),
                         bad[i / 2].result);
        assert_int_equal(world.rdx, bad[i / 2].which);
        assert_int_equal(access_of(PAGE_AT), access);
        assert_int_equal(access_of(AREA + 0x100000), 7);
    }
    world_close();
}

static void test_both_or_neither(void **state)
{
    (void)state;
    both_or_neither(false);
    both_or_neither(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_results),
        cmocka_unit_test(test_one_flush),
        cmocka_unit_test(test_first_error_ends_it),
        cmocka_unit_test(test_bad_lists),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_both_or_neither),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
