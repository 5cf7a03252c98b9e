/*
 * The suppress-#VE bit where it can be reasoned about: which leaves convert. The random test checks
 * the rule at each store.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ept/fast.h"
#include "ept_helpers.h"

static bool converts(uint64_t gpa)
{
    return !(at(gpa).entry & ENTRY_SUPPRESS_VE);
}

static void test_rule(void **state)
{
    bool cached = true;

    (void)state;
    map_ram(&converting, 64 * MIB);
    assert_false(converts(0));
    /* Splits leave the others alone; the short ways do as the long ones. */
    ok(ept_protect(EPT, PAGE, 1, EPT_ACCESS_R));
    assert_true(converts(PAGE));
    assert_false(converts(0));
    assert_true(ept_fast_lower(EPT, 3 * PAGE, EPT_ACCESS_NONE));
    EPT->flush_owed = true; /* which is left to the caller */
    assert_true(converts(3 * PAGE));
    assert_true(ept_fast_raise(EPT, 3 * PAGE, &cached));
    assert_false(cached);
    assert_false(converts(3 * PAGE));
    ok(ept_protect(EPT, PAGE, 1, EPT_ACCESS_RX));
    assert_true(converts(PAGE));
    ok(ept_unprotect(EPT, PAGE, 1));
    assert_false(converts(PAGE));
    /* A table of lowered pages becomes a large leaf that converts, and a split of it keeps that. */
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_R));
    assert_int_equal(at(PAGE).level, 2);
    assert_true(converts(PAGE));
    ok(ept_unprotect(EPT, 0, 1));
    assert_false(converts(0));
    assert_true(converts(PAGE));
    ok(ept_protect(EPT, 4 * MIB, 300, EPT_ACCESS_R));
    ok(ept_protect(EPT, 4 * MIB + 300 * PAGE, 212, EPT_ACCESS_R));
    assert_int_equal(at(4 * MIB).level, 2);
    assert_true(converts(4 * MIB));
    /* Tracking with dirty flags takes nothing from what the CPU is told. */
    ok(ept_track(EPT, 8 * MIB, 4, true));
    assert_false(converts(8 * MIB));
    ok(ept_protect(EPT, 8 * MIB, 1, EPT_ACCESS_R));
    assert_true(converts(8 * MIB));
    ok(ept_track(EPT, 8 * MIB, 4, false));
    assert_true(converts(8 * MIB));
    owed();
    world_close();
}

/* An alias has full rights of its own: at those it does not convert. */
static void test_alias(void **state)
{
    (void)state;
    map_ram(&converting, 64 * MIB);
    ok(ept_alias(EPT, 0, 2, 1 * GIB, EPT_ACCESS_R));
    ok(ept_alias(EPT, 2 * PAGE, 2, 1 * GIB + 2 * PAGE, EPT_ACCESS_RW));
    assert_false(converts(1 * GIB));
    /* Nothing is taken away: neither way may clear the bit. */
    assert_false(ept_fast_lower(EPT, 1 * GIB, EPT_ACCESS_R));
    ok(ept_protect(EPT, 1 * GIB, 1, EPT_ACCESS_R));
    assert_false(converts(1 * GIB));
    /* Of pages with different full rights some lose, others do not. */
    ok(ept_protect(EPT, 1 * GIB, 4, EPT_ACCESS_R));
    assert_false(converts(1 * GIB));
    assert_true(converts(1 * GIB + 2 * PAGE));
    ok(ept_unprotect(EPT, 1 * GIB, 4));
    assert_false(converts(1 * GIB + 2 * PAGE));
    owed();
    world_close();
}

/* The first fetch from a huge page is the hypervisor's to handle. */
static void test_nx_huge(void **state)
{
    (void)state;
    map_ram(&converting_nx, 64 * MIB);
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_RX));
    assert_int_equal(at(0).level, 2);
    assert_false(converts(0));
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_R));
    assert_true(converts(0));
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_RX));
    assert_false(converts(0));
    assert_int_equal(ept_fault(EPT, 0, EPT_ACCESS_X), EPT_FAULT_RESOLVED);
    assert_true(converts(0));
    owed();
    world_close();
}

/* Not asked for, or without dirty flags: never. */
static void test_never(void **state)
{
    struct ept_features features = converting;

    (void)state;
    map_ram(&modern, 4 * MIB);
    ok(ept_protect(EPT, PAGE, 1, EPT_ACCESS_NONE));
    assert_false(converts(PAGE));
    owed();
    world_close();
    features.accessed_dirty = false;
    map_ram(&features, 4 * MIB);
    assert_false(EPT->features.ve);
    ok(ept_protect(EPT, PAGE, 1, EPT_ACCESS_NONE));
    assert_false(converts(PAGE));
    owed();
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_alias),
        cmocka_unit_test(test_nx_huge),
        cmocka_unit_test(test_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
