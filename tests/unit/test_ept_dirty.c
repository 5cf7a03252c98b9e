/*
 * Aliases and dirty tracking: one behaviour after the other.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ept_helpers.h"

static void test_alias(void **state)
{
    const uint64_t window = 3 * GIB;

    (void)state;
    map_ram(&modern, 64 * MIB);
    assert_int_equal(ept_alias(EPT, 1, 1, window, EPT_ACCESS_R), EPT_EINVAL);
    assert_int_equal(ept_alias(EPT, 0, 1, window + 1, EPT_ACCESS_R), EPT_EINVAL);
    assert_int_equal(ept_alias(EPT, 0, 0, window, EPT_ACCESS_R), EPT_EINVAL);
    assert_int_equal(ept_alias(EPT, 0, 1, window, EPT_ACCESS_NONE), EPT_EINVAL);
    assert_int_equal(ept_alias(EPT, 0, 1, window, EPT_ACCESS_X), EPT_EINVAL);
    assert_int_equal(ept_alias(EPT, 0, 1, 4 * GIB, EPT_ACCESS_R), EPT_ENOENT);
    assert_int_equal(ept_alias(EPT, 64 * MIB, 1, window, EPT_ACCESS_R), EPT_ENOENT);
    assert_int_equal(ept_alias(EPT, 0, 2, PAGE, EPT_ACCESS_R), EPT_EEXIST);
    assert_int_equal(ept_unalias(EPT, window, 1), EPT_ENOENT);
    assert_int_equal(ept_unalias(EPT, PAGE, 1), EPT_EINVAL);
    assert_int_equal(EPT->stats.splits, 0);
    ok(ept_alias(EPT, 5 * PAGE, 2, window, EPT_ACCESS_RW));
    assert_true(owed()); /* the large leaf was split */
    ok(ept_alias(EPT, 5 * PAGE, 1, window + 10 * PAGE, EPT_ACCESS_RX));
    assert_false(owed());
    assert_int_equal(ept_alias(EPT, window, 1, window + 20 * PAGE, EPT_ACCESS_R), EPT_EINVAL);
    assert_int_equal(ept_alias(EPT, 0, 1, window + PAGE, EPT_ACCESS_R), EPT_EEXIST);
    assert_int_equal(ept_alias_count(EPT, 5 * PAGE), 2);
    assert_int_equal(ept_alias_count(EPT, 6 * PAGE), 1);
    assert_int_equal(ept_alias_count(EPT, window), 0);
    assert_int_equal(ept_alias_count(EPT, 7 * PAGE), 0);
    assert_int_equal(at(window).hpa, 8 * GIB + 5 * PAGE);
    assert_int_equal(at(window + 10 * PAGE + 3).hpa, 8 * GIB + 5 * PAGE + 3);
    assert_int_equal(at(window).full, EPT_ACCESS_RW);
    assert_true(at(window).alias);
    assert_true(at(5 * PAGE).aliased);
    /* Protections of their own. */
    ok(ept_protect(EPT, 5 * PAGE, 1, EPT_ACCESS_NONE));
    assert_int_equal(at(window).access, EPT_ACCESS_RW);
    ok(ept_protect(EPT, window, 1, EPT_ACCESS_NONE));
    assert_int_equal(at(window + 10 * PAGE).access, EPT_ACCESS_RX);
    ok(ept_unprotect(EPT, window, 1));
    assert_int_equal(at(window).access, EPT_ACCESS_RW);
    owed();
    /* The table is not merged under the mark, and the page not unmapped under its aliases. */
    ok(ept_unprotect(EPT, 0, 512));
    assert_int_equal(at(0).level, 1);
    assert_int_equal(ept_unmap(EPT, 0, 2 * MIB), EPT_EEXIST);
    assert_int_equal(ept_unmap(EPT, window, PAGE), EPT_EINVAL);
    ok(ept_unalias(EPT, window, 2));
    assert_true(owed());
    assert_int_equal(ept_alias_count(EPT, 5 * PAGE), 1);
    assert_int_equal(ept_unalias(EPT, window, 1), EPT_ENOENT);
    ok(ept_protect(EPT, window + 10 * PAGE, 1, EPT_ACCESS_NONE));
    assert_true(owed());
    ok(ept_unalias(EPT, window + 10 * PAGE, 1));
    assert_true(owed()); /* its tables were freed */
    assert_false(at(5 * PAGE).aliased);
    ept_reclaim(EPT);
    assert_int_equal(at(0).level, 2);
    world_close();
}

