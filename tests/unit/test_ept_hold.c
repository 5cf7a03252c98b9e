/*
 * Preparing ranges and lists, and holding an EPT meanwhile, which keeps what is split as it is
 * whatever else is called.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ept_helpers.h"

static void test_prepare(void **state)
{
    uint64_t list[6] = {PAGE, 2 * MIB, 7 * PAGE, PAGE, 6 * MIB, 1 * GIB};
    ept_slot slots[6];
    size_t bad;

    (void)state;
    map_ram(&modern, 64 * MIB);
    assert_int_equal(ept_prepare(EPT, 0, 0), EPT_EINVAL);
    assert_int_equal(ept_prepare(EPT, 3, 1), EPT_EINVAL);
    assert_int_equal(ept_prepare(EPT, 64 * MIB - PAGE, 2), EPT_ENOENT);
    ept_hold(EPT);
    ok(ept_prepare(EPT, MIB, 1024));
    ok(ept_prepare(EPT, 9 * MIB, 1));
    assert_int_equal(EPT->stats.splits, 3);
    ept_relax(EPT);
    ept_release(EPT);
    assert_int_equal(EPT->stats.merges, 3);
    assert_int_equal(EPT->stats.tables, EPT_TABLES_BASE + EPT_TABLES_PER_GIB + EPT->limbo_count);
    world_flush();
    /* Prepared ranges are protected without memory. */
    ok(ept_prepare(EPT, MIB, 1024));
    world->budget = 0;
    ok(ept_protect(EPT, MIB, 1024, EPT_ACCESS_NONE));
    world->budget = WORLD_PAGES;
    assert_true(owed());
    ok(ept_unprotect(EPT, 0, 16384));
    owed();
    /* Lists. */
    ept_hold(EPT);
    assert_int_equal(ept_prepare_list(EPT, list, 6, slots, &bad), EPT_ENOENT);
    ept_relax(EPT);
    ept_release(EPT);
    assert_int_equal(bad, 5);
    assert_int_equal(at(0).level, 2);
    assert_int_equal(at(6 * MIB).level, 2);
    list[5] = 5;
    ept_hold(EPT);
    assert_int_equal(ept_prepare_list(EPT, list, 6, slots, &bad), EPT_EINVAL);
    ept_relax(EPT);
    ept_release(EPT);
    owed();
    for (unsigned access = 0; access < 8; access++) {
        if (ept_access_check(EPT, access))
            continue;
        ept_hold(EPT);
        ok(ept_prepare_list(EPT, list, 5, slots, &bad));
        owed();
        ept_protect_list(EPT, list, slots, 5, access);
        ept_release(EPT);
        owed();
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(at(list[i]).access, access);
            assert_int_equal(at(list[i] + PAGE).access, EPT_ACCESS_RWX);
        }
        for (unsigned i = 0; i < 5; i++)
            ok(ept_unprotect(EPT, list[i], 1));
        world_check_bookkeeping();
    }
    ept_reclaim(EPT);
    assert_int_equal(at(0).level, 2);
    world_close();
}

/* While the EPT is held nothing is pushed out of the queue; nothing is lost by that. */
static void test_queue(void **state)
{
    (void)state;
    map_ram(&modern, 64 * MIB);
    for (unsigned i = 0; i < EPT_QUEUE_MAX + 4; i++)
        ok(ept_protect(EPT, i * 2 * MIB, 1, EPT_ACCESS_R));
    ept_hold(EPT);
    ok(ept_prepare(EPT, 60 * MIB, 1));
    for (unsigned i = 0; i < EPT_QUEUE_MAX + 4; i++)
        ok(ept_protect(EPT, i * 2 * MIB, 1, EPT_ACCESS_RWX));
    assert_int_equal(ept_reclaim(EPT), 0);
    assert_int_equal(EPT->stats.merges, 0);
    assert_int_equal(at(60 * MIB).level, 1);
    ept_relax(EPT);
    assert_int_equal(at(60 * MIB).level, 1);
    ept_release(EPT);
    ept_reclaim(EPT);
    assert_int_equal(EPT->stats.merges, EPT_QUEUE_MAX + 5);
    assert_int_equal(EPT->stats.tables - EPT->limbo_count, EPT_TABLES_BASE + EPT_TABLES_PER_GIB);
    world_check_bookkeeping();
    world_close();
}

