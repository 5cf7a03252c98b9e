/* The order statistics of measured values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/common/statistics.h"

enum {
    COUNT_MAX = 300,
};

static int ascending(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void test_sort(void **state)
{
    uint64_t ours[COUNT_MAX], theirs[COUNT_MAX];

    (void)state;
    srand(3);
    for (size_t count = 0; count <= COUNT_MAX; count++) {
        for (size_t i = 0; i < count; i++)
            ours[i] = theirs[i] = (uint64_t)rand() % (count % 2 ? 10 : 1000000) << count % 33;
        sort_values(ours, count);
        qsort(theirs, count, sizeof(theirs[0]), ascending);
        assert_memory_equal(ours, theirs, count * sizeof(ours[0]));
    }
}

static void test_median(void **state)
{
    const uint64_t values[] = {1, 4, 9, 100, UINT64_MAX};

    (void)state;
    assert_true(median_of(values, 1) == 1.0);
    assert_true(median_of(values, 2) == 2.5);
    assert_true(median_of(values, 3) == 4.0);
    assert_true(median_of(values, 4) == 6.5);
    assert_true(median_of(values, 5) == 9.0);
    /* No overflow between two large ones. */
    assert_true(median_of((const uint64_t[]){UINT64_MAX, UINT64_MAX}, 2) >= 1.8e19);
}

static void test_percentile(void **state)
{
    uint64_t values[COUNT_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_MAX; i++)
        values[i] = i + 1;
    assert_int_equal(percentile_of(values, 100, 99), 99);
    assert_int_equal(percentile_of(values, 100, 100), 100);
    assert_int_equal(percentile_of(values, 100, 1), 1);
    assert_int_equal(percentile_of(values, 101, 99), 100);
    assert_int_equal(percentile_of(values, 200, 99), 198);
    assert_int_equal(percentile_of(values, 10, 99), 10);
    assert_int_equal(percentile_of(values, 1, 99), 1);
    assert_int_equal(percentile_of(values, 3, 50), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_percentile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
