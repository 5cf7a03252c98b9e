/*
 * Checks of many steps, each a function: a plan "1..N" comes first, then for each function a line
 * "ok NAME" or "not ok NAME: why". Inside, EXPECT() and its kin note the first thing that is wrong.
 * Each test guest is one C file, so everything here is static.
 */
#ifndef TRAPLINE_TESTS_SUITE_H
#define TRAPLINE_TESTS_SUITE_H

#if __STDC_HOSTED__
#include <trapline/portable.h> /* a program of Linux */
#else
#include <trapline/trapline.h>
#endif

struct check {
    const char *name;
    void (*run)(void);
};

/* The check that runs: where in its table it is, and what went wrong first ("" = nothing yet). */
static struct {
    char where[64];
    char why[200];
} check_state;

/* Say which row or step the following EXPECTs belong to (printf style). */
static inline __attribute__((format(printf, 1, 2))) void check_at(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(check_state.where, sizeof(check_state.where), format, args);
    va_end(args);
}

static inline __attribute__((format(printf, 2, 3))) void check_failed(int line, const char *format,
                                                                      ...)
{
    va_list args;
    int length;

    if (check_state.why[0])
        return;
    length = snprintf(check_state.why, sizeof(check_state.why), "line %d: %s%s", line,
                      check_state.where, check_state.where[0] ? ": " : "");
    va_start(args, format);
    vsnprintf(check_state.why + length, sizeof(check_state.why) - (size_t)length, format, args);
    va_end(args);
}

/* Whether the running check has found nothing wrong so far. */
static inline bool check_good(void)
{
    return check_state.why[0] == '\0';
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_failed(__LINE__, "%s", #condition);                                              \
    } while (0)

/* Two whole numbers; both are printed when they differ. */
#define EXPECT_EQ(got, want)                                                                       \
    do {                                                                                           \
        const long check_got = (long)(got), check_want = (long)(want);                             \
        if (check_got != check_want)                                                               \
            check_failed(__LINE__, "%s is %ld (0x%lx), not %ld (0x%lx)", #got, check_got,          \
                         (unsigned long)check_got, check_want, (unsigned long)check_want);         \
    } while (0)

/* Run the checks in order; returns the guest's exit code. */
static inline int run_checks(const struct check *checks, size_t count)
{
    size_t failed = 0;

    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        check_state.where[0] = check_state.why[0] = '\0';
        checks[i].run();
        if (check_good()) {
            printf("ok %s\n", checks[i].name);
        } else {
            printf("not ok %s: %s\n", checks[i].name, check_state.why);
            failed++;
        }
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define COUNT(array)       (sizeof(array) / sizeof((array)[0]))
#define RUN_CHECKS(checks) run_checks(checks, COUNT(checks))

enum {
    EXIT_LACKING =
        77, /* the machine lacks what the test is about: as tests/harness/linux.py has it */
    PAGE = TRAPLINE_PAGE_SIZE,
    PAGES_2M = 512,
};
#define BYTES_2M (2ul << 20)

/* Pages for a check; the guest ends when there are none. */
static inline char *need_pages(size_t count, size_t align)
{
    char *pages = pages_alloc(count, align);

    if (!pages) {
        printf("not ok memory: no %zu pages in a row\n", count);
        exit(EXIT_FAILURE);
    }
    return pages;
}

#endif
