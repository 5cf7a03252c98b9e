/* The guest's string functions against the host's, over many lengths and alignments. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The guest's functions under names of their own, so that the host's can be called beside them. */
#define memcpy  guest_memcpy
#define memmove guest_memmove
#define memset  guest_memset
#define memcmp  guest_memcmp
#define memchr  guest_memchr
#define strlen  guest_strlen
#define strnlen guest_strnlen
#define strcmp  guest_strcmp
#define strncmp guest_strncmp
#define strchr  guest_strchr
#define strrchr guest_strrchr
#define strstr  guest_strstr
#define strcpy  guest_strcpy
#define strncpy guest_strncpy
#define strcat  guest_strcat
#define strtoul guest_strtoul
#define strtol  guest_strtol
#define atoi    guest_atoi
#include "guest/runtime/string.c"
#include "guest/runtime/number.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strstr
#undef strcpy
#undef strncpy
#undef strcat
#undef strtoul
#undef strtol
#undef atoi

enum {
    AREA = 96,
    LENGTHS = 40,
};

static void fill(unsigned char *area)
{
    for (int i = 0; i < AREA; i++)
        area[i] = (unsigned char)(i * 7 + 3);
}

static void test_copy_and_move(void **state)
{
    unsigned char ours[AREA], theirs[AREA];

    (void)state;
    for (size_t from = 0; from < 20; from++) {
        for (size_t to = 0; to < 50; to++) {
            for (size_t bytes = 0; bytes < LENGTHS; bytes++) {
                fill(ours);
                fill(theirs);
                assert_ptr_equal(guest_memmove(ours + to, ours + from, bytes), ours + to);
                memmove(theirs + to, theirs + from, bytes);
                assert_memory_equal(ours, theirs, AREA);
            }
        }
    }
    fill(ours);
    guest_memcpy(ours + 50, ours + 1, 33);
    assert_memory_equal(ours + 50, ours + 1, 33);
    assert_int_equal(ours[49], (unsigned char)(49 * 7 + 3));
    assert_int_equal(ours[83], (unsigned char)(83 * 7 + 3));
}

static void test_set(void **state)
{
    unsigned char ours[AREA], theirs[AREA];

    (void)state;
    for (size_t to = 0; to < 20; to++) {
        for (size_t bytes = 0; bytes < LENGTHS; bytes++) {
            fill(ours);
            fill(theirs);
            assert_ptr_equal(guest_memset(ours + to, -91, bytes), ours + to);
            memset(theirs + to, -91, bytes);
            assert_memory_equal(ours, theirs, AREA);
        }
    }
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void test_compare(void **state)
{
    static const char *const texts[] = {"",  "a",    "ab",    "abc",   "abd",
                                        "b", "\xff", "a\xff", "ab\x01"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {
            const char *const a = texts[i], *const b = texts[j];

            assert_int_equal(sign(guest_strcmp(a, b)), sign(strcmp(a, b)));
            for (size_t most = 0; most < 5; most++)
                assert_int_equal(sign(guest_strncmp(a, b, most)), sign(strncmp(a, b, most)));
        }
    }
    assert_int_equal(guest_memcmp("a\0b", "a\0c", 3), -1);
    assert_int_equal(guest_memcmp("a\0c", "a\0b", 3), 1);
    assert_int_equal(guest_memcmp("a\0b", "a\0c", 2), 0);
    assert_int_equal(guest_memcmp("\xff", "\x01", 1), 1);
}

static void test_search(void **state)
{
    const char *const text = "a trap in a trap";

    (void)state;
    assert_int_equal(guest_strlen(""), 0);
    assert_int_equal(guest_strlen(text), strlen(text));
    assert_int_equal(guest_strnlen(text, 3), 3);
    assert_int_equal(guest_strnlen("ab", 3), 2);
    assert_ptr_equal(guest_strchr(text, 't'), text + 2);
    assert_ptr_equal(guest_strchr(text, '\0'), text + strlen(text));
    assert_null(guest_strchr(text, 'z'));
    assert_ptr_equal(guest_strrchr(text, 't'), text + 12);
    assert_ptr_equal(guest_strrchr(text, '\0'), text + strlen(text));
    assert_null(guest_strrchr(text, 'z'));
    assert_ptr_equal(guest_strstr(text, "trap"), text + 2);
    assert_ptr_equal(guest_strstr(text, "in a"), text + 7);
    assert_ptr_equal(guest_strstr(text, ""), text);
    assert_null(guest_strstr(text, "traps"));
    assert_ptr_equal(guest_memchr(text, 'p', 6), text + 5);
    assert_null(guest_memchr(text, 'p', 5));
}

static void test_build(void **state)
{
    char text[12];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_ptr_equal(guest_strcpy(text, "trap"), text);
    assert_string_equal(text, "trap");
    assert_int_equal(text[5], 'x');
    assert_ptr_equal(guest_strcat(text, "line"), text);
    assert_string_equal(text, "trapline");
    memset(text, 'x', sizeof(text));
    guest_strncpy(text, "trap", 8);
    assert_memory_equal(text, "trap\0\0\0\0xxxx", sizeof(text));
    memset(text, 'x', sizeof(text));
    guest_strncpy(text, "trapline", 4);
    assert_memory_equal(text, "trapxxxxxxxx", sizeof(text));
}

static void test_numbers(void **state)
{
    static const char *const texts[] = {"",
                                        "0",
                                        "42",
                                        "  +42x",
                                        "\t-17",
                                        "-",
                                        "0x",
                                        "0xg",
                                        "0x1F",
                                        "0X1fz",
                                        "017",
                                        "08",
                                        "z",
                                        "zz!",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "-18446744073709551616",
                                        "99999999999999999999999",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "-9223372036854775808",
                                        "-9223372036854775809",
                                        "-1",
                                        "101 "};
    static const int bases[] = {0, 2, 8, 10, 16, 36};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t j = 0; j < sizeof(bases) / sizeof(bases[0]); j++) {
            char *our_end, *their_end;

            assert_true(guest_strtoul(texts[i], &our_end, bases[j]) ==
                        strtoul(texts[i], &their_end, bases[j]));
            assert_ptr_equal(our_end, their_end);
            assert_true(guest_strtol(texts[i], &our_end, bases[j]) ==
                        strtol(texts[i], &their_end, bases[j]));
            assert_ptr_equal(our_end, their_end);
        }
    }
    assert_int_equal(guest_atoi(" -12 "), -12);
    assert_true(guest_strtoul("7", NULL, 10) == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_and_move), cmocka_unit_test(test_set),
        cmocka_unit_test(test_compare),       cmocka_unit_test(test_search),
        cmocka_unit_test(test_build),         cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
