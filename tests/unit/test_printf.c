/* The hypervisor's formatting against the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/console.h"

enum {
    BUFFER = 256,
    STEPS = 100000,
};

/* Not a constant, or the compiler warns of the truncation that is wanted. */
static volatile size_t small_size = 5;

/* Expects what snprintf makes of it, with a buffer that is large enough and with a small one. */
#define CHECK(...)                                                                                 \
    do {                                                                                           \
        char ours[BUFFER], libc[BUFFER];                                                           \
        memset(ours, 'x', sizeof(ours));                                                           \
        memset(libc, 'x', sizeof(libc));                                                           \
        assert_int_equal(ksnprintf(ours, BUFFER, __VA_ARGS__),                                     \
                         snprintf(libc, BUFFER, __VA_ARGS__));                                     \
        assert_memory_equal(ours, libc, BUFFER);                                                   \
        memset(ours, 'x', sizeof(ours));                                                           \
        memset(libc, 'x', sizeof(libc));                                                           \
        assert_int_equal(ksnprintf(ours, small_size, __VA_ARGS__),                                 \
                         snprintf(libc, small_size, __VA_ARGS__));                                 \
        assert_memory_equal(ours, libc, BUFFER);                                                   \
    } while (0)

static void test_integers(void **state)
{
    (void)state;
    CHECK("%d %i %u", 0, -1, 1u);
    CHECK("%d %d", INT32_MAX, INT32_MIN);
    CHECK("%u %x %X", UINT32_MAX, UINT32_MAX, UINT32_MAX);
    CHECK("%ld %ld %lu", INT64_MAX, INT64_MIN, UINT64_MAX);
    CHECK("%lld %llu %llx %llX", -5ll, 5ull, 0xabcdefull, 0xabcdefull);
    CHECK("%zu %zx %zd", (size_t)123456789012, (size_t)0xfeed, (size_t)7);
    CHECK("%x %lx", 0u, 0ul);
}

static void test_width_and_flags(void **state)
{
    (void)state;
    CHECK("[%8d] [%-8d] [%08d]", 42, 42, 42);
    CHECK("[%8d] [%-8d] [%08d]", -42, -42, -42);
    CHECK("[%2d] [%-2d] [%02d]", 12345, -12345, 12345);
    CHECK("[%16lx] [%016lx] [%-16lx]", 0xbeeful, 0xbeeful, 0xbeeful);
    CHECK("[%1d] [%01d]", 0, 0);
}

static void test_text(void **state)
{
    (void)state;
    CHECK("%s", "");
    CHECK("%s|%10s|%-10s|%2s", "trap", "trap", "trap", "trap");
    CHECK("%.2s|%.0s|%.9s|%6.3s|%-6.3s|", "unprot", "unprot", "unprot", "unprot", "unprot");
    CHECK("%c%c|%4c|%-4c|", 'a', 'b', 'c', 'd');
    CHECK("100%%");
    CHECK("no conversion at all, and a line longer than the small buffer\n");
}

/* Precision is how text that has no NUL is printed. */
static void test_precision_bounds_the_read(void **state)
{
    (void)state;
    char *text = malloc(3);

    memcpy(text, "abc", 3);
    CHECK("%.3s", text);
    free(text);
}

static void test_pointers(void **state)
{
    (void)state;
    int object;
    CHECK("%p %20p %-20p|", (void *)&object, (void *)&object, (void *)&object);
}

static void test_sizes(void **state)
{
    (void)state;
    char one[1] = {'x'};

    assert_int_equal(ksnprintf(NULL, 0, "%d", 1234), 4);
    assert_int_equal(ksnprintf(one, 1, "%d", 1234), 4);
    assert_int_equal(one[0], '\0');
}

static void format_unknown(char *buffer, const char *format)
{
    ksnprintf(buffer, BUFFER, format, 1, 2);
}

static void test_unknown_conversions_are_shown(void **state)
{
    (void)state;
    char buffer[BUFFER];

    format_unknown(buffer, "%q|");
    assert_string_equal(buffer, "%q|");
    format_unknown(buffer, "end %");
    assert_string_equal(buffer, "end %");
    format_unknown(buffer, "end %08l");
    assert_string_equal(buffer, "end %08l");
}

static void test_null_text(void **state)
{
    (void)state;
    char buffer[BUFFER];
    const char *volatile none = NULL;

    ksnprintf(buffer, sizeof(buffer), "%s", none);
    assert_string_equal(buffer, "(null)");
}

static uint64_t random64(void)
{
    uint64_t value = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
    return value >> rand() % 64;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void test_random(void **state)
{
    (void)state;
    static const char conversions[] = "diuxX";
    static const char *const flags[] = {"", "0", "-"};

    srand(2);
    for (unsigned i = 0; i < STEPS; i++) {
        char format[32], width[8] = "", ours[BUFFER], libc[BUFFER];
        char conversion = conversions[rand() % 5];
        uint64_t value = rand() % 2 ? random64() : -random64();

        if (rand() % 2)
            snprintf(width, sizeof(width), "%d", 1 + rand() % 30);
        const char *flag = flags[rand() % 3];
        snprintf(format, sizeof(format), "<%%%s%sl%c>", flag, width, conversion);
        assert_int_equal(ksnprintf(ours, BUFFER, format, value),
                         snprintf(libc, BUFFER, format, value));
        assert_string_equal(ours, libc);
        snprintf(format, sizeof(format), "<%%%s%s%c>", flag, width, conversion);
        assert_int_equal(ksnprintf(ours, BUFFER, format, (unsigned)value),
                         snprintf(libc, BUFFER, format, (unsigned)value));
        assert_string_equal(ours, libc);
    }
}
#pragma GCC diagnostic pop

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_width_and_flags),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_precision_bounds_the_read),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_unknown_conversions_are_shown),
        cmocka_unit_test(test_null_text),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
