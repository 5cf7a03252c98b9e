/* The page allocator's extent list against a flat array of pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/extents.h"

enum {
    PAGE = 4096,
    MODEL_PAGES = 512,
    MODEL_CAPACITY = 300, /* more than the extents 512 pages can make */
    STEPS = 200000,
};

#define MODEL_BASE 0x200000ull

static struct extent list[MODEL_CAPACITY];

static struct extents empty_set(size_t capacity)
{
    return (struct extents){.list = list, .capacity = capacity};
}

static void test_put_joins_neighbours(void **state)
{
    (void)state;
    struct extents set = empty_set(4);

    assert_int_equal(extents_put(&set, 0x1000, 0x1000), EXTENTS_OK);
    assert_int_equal(extents_put(&set, 0x5000, 0x1000), EXTENTS_OK);
    assert_int_equal(set.count, 2);
    assert_int_equal(extents_put(&set, 0x2000, 0x1000), EXTENTS_OK);
    assert_int_equal(set.count, 2);
    assert_int_equal(extents_put(&set, 0x4000, 0x1000), EXTENTS_OK);
    assert_int_equal(set.count, 2);
    assert_int_equal(extents_put(&set, 0x3000, 0x1000), EXTENTS_OK);
    assert_int_equal(set.count, 1);
    assert_int_equal(set.list[0].base, 0x1000);
    assert_int_equal(set.list[0].size, 0x5000);
    assert_int_equal(set.bytes, 0x5000);
}

static void test_put_refuses_overlap(void **state)
{
    (void)state;
    struct extents set = empty_set(4);

    extents_put(&set, 0x3000, 0x2000);
    assert_int_equal(extents_put(&set, 0x3000, 0x1000), EXTENTS_OVERLAP);
    assert_int_equal(extents_put(&set, 0x4000, 0x1000), EXTENTS_OVERLAP);
    assert_int_equal(extents_put(&set, 0x2000, 0x2000), EXTENTS_OVERLAP);
    assert_int_equal(extents_put(&set, 0x4000, 0x4000), EXTENTS_OVERLAP);
    assert_int_equal(extents_put(&set, 0x1000, 0x8000), EXTENTS_OVERLAP);
    assert_int_equal(extents_put(&set, 0x8000, 0), EXTENTS_OVERLAP);
    assert_int_equal(extents_put(&set, UINT64_MAX - 0xfff, 0x2000), EXTENTS_OVERLAP);
    assert_int_equal(set.count, 1);
    assert_int_equal(set.bytes, 0x2000);
}

static void test_take_aligns(void **state)
{
    (void)state;
    struct extents set = empty_set(4);
    uint64_t base;

    extents_put(&set, 0x1000, 5ull << 30);
    assert_int_equal(extents_take(&set, 2ull << 30, 1ull << 30, &base), EXTENTS_OK);
    assert_int_equal(base, 1ull << 30);
    assert_int_equal(set.count, 2);
    assert_int_equal(extents_take(&set, PAGE, 2u << 20, &base), EXTENTS_OK);
    assert_int_equal(base, 2u << 20);
    assert_int_equal(extents_take(&set, 3ull << 30, 1ull << 30, &base), EXTENTS_NONE);
    assert_int_equal(extents_take(&set, 2ull << 30, 1ull << 30, &base), EXTENTS_OK);
    assert_int_equal(base, 3ull << 30);
}

static void test_take_is_first_fit(void **state)
{
    (void)state;
    struct extents set = empty_set(4);
    uint64_t base;

    extents_put(&set, 0x10000, 0x1000);
    extents_put(&set, 0x20000, 0x4000);
    extents_put(&set, 0x30000, 0x4000);
    assert_int_equal(extents_take(&set, 0x2000, PAGE, &base), EXTENTS_OK);
    assert_int_equal(base, 0x20000);
    assert_int_equal(extents_take(&set, 0x1000, PAGE, &base), EXTENTS_OK);
    assert_int_equal(base, 0x10000);
    assert_int_equal(set.count, 2);
    assert_int_equal(extents_take(&set, 0x5000, PAGE, &base), EXTENTS_NONE);
}

/* A piece at the top of the address space must not make the sums wrap around. */
static void test_take_at_the_top(void **state)
{
    (void)state;
    struct extents set = empty_set(4);
    uint64_t base;

    extents_put(&set, UINT64_MAX - 0x1fff, 0x1000);
    assert_int_equal(extents_take(&set, 0x1000, 1ull << 30, &base), EXTENTS_NONE);
    assert_int_equal(extents_take(&set, UINT64_MAX & ~0xfffull, PAGE, &base), EXTENTS_NONE);
    assert_int_equal(extents_take(&set, 0x1000, PAGE, &base), EXTENTS_OK);
    assert_int_equal(base, UINT64_MAX - 0x1fff);
    assert_int_equal(set.count, 0);
}

