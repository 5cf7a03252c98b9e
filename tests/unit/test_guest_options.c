/* The options of the workloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <trapline/region.h>

#include "guest/common/options.h"

static struct {
    bool verify;
    uint64_t pages;
    unsigned barrier;
    enum region_mechanism mechanism;
} given;

static const char *const barriers[] = {"dirty", "card", NULL};
static const struct option options[] = {
    {.name = "verify", .kind = OPTION_FLAG, .value = &given.verify, .help = "check"},
    {.name = "pages",
     .kind = OPTION_NUMBER,
     .value = &given.pages,
     .least = 1,
     .most = 1 << 20,
     .help = "how many"},
    {.name = "barrier",
     .kind = OPTION_CHOICE,
     .value = &given.barrier,
     .choices = barriers,
     .help = "which"},
    {.name = "mechanism",
     .kind = OPTION_MECHANISM,
     .value = &given.mechanism,
     .help = "who protects"},
};

static bool take(const char *first, const char *second)
{
    char *argv[] = {(char *)"test", (char *)first, (char *)second, NULL};

    given.verify = false;
    given.pages = 7;
    given.barrier = 0;
    given.mechanism = REGION_EPT;
    return options_read("test", second ? 3 : 2, argv, options,
                        sizeof(options) / sizeof(options[0]));
}

static void test_good(void **state)
{
    (void)state;
    assert_true(take("verify", "pages=100"));
    assert_true(given.verify);
    assert_int_equal(given.pages, 100);
    assert_true(take("--barrier=card", "--mechanism=pt"));
    assert_false(given.verify);
    assert_int_equal(given.pages, 7);
    assert_int_equal(given.barrier, 1);
    assert_int_equal(given.mechanism, REGION_PT);
    assert_true(take("--pages=4K", "--verify"));
    assert_int_equal(given.pages, 4096);
    assert_true(take("pages=1M", NULL));
    assert_true(take("pages=0x10", NULL));
    assert_int_equal(given.pages, 16);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {"verify=1",     "pages",     "pages=",
                                      "pages=0",      "pages=2M",  "pages=-1",
                                      "pages=1x",     "pages=1KK", "barrier",
                                      "barrier=",     "barrier=x", "barrier=card,",
                                      "mechanism=zz", "mechanism", "verif",
                                      "verifyx",      "",          "--",
                                      "help",         "--help",    "pages=17179869184G"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(take(bad[i], NULL));
        assert_false(take("verify", bad[i]));
        assert_int_equal(given.pages, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
