/* The splitting of a guest's command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/runtime/args.h"

enum {
    EXPECTED_MAX = 6,
};

static const struct {
    const char *line;
    int count; /* -1 = refused */
    const char *list[EXPECTED_MAX];
} cases[] = {
    {"", 0, {0}},
    {"   \t ", 0, {0}},
    {"quick", 1, {"quick"}},
    {"  quick  only=trap,prot1 ", 2, {"quick", "only=trap,prot1"}},
    {"\"two words\" one", 2, {"two words", "one"}},
    {"'two words' one", 2, {"two words", "one"}},
    {"a'b c'd", 1, {"ab cd"}},
    {"'\"' \"'\"", 2, {"\"", "'"}},
    {"\"\" ''", 2, {"", ""}},
    {"a\\ b \\\"c\\\"", 2, {"a b", "\"c\""}},
    {"\"a\\\"b\"", 1, {"a\"b"}},
    {"'a\\b'", 1, {"a\\b"}},
    {"end\\", 1, {"end\\"}},
    {"a\nb\rc\td", 4, {"a", "b", "c", "d"}},
    {"\"open", -1, {0}},
    {"good 'open", -1, {0}},
    {"\"open\\\"", -1, {0}},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const size_t bytes = strlen(cases[i].line) + 1;
        char *const storage = malloc(bytes), *list[ARGS_MAX];

        assert_non_null(storage);
        assert_int_equal(args_split(cases[i].line, storage, list), cases[i].count);
        for (int k = 0; k < cases[i].count; k++)
            assert_string_equal(list[k], cases[i].list[k]);
        free(storage);
    }
}

static void test_many(void **state)
{
    char line[4 * ARGS_MAX], storage[sizeof(line)], *list[ARGS_MAX];

    (void)state;
    memset(line, ' ', sizeof(line));
    for (size_t i = 0; i < sizeof(line); i += 2)
        line[i] = 'a';
    line[sizeof(line) - 1] = '\0';
    assert_int_equal(args_split(line, storage, list), ARGS_MAX);
    assert_string_equal(list[ARGS_MAX - 1], "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