static void test_full_changes_nothing(void **state)
{
    (void)state;
    struct extents set = empty_set(2);
    struct extent before[2];
    uint64_t base;

    extents_put(&set, 0x1000, 0x4000);
    extents_put(&set, 0x10000, 0x1000);
    memcpy(before, list, sizeof(before));
    assert_int_equal(extents_put(&set, 0x8000, 0x1000), EXTENTS_FULL);
    assert_int_equal(extents_take(&set, 0x1000, 0x2000, &base), EXTENTS_FULL);
    assert_memory_equal(before, list, sizeof(before));
    assert_int_equal(set.count, 2);
    assert_int_equal(set.bytes, 0x5000);
}

static void test_move_keeps_entries(void **state)
{
    (void)state;
    struct extent small[2], large[8];
    struct extents set = {.list = small, .capacity = 2};

    extents_put(&set, 0x1000, 0x1000);
    extents_put(&set, 0x3000, 0x1000);
    extents_move(&set, large, 8);
    memset(small, 0xff, sizeof(small));
    assert_int_equal(extents_put(&set, 0x5000, 0x1000), EXTENTS_OK);
    assert_int_equal(set.count, 3);
    assert_int_equal(set.list[0].base, 0x1000);
    assert_int_equal(set.list[2].base, 0x5000);
}

static void check_against(const struct extents *set, const bool *is_free)
{
    size_t entry = 0, free_pages = 0;

    for (unsigned i = 0; i < MODEL_PAGES;) {
        if (!is_free[i]) {
            i++;
            continue;
        }
        unsigned first = i;
        while (i < MODEL_PAGES && is_free[i])
            i++;
        assert_true(entry < set->count);
        assert_int_equal(set->list[entry].base, MODEL_BASE + (uint64_t)first * PAGE);
        assert_int_equal(set->list[entry].size, (uint64_t)(i - first) * PAGE);
        free_pages += i - first;
        entry++;
    }
    assert_int_equal(entry, set->count);
    assert_int_equal(free_pages * PAGE, set->bytes);
}

/* The first place in the model; MODEL_PAGES = none. */
static unsigned model_first_fit(const bool *is_free, unsigned pages, unsigned align)
{
    for (unsigned i = 0; i + pages <= MODEL_PAGES; i += align) {
        unsigned n = 0;
        while (n < pages && is_free[i + n])
            n++;
        if (n == pages)
            return i;
    }
    return MODEL_PAGES;
}

static void test_random_against_model(void **state)
{
    (void)state;
    struct extents set = empty_set(MODEL_CAPACITY);
    bool is_free[MODEL_PAGES] = {false};

    srand(1);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned pages = 1 + (unsigned)rand() % (rand() % 8 ? 4 : 64);
        if (rand() % 2) {
            unsigned align = 1u << rand() % 6;
            unsigned expected = model_first_fit(is_free, pages, align);
            uint64_t base = 0;
            enum extents_result result =
                extents_take(&set, (uint64_t)pages * PAGE, (uint64_t)align * PAGE, &base);
            assert_int_equal(result, expected == MODEL_PAGES ? EXTENTS_NONE : EXTENTS_OK);
            if (result != EXTENTS_OK)
                continue;
            assert_int_equal(base, MODEL_BASE + (uint64_t)expected * PAGE);
            memset(&is_free[expected], false, pages);
        } else {
            unsigned first = (unsigned)rand() % (MODEL_PAGES - pages);
            bool overlap = memchr(&is_free[first], true, pages) != NULL;
            enum extents_result result =
                extents_put(&set, MODEL_BASE + (uint64_t)first * PAGE, (uint64_t)pages * PAGE);
            assert_int_equal(result, overlap ? EXTENTS_OVERLAP : EXTENTS_OK);
            if (!overlap)
                memset(&is_free[first], true, pages);
        }
        if (step % 16 == 0)
            check_against(&set, is_free);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_joins_neighbours), cmocka_unit_test(test_put_refuses_overlap),
        cmocka_unit_test(test_take_aligns),          cmocka_unit_test(test_take_is_first_fit),
        cmocka_unit_test(test_take_at_the_top),      cmocka_unit_test(test_full_changes_nothing),
        cmocka_unit_test(test_move_keeps_entries),   cmocka_unit_test(test_random_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