static void test_alias_many(void **state)
{
    const uint64_t window = 3 * GIB;

    (void)state;
    map_ram(&modern, 4 * MIB);
    for (unsigned i = 0; i < 3000; i++)
        ok(ept_alias(EPT, PAGE, 1, window + i * PAGE, EPT_ACCESS_R));
    assert_int_equal(ept_alias_count(EPT, PAGE), 3000);
    /* From the middle, the end and the beginning of the list. */
    ok(ept_unalias(EPT, window + 1000 * PAGE, 500));
    ok(ept_unalias(EPT, window, 1));
    ok(ept_unalias(EPT, window + 2999 * PAGE, 1));
    assert_int_equal(ept_alias_count(EPT, PAGE), 2498);
    ok(ept_unalias(EPT, window + PAGE, 999));
    ok(ept_unalias(EPT, window + 1500 * PAGE, 1499));
    assert_int_equal(ept_alias_count(EPT, PAGE), 0);
    world_close();
}

/* What a CPU's write does to the tables: false if it faults for good. */
static bool cpu_write(uint64_t gpa)
{
    struct walk walk = world_walk(world_memory(), gpa);

    if (!(walk.rights & EPT_ACCESS_W) || walk.level > 3) {
        if (ept_fault(EPT, gpa, EPT_ACCESS_W) != EPT_FAULT_RESOLVED)
            return false;
        walk = world_walk(world_memory(), gpa);
        assert_true(walk.rights & EPT_ACCESS_W);
    }
    if (EPT->features.accessed_dirty)
        *(uint64_t *)(world_memory() + (walk.at - WORLD_PHYS_BASE)) |= ENTRY_A | ENTRY_D;
    return true;
}

static void check_dirty(uint64_t gpa, uint64_t pages, uint64_t capacity, const uint64_t *expect,
                        uint64_t count, uint64_t remaining)
{
    uint64_t buffer[64];
    uint64_t rest;

    assert_int_equal(ept_dirty(EPT, gpa, pages, buffer, capacity, &rest), count);
    assert_int_equal(rest, remaining);
    assert_memory_equal(buffer, expect, count * sizeof(uint64_t));
}

static void dirty_with(const struct ept_features *features)
{
    const uint64_t window = 3 * GIB;
    uint64_t buffer[4];
    uint64_t rest;

    map_ram(features, 64 * MIB);
    assert_true(cpu_write(10 * PAGE));
    assert_int_equal(ept_track(EPT, 1, 1, true), EPT_EINVAL);
    assert_int_equal(ept_track(EPT, 64 * MIB, 1, true), EPT_ENOENT);
    assert_int_equal(ept_dirty(EPT, 0, 1, buffer, 4, &rest), EPT_EINVAL);
    ok(ept_track(EPT, 4 * PAGE, 1100, true));
    assert_true(owed());
    /* Nothing is dirty that was written before. */
    check_dirty(4 * PAGE, 1100, 64, NULL, 0, 0);
    assert_int_equal(ept_dirty(EPT, 3 * PAGE, 2, buffer, 4, &rest), EPT_EINVAL);
    assert_int_equal(ept_dirty(EPT, 4 * PAGE, 1101, buffer, 4, &rest), EPT_EINVAL);
    assert_int_equal(ept_dirty(EPT, 4 * PAGE + 1, 1, buffer, 4, &rest), EPT_EINVAL);
    assert_int_equal(ept_dirty(EPT, 4 * GIB, 1, buffer, 4, &rest), EPT_ENOENT);
    assert_true(cpu_write(3 * PAGE));
    assert_true(cpu_write(4 * PAGE));
    assert_true(cpu_write(4 * PAGE));
    assert_true(cpu_write(500 * PAGE));
    assert_true(cpu_write(1103 * PAGE));
    ept_mark_dirty(EPT, 600 * PAGE - 1, 2);
    ept_mark_dirty(EPT, 2 * PAGE, 100);
    assert_false(owed());
    check_dirty(4 * PAGE, 1100, 2, (uint64_t[]){4 * PAGE, 500 * PAGE}, 2, 3);
    assert_true(owed());
    check_dirty(4 * PAGE, 1100, 0, NULL, 0, 3);
    assert_false(owed());
    check_dirty(4 * PAGE, 1100, 64, (uint64_t[]){599 * PAGE, 600 * PAGE, 1103 * PAGE}, 3, 0);
    assert_true(owed());
    check_dirty(4 * PAGE, 1100, 64, NULL, 0, 0);
    assert_false(owed());
    /* Through aliases, made before and after. */
    ok(ept_alias(EPT, 3 * PAGE, 3, window, EPT_ACCESS_RW));
    ok(ept_track(EPT, 3 * PAGE, 1, true));
    ok(ept_track(EPT, 4 * PAGE, 1, true));
    owed();
    assert_true(at(window).tracked);
    assert_true(at(window + PAGE).tracked);
    assert_int_equal(ept_track(EPT, window, 1, true), EPT_EINVAL);
    assert_true(cpu_write(window));
    assert_true(cpu_write(window + PAGE));
    assert_true(cpu_write(4 * PAGE));
    ept_mark_dirty(EPT, window + 2 * PAGE, 1);
    check_dirty(3 * PAGE, 3, 64, (uint64_t[]){3 * PAGE, 4 * PAGE, 5 * PAGE}, 3, 0);
    assert_true(owed());
    check_dirty(3 * PAGE, 3, 64, NULL, 0, 0);
    /* An alias that goes away leaves what was written through it. */
    assert_true(cpu_write(window + PAGE));
    ok(ept_unalias(EPT, window, 3));
    owed();
    check_dirty(3 * PAGE, 3, 64, (uint64_t[]){4 * PAGE}, 1, 0);
    owed();
    /* Protection and tracking do not disturb one another. */
    assert_true(cpu_write(7 * PAGE));
    ok(ept_protect(EPT, 7 * PAGE, 2, EPT_ACCESS_R));
    assert_true(owed());
    assert_false(cpu_write(7 * PAGE));
    assert_false(cpu_write(8 * PAGE));
    assert_int_equal(ept_fault(EPT, 8 * PAGE, EPT_ACCESS_W), EPT_FAULT_DENIED);
    ok(ept_unprotect(EPT, 7 * PAGE, 2));
    assert_false(owed());
    check_dirty(3 * PAGE, 64, 64, (uint64_t[]){7 * PAGE}, 1, 0);
    owed();
    assert_true(cpu_write(8 * PAGE));
    check_dirty(3 * PAGE, 64, 64, (uint64_t[]){8 * PAGE}, 1, 0);
    owed();
    ok(ept_protect(EPT, 0, 2048, EPT_ACCESS_NONE));
    owed();
    ept_mark_dirty(EPT, 7 * PAGE, 1);
    check_dirty(3 * PAGE, 64, 64, (uint64_t[]){7 * PAGE}, 1, 0);
    assert_false(owed()); /* no translation of it can be cached */
    ok(ept_unprotect(EPT, 0, 2048));
    assert_int_equal(at(0).level, 1);
    assert_int_equal(ept_unmap(EPT, 0, 4 * MIB), EPT_EINVAL);
    owed();
    /* The end of tracking: merged again. */
    ok(ept_track(EPT, 0, 2048, false));
    assert_int_equal(EPT->tracked_count, 0);
    assert_int_equal(at(0).level, 2);
    assert_int_equal(at(4 * MIB - 1).level, 2);
    owed();
    world_check_bookkeeping();
    world_close();
}

