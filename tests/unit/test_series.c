/* hv/series.c: the statistics and the line that is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/console.h"
#include "hv/series.h"

static char printed[512];
static struct series series;

void kprintf(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    assert_in_range(kvsnprintf(printed, sizeof(printed), format, args), 1, sizeof(printed) - 1);
    va_end(args);
}

static void fill(const uint64_t *values, unsigned count)
{
    series.count = 0;
    for (unsigned i = 0; i < count; i++)
        series_add(&series, values[i]);
}

/* What is printed of values, of which each is of ops operations. */
static void expect(const uint64_t *values, unsigned count, unsigned ops, uint64_t less,
                   const char *figures)
{
    fill(values, count);
    series_print(&series, &(struct series_row){.name = "cost.x", .per = "op", .ops = ops}, less);
    assert_non_null(strstr(printed, figures));
}

static void whole_line(void **state)
{
    const uint64_t values[] = {12, 10, 11};

    (void)state;
    fill(values, 3);
    series_print(
        &series,
        &(struct series_row){
            .name = "cost.x", .per = "page", .ops = 1, .exits = 1, .flushes = 2, .ipis = 3},
        1);
    assert_string_equal(printed, "@json {\"name\":\"cost.x\",\"mode\":\"root\",\"unit\":\"tsc\","
                                 "\"n\":3,\"min\":9,\"median\":10,\"p99\":11,\"exits\":1,"
                                 "\"flushes\":2,\"ipis\":3,\"per\":\"page\"}\n");
}

static void middles(void **state)
{
    (void)state;
    expect((uint64_t[]){7}, 1, 1, 0, "\"min\":7,\"median\":7,\"p99\":7,");
    expect((uint64_t[]){4, 1}, 2, 1, 0, "\"min\":1,\"median\":2.5,\"p99\":4,");
    expect((uint64_t[]){5, 9, 1, 3}, 4, 1, 0, "\"median\":4,");
}

static void parts(void **state)
{
    (void)state;
    expect((uint64_t[]){100}, 1, 16, 0, "\"median\":6.25,");
    expect((uint64_t[]){1}, 1, 256, 0, "\"median\":0.0039,");
    expect((uint64_t[]){10, 11}, 2, 8, 2, "\"min\":1,\"median\":1.0625,\"p99\":1.125,");
}

static void nothing_below_zero(void **state)
{
    (void)state;
    expect((uint64_t[]){3, 8, 12}, 3, 1, 10, "\"min\":0,\"median\":0,\"p99\":2,");
}

static void percentile(void **state)
{
    uint64_t values[200];

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        values[i] = 200 - i;
    expect(values, 200, 1, 0, "\"min\":1,\"median\":100.5,\"p99\":198,");
    assert_int_equal(series_median(&series), 100);
}

static void full(void **state)
{
    (void)state;
    series.count = 0;
    for (unsigned i = 0; i < SERIES_MAX + 5; i++)
        series_add(&series, i);
    assert_int_equal(series.count, SERIES_MAX);
    assert_int_equal(series.values[SERIES_MAX - 1], SERIES_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_line),         cmocka_unit_test(middles),    cmocka_unit_test(parts),
        cmocka_unit_test(nothing_below_zero), cmocka_unit_test(percentile), cmocka_unit_test(full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
