/* The guest's formatted output against the host's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guest/runtime/format.h"

enum {
    TEXT_MAX = 512,
};

struct text {
    char bytes[TEXT_MAX];
    size_t used;
};

static void add(void *ctx, const char *bytes, size_t count)
{
    struct text *text = ctx;

    assert_true(count > 0 && count < TEXT_MAX - text->used);
    memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
}

static size_t ours(struct text *text, const char *format, ...)
{
    va_list args;
    size_t bytes;

    text->used = 0;
    va_start(args, format);
    bytes = format_text(add, text, format, args);
    va_end(args);
    text->bytes[text->used] = '\0';
    return bytes;
}

/* Both print the same, and the count returned is right. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        struct text text;                                                                          \
        char expected[TEXT_MAX];                                                                   \
        const int length = snprintf(expected, sizeof(expected), __VA_ARGS__);                      \
        assert_int_equal(ours(&text, __VA_ARGS__), length);                                        \
        assert_string_equal(text.bytes, expected);                                                 \
    } while (0)

/* The formats below are tried with combinations that a compiler warns of. */
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-zero-length"
#pragma GCC diagnostic ignored "-Wformat-security"

static void test_integers(void **state)
{
    static const char *const flags[] = {"",   "-",  "+",  " ",  "0",   "#",   "-+", "-0",
                                        "+0", " 0", "#0", "-#", "+-0", "# 0", "+ "};
    static const char *const sizes[] = {"", "1", "12", ".0", ".1", ".5", "12.5", "3.7"};
    static const long values[] = {0,     1,        -1,       42,        -42,       255,
                                  65536, 1L << 31, 1L << 40, INT64_MAX, INT64_MIN, UINT32_MAX};
    static const char conversions[] = "diuxXo";
    char format[32];

    (void)state;
    for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            for (size_t c = 0; c < sizeof(conversions) - 1; c++) {
                for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
                    snprintf(format, sizeof(format), "<%%%s%sl%c>", flags[f], sizes[s],
                             conversions[c]);
                    SAME(format, values[v]);
                    snprintf(format, sizeof(format), "<%%%s%s%c>", flags[f], sizes[s],
                             conversions[c]);
                    SAME(format, (int)values[v]);
                }
            }
        }
    }
}

static void test_lengths(void **state)
{
    (void)state;
    SAME("%hhd %hhu %hhx", 0x1ff, 0x1fe, 0x180);
    SAME("%hd %hu %hx", 0x1ffff, 0x1fffe, 0x18000);
    SAME("%lld %llu %llx", -1LL, ~0ULL, 1ULL << 63);
    SAME("%zu %zd %jd %td", (size_t)-1, (size_t)5, (intmax_t)-9, (ptrdiff_t)-3);
}

static void test_text(void **state)
{
    (void)state;
    SAME("");
    SAME("plain");
    SAME("100%%");
    SAME("<%s> <%10s> <%-10s> <%.2s> <%10.2s> <%-10.2s>", "trap", "trap", "trap", "trap", "trap",
         "trap");
    SAME("<%.3s>", (const char[]){'a', 'b', 'c'});
    SAME("<%c> <%5c> <%-5c>", 'a', 'b', 'c');
    SAME("<%*d> <%-*d> <%*d> <%.*d> <%.*s>", 5, 1, 5, 2, -5, 3, 4, 4, 2, "abc");
    SAME("<%.*s>", -1, "abc");
    SAME("<%p> <%20p> <%-20p>", (void *)0x1234, (void *)0x1234, (void *)0x1234);
}

static void test_doubles(void **state)
{
    static const double values[] = {0.0,     1.0,    -1.0,   0.5,      0.26,   0.126,
                                    3.14159, -2.718, 999.99, 0.999999, 0.0001, 123456789.5,
                                    1e15,    -0.0,   9.9996, 1.0 / 3};
    static const char *const formats[] = {"<%f>",     "<%.1f>",    "<%.2f>",    "<%.4f>",
                                          "<%10.3f>", "<%-10.3f>", "<%010.3f>", "<%+.2f>",
                                          "<% .2f>",  "<%#.1f>"};

    (void)state;
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++)
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
            SAME(formats[f], values[v]);
    SAME("<%.0f> <%#.0f>", 41.7, 41.7);
    SAME("<%f> <%10f> <%-10f> <%010f>", __builtin_inf(), -__builtin_inf(), __builtin_inf(),
         __builtin_inf());
    SAME("<%f>", __builtin_nan(""));
}

static void test_odd_formats(void **state)
{
    struct text text;

    (void)state;
    assert_int_equal(ours(&text, "%s", (char *)NULL), 6);
    assert_string_equal(text.bytes, "(null)");
    assert_int_equal(ours(&text, "50%"), 3);
    assert_string_equal(text.bytes, "50%");
    ours(&text, "%q%d", 7);
    assert_string_equal(text.bytes, "%q7");
    /* Halves go up: the host rounds them to even. */
    ours(&text, "%.1f", 0.25);
    assert_string_equal(text.bytes, "0.3");
    ours(&text, "%.12f", 0.5);
    assert_string_equal(text.bytes, "0.500000000");
    ours(&text, "%f", 1e19);
    assert_string_equal(text.bytes, "inf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),    cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_text),        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_odd_formats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
