/* Looking up addresses in a symbol table, sound ones and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/symbols.h"

enum {
    FUNCTION = 2,
    OBJECT = 1,
    LABEL = 0,
    SECTION = 3,
    ABSOLUTE = 0xfff1,
};

static const char strings[] = "\0first\0second\0label\0data\0absolute";
enum {
    FIRST = 1,
    SECOND = 7,
    LABEL_NAME = 14,
    DATA = 20,
    ABSOLUTE_NAME = 25
};

static const struct elf_symbol table[] = {
    {0},
    {.name = DATA, .info = OBJECT, .section = 2, .value = 0x1010, .size = 8},
    {.name = SECOND, .info = FUNCTION, .section = 1, .value = 0x2000, .size = 0x100},
    {.name = FIRST, .info = FUNCTION, .section = 1, .value = 0x1000, .size = 0x80},
    {.name = 0, .info = SECTION, .section = 1, .value = 0x1000},
    {.name = LABEL_NAME, .info = LABEL, .section = 1, .value = 0x3000},
    {.name = ABSOLUTE_NAME, .info = LABEL, .section = ABSOLUTE, .value = 0x3008},
};

static struct symbols sound(void)
{
    return (struct symbols){
        .table = table,
        .count = sizeof(table) / sizeof(table[0]),
        .strings = strings,
        .strings_size = sizeof(strings),
    };
}

static void expect(const struct symbols *s, uint64_t address, const char *name, uint64_t offset)
{
    uint64_t found = UINT64_MAX;
    const char *text = symbols_find(s, address, &found);

    assert_non_null(text);
    assert_string_equal(text, name);
    assert_int_equal(found, offset);
}

static void test_finds_functions_and_labels(void **state)
{
    (void)state;
    struct symbols s = sound();

    expect(&s, 0x1000, "first", 0);
    expect(&s, 0x1010, "first", 0x10);
    expect(&s, 0x107f, "first", 0x7f);
    expect(&s, 0x2000, "second", 0);
    expect(&s, 0x3000, "label", 0);
    expect(&s, 0x3100, "label", 0x100);
}

static void test_finds_nothing_outside(void **state)
{
    (void)state;
    struct symbols s = sound();
    uint64_t offset;

    assert_null(symbols_find(&s, 0xfff, &offset));
    assert_null(symbols_find(&s, 0x1080, &offset));
    assert_null(symbols_find(&s, 0x2100, &offset));
    s.count = 0;
    assert_null(symbols_find(&s, 0x1000, &offset));
}

/* Names that begin or end outside the string table, in memory that ends there. */
static void test_broken_names(void **state)
{
    (void)state;
    char *text = malloc(4);
    struct elf_symbol broken[] = {
        {.name = 4, .info = FUNCTION, .section = 1, .value = 0x1000, .size = 16},
        {.name = UINT32_MAX, .info = FUNCTION, .section = 1, .value = 0x1001, .size = 16},
        {.name = 0, .info = FUNCTION, .section = 1, .value = 0x1002, .size = 16},
    };
    struct symbols s = {.table = broken, .count = 3, .strings = text, .strings_size = 4};
    uint64_t offset;

    memcpy(text, "abcd", 4);
    assert_null(symbols_find(&s, 0x1008, &offset));
    memcpy(text, "abc", 4);
    expect(&s, 0x1008, "abc", 6);
    free(text);
}

/* A size that reaches over the end of the address space must not wrap around. */
static void test_huge_size(void **state)
{
    (void)state;
    struct elf_symbol huge = {
        .name = FIRST, .info = FUNCTION, .section = 1, .value = 0x8000, .size = UINT64_MAX};
    struct symbols s = {
        .table = &huge, .count = 1, .strings = strings, .strings_size = sizeof(strings)};
    uint64_t offset;

    expect(&s, UINT64_MAX, "first", UINT64_MAX - 0x8000);
    assert_null(symbols_find(&s, 0x7fff, &offset));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_functions_and_labels),
        cmocka_unit_test(test_finds_nothing_outside),
        cmocka_unit_test(test_broken_names),
        cmocka_unit_test(test_huge_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
