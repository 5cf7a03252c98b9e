/* The CPU's name and version by CPUID, of made-up CPUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/brand.h"
#include "vmx/cpuid.h"

enum {
    TOLD_BYTES = 48,
    LEAF_BYTES = 16,
};

static struct {
    uint32_t version, last;
    char told[TOLD_BYTES + 1];
} fake;

static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r = {0};

    (void)subleaf;
    if (leaf == CPUID_LEAF_FEATURES)
        r.eax = fake.version;
    else if (leaf == CPUID_LEAF_EXTENDED)
        r.eax = fake.last;
    else if (leaf >= CPUID_LEAF_BRAND && leaf <= fake.last)
        memcpy(&r, fake.told + (leaf - CPUID_LEAF_BRAND) * LEAF_BYTES, LEAF_BYTES);
    else
        fail_msg("leaf %x is not there", leaf);
    return r;
}

static struct brand read(uint32_t version, uint32_t last, const char *told)
{
    struct brand brand;

    fake.version = version;
    fake.last = last;
    memset(fake.told, 0, sizeof(fake.told));
    for (size_t i = 0; i < TOLD_BYTES && told[i]; i++)
        fake.told[i] = told[i];
    memset(&brand, 0xee, sizeof(brand));
    brand_read(fake_cpuid, &brand);
    return brand;
}

static void test_names(void **state)
{
    static const struct {
        const char *told, *name;
    } cases[] = {
        {"Intel(R) Xeon(R) Gold", "Intel(R) Xeon(R) Gold"},
        {"      Intel(R) Core(TM) i7  @ 2.6GHz ", "Intel(R) Core(TM) i7  @ 2.6GHz"},
        {"a\033[2Jb\n", "a?[2Jb?"},
        {"", "unknown"},
        {"   ", "unknown"},
        /* As long as it can be: the CPU's own end is missing. */
        {"0123456789abcdef0123456789abcdef0123456789abcdef",
         "0123456789abcdef0123456789abcdef0123456789abcdef"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(read(0, CPUID_LEAF_BRAND + 2, cases[i].told).name, cases[i].name);
}

static void test_a_cpu_without_a_name(void **state)
{
    (void)state;
    assert_string_equal(read(0, CPUID_LEAF_EXTENDED_1, "x").name, "unknown");
    assert_string_equal(read(0, CPUID_LEAF_BRAND + 1, "x").name, "unknown");
}

static void test_versions(void **state)
{
    static const struct {
        uint32_t version;
        unsigned family, model, stepping;
    } cases[] = {
        {0x000806c1, 0x06, 0x8c, 1}, /* the extended model counts in family 6 */
        {0x00000f4a, 0x0f, 0x04, 10},
        {0x00870f10, 0x17, 0x71, 0}, /* and the extended family in 0FH */
        {0x00810543, 0x05, 0x04, 3}, /* neither in others */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct brand brand = read(cases[i].version, CPUID_LEAF_BRAND + 2, "x");

        assert_int_equal(brand.family, cases[i].family);
        assert_int_equal(brand.model, cases[i].model);
        assert_int_equal(brand.stepping, cases[i].stepping);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_cpu_without_a_name),
        cmocka_unit_test(test_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