static void test_dirty(void **state)
{
    (void)state;
    dirty_with(&modern);
}

static void test_dirty_without_flags(void **state)
{
    (void)state;
    dirty_with(&no_dirty);
}

static void test_intervals(void **state)
{
    uint64_t buffer[1];
    uint64_t rest;

    (void)state;
    map_ram(&modern, 64 * MIB);
    for (unsigned i = 0; i < EPT_TRACKED_MAX; i++)
        ok(ept_track(EPT, i * 2 * PAGE, 1, true));
    assert_int_equal(ept_track(EPT, EPT_TRACKED_MAX * 2 * PAGE, 1, true), EPT_ENOMEM);
    assert_false(at(EPT_TRACKED_MAX * 2 * PAGE).tracked);
    ok(ept_track(EPT, PAGE, 1, true));
    assert_int_equal(EPT->tracked_count, EPT_TRACKED_MAX - 1);
    ok(ept_track(EPT, 200 * PAGE, 3, true));
    assert_int_equal(ept_track(EPT, 201 * PAGE, 1, false), EPT_ENOMEM);
    assert_true(at(201 * PAGE).tracked);
    ok(ept_track(EPT, 0, 202, true));
    assert_int_equal(EPT->tracked_count, 1);
    assert_int_equal(ept_dirty(EPT, 0, 203, buffer, 1, &rest), 0);
    ok(ept_track(EPT, 100 * PAGE, 3, false));
    assert_int_equal(EPT->tracked_count, 2);
    assert_int_equal(ept_dirty(EPT, 0, 203, buffer, 1, &rest), EPT_EINVAL);
    assert_int_equal(ept_dirty(EPT, 0, 100, buffer, 1, &rest), 0);
    assert_int_equal(ept_dirty(EPT, 103 * PAGE, 100, buffer, 1, &rest), 0);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alias),     cmocka_unit_test(test_alias_many),
        cmocka_unit_test(test_dirty),     cmocka_unit_test(test_dirty_without_flags),
        cmocka_unit_test(test_intervals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