/* Every call that merges: not while the EPT is held, by however many; at the last release. */
static void test_merges(void **state)
{
    (void)state;
    map_ram(&modern, 2 * GIB);
    for (unsigned i = 0; i < 7; i++)
        ok(ept_protect(EPT, i * 2 * MIB + PAGE, 1, EPT_ACCESS_R));
    ok(ept_protect(EPT, GIB + PAGE, 1, EPT_ACCESS_R));
    ok(ept_track(EPT, 12 * MIB + 5 * PAGE, 2, true));
    owed();
    ept_hold(EPT);
    ept_hold(EPT);
    ok(ept_unprotect(EPT, 0, 1024));                     /* a range that becomes plain */
    ok(ept_protect(EPT, 4 * MIB, 512, EPT_ACCESS_NONE)); /* a whole table */
    ok(ept_protect(EPT, 6 * MIB, 512, EPT_ACCESS_RWX));  /* the same, raised */
    ok(ept_protect(EPT, 8 * MIB, 1, EPT_ACCESS_R));      /* uniform at its last page */
    ok(ept_protect(EPT, 8 * MIB + 2 * PAGE, 510, EPT_ACCESS_R));
    ok(ept_unprotect(EPT, 10 * MIB + PAGE, 1)); /* queued */
    ok(ept_unprotect(EPT, 12 * MIB + PAGE, 1));
    ok(ept_track(EPT, 12 * MIB + 5 * PAGE, 2, false));
    ok(ept_protect(EPT, GIB, PAGES_1G, EPT_ACCESS_R)); /* a page directory and its table */
    assert_int_equal(ept_reclaim(EPT), 0);
    ept_release(EPT);
    assert_int_equal(ept_reclaim(EPT), 0);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(at(i * 2 * MIB).level, 1);
    assert_int_equal(at(GIB).level, 1);
    owed();
    ept_release(EPT);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(at(i * 2 * MIB).level, 2);
    assert_int_equal(at(4 * MIB).access, EPT_ACCESS_NONE);
    assert_int_equal(at(8 * MIB).access, EPT_ACCESS_R);
    assert_int_equal(at(GIB).level, 3);
    assert_true(owed());
    world_check_bookkeeping();
    world_close();
}

/*
 * Prepared by two, with calls in between that take every table page there is: both are protected
 * without one.
 */
static void test_two(void **state)
{
    (void)state;
    map_ram(&modern, 64 * MIB);
    ept_hold(EPT);
    ok(ept_prepare(EPT, 0, 512));
    ok(ept_prepare(EPT, 3 * PAGE, 2));
    ok(ept_prepare(EPT, 4 * MIB + PAGE, 1));
    ept_hold(EPT);
    ok(ept_prepare(EPT, 8 * PAGE, 1));
    ok(ept_prepare(EPT, 6 * MIB + PAGE, 1));
    /* As a whole, with one access: a large leaf, if it were not held. */
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_R));
    ok(ept_protect(EPT, 6 * MIB, 512, EPT_ACCESS_R));
    while (!ept_protect(EPT, 32 * MIB + EPT->stats.splits * 2 * MIB, 1, EPT_ACCESS_R))
        world->budget = world->in_use;
    owed();
    ok(ept_protect(EPT, 8 * PAGE, 1, EPT_ACCESS_NONE));
    ok(ept_protect(EPT, 6 * MIB + PAGE, 1, EPT_ACCESS_NONE));
    ept_release(EPT);
    ok(ept_protect(EPT, 3 * PAGE, 2, EPT_ACCESS_RW));
    ok(ept_protect(EPT, 4 * MIB + PAGE, 1, EPT_ACCESS_RW));
    ept_release(EPT);
    owed();
    assert_int_equal(at(8 * PAGE).access, EPT_ACCESS_NONE);
    assert_int_equal(at(4 * PAGE).access, EPT_ACCESS_RW);
    assert_int_equal(at(6 * MIB + PAGE).access, EPT_ACCESS_NONE);
    world_check_bookkeeping();
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
