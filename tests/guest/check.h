/*
 * How a test's guest reports: a line "ok NAME" or "not ok NAME: why" for each check. main() ends
 * with `return check_done();`, which prints how many checks there were ("1..N") and fails when one
 * did.
 */
#ifndef TRAPLINE_TESTS_CHECK_H
#define TRAPLINE_TESTS_CHECK_H

#include <trapline/trapline.h>

static int checks_made, checks_failed;

/* The check called name holds when condition does. */
#define CHECK(name, condition)                                                                     \
    do {                                                                                           \
        checks_made++;                                                                             \
        if (condition) {                                                                           \
            printf("ok %s\n", name);                                                               \
        } else {                                                                                   \
            checks_failed++;                                                                       \
            printf("not ok %s: %s is false (line %d)\n", name, #condition, __LINE__);              \
        }                                                                                          \
    } while (0)

/* The check called name holds when the two whole numbers are equal. */
#define CHECK_EQUAL(name, got, wanted)                                                             \
    do {                                                                                           \
        long long got_value = (long long)(got), wanted_value = (long long)(wanted);                \
        checks_made++;                                                                             \
        if (got_value == wanted_value) {                                                           \
            printf("ok %s\n", name);                                                               \
        } else {                                                                                   \
            checks_failed++;                                                                       \
            printf("not ok %s: %s is %lld, not %lld (line %d)\n", name, #got, got_value,           \
                   wanted_value, __LINE__);                                                        \
        }                                                                                          \
    } while (0)

/* The guest's exit code. */
static inline int check_done(void)
{
    printf("1..%d\n", checks_made);
    return checks_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
