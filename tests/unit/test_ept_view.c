/*
 * Views where they can be reasoned about: what they cost in tables and stores, what shares, what a
 * lack of memory leaves, and how many there can be. The random test has the rest.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ept/view.h"
#include "ept_helpers.h"

enum {
    MOST = 511,
};

static struct ept_view view;
static unsigned stores;

static void count_store(struct world *w)
{
    (void)w;
    stores++;
}

static unsigned restriction(uint64_t gpa)
{
    struct ept_view_translation t;

    ept_view_lookup(&view, gpa, &t);
    return t.restriction;
}

static struct ept_view_translation in_view(uint64_t gpa)
{
    struct ept_view_translation t;

    ok(ept_view_lookup(&view, gpa, &t));
    return t;
}

static uint64_t tables(void)
{
    return EPT->stats.view_tables;
}

static void begin(const struct ept_features *features)
{
    map_ram(features, 1 * GIB);
    ok(ept_view_create(EPT, &view));
}

static void end(void)
{
    ept_view_destroy(&view);
    assert_null(view.ept);
    assert_true(EPT->flush_owed);
    world_flush();
    assert_int_equal(tables(), 0);
    world_close();
}

/* Restricting everything is one store, whole parts are one each. */
static void test_cost(void **state)
{
    (void)state;
    begin(&modern);
    assert_int_equal(tables(), 1);
    world->after = count_store;
    stores = 0;
    ok(ept_view_protect(&view, 0, 4 * GIB / PAGE, EPT_ACCESS_NONE));
    assert_int_equal(stores, 1);
    assert_int_equal(tables(), 1);
    assert_int_equal(in_view(5 * MIB).access, EPT_ACCESS_NONE);
    ok(ept_view_protect(&view, 0, 4 * GIB / PAGE, EPT_ACCESS_RWX));
    assert_int_equal(stores, 2);
    world->after = NULL;
    /* A whole GiB takes the one table with entries of GiB, 2 MiB one more, a page one more. */
    ok(ept_view_protect(&view, 1 * GIB, 1 * GIB / PAGE, EPT_ACCESS_R));
    assert_int_equal(tables(), 2);
    ok(ept_view_protect(&view, 2 * MIB, 512, EPT_ACCESS_R));
    assert_int_equal(tables(), 3);
    ok(ept_view_protect(&view, 9 * MIB, 1, EPT_ACCESS_R));
    assert_int_equal(tables(), 4);
    ok(ept_view_protect(&view, 9 * MIB + PAGE, 3, EPT_ACCESS_NONE));
    assert_int_equal(tables(), 4);
    /* As they get alike again they go. */
    ok(ept_view_protect(&view, 8 * MIB, 512, EPT_ACCESS_RWX));
    assert_int_equal(tables(), 3);
    ok(ept_view_protect(&view, 2 * MIB, 512, EPT_ACCESS_RWX));
    assert_int_equal(tables(), 2);
    ok(ept_view_protect(&view, 1 * GIB, 1 * GIB / PAGE, EPT_ACCESS_RWX));
    assert_int_equal(tables(), 1);
    end();
}

/* A page that is closed and opened in turn keeps its table until others do so or memory is short.
 */
static void test_queue(void **state)
{
    (void)state;
    begin(&modern);
    for (unsigned i = 0; i < 12; i++) {
        ok(ept_view_protect(&view, i * 2 * MIB + 7 * PAGE, 1, EPT_ACCESS_NONE));
        ok(ept_view_protect(&view, i * 2 * MIB + 7 * PAGE, 1, EPT_ACCESS_RWX));
        assert_true(tables() <= 3 + EPT_QUEUE_MAX);
    }
    assert_true(ept_reclaim(EPT) > 0);
    assert_int_equal(tables(), 1);
    end();
}

/* The short ways decline while there are views, and no longer. */
static void test_short_ways(void **state)
{
    (void)state;
    map_ram(&modern, 16 * MIB);
    ok(ept_protect(EPT, PAGE, 1, EPT_ACCESS_R));
    assert_int_not_equal(EPT->fast_pages, 0);
    ok(ept_view_create(EPT, &view));
    assert_int_equal(EPT->fast_pages, 0);
    ok(ept_view_protect(&view, PAGE, 2, EPT_ACCESS_RX));
    assert_int_equal(in_view(PAGE).access, EPT_ACCESS_R);
    ok(ept_protect(EPT, 2 * PAGE, 1, EPT_ACCESS_NONE));
    assert_int_equal(in_view(2 * PAGE).hardware, 0);
    ok(ept_unprotect(EPT, 2 * PAGE, 1));
    assert_int_equal(in_view(2 * PAGE).hardware, EPT_ACCESS_RX);
    owed();
    ept_view_destroy(&view);
    assert_int_equal(EPT->fast_pages, EPT->limit_pages);
    world_flush();
    world_close();
}

/* However early memory runs out, a call that fails has changed nothing. */
static void test_out_of_memory(void **state)
{
    struct ept_view more[2 * EPT_CACHE_MAX];
    unsigned failed = 0;
    unsigned made = 0;

    (void)state;
    begin(&modern);
    ok(ept_view_protect(&view, 3 * MIB, 1, EPT_ACCESS_R));
    for (uint64_t budget = world->in_use;; budget++) {
        uint64_t before = tables();
        int error;

        world->budget = budget;
        error = ept_view_protect(&view, 301 * MIB, 1 * GIB / PAGE, EPT_ACCESS_NONE);
        if (error == EPT_OK)
            break;
        assert_int_equal(error, EPT_ENOMEM);
        assert_int_equal(tables(), before);
        assert_int_equal(restriction(301 * MIB), EPT_ACCESS_RWX);
        assert_int_equal(restriction(400 * MIB), EPT_ACCESS_RWX);
        assert_int_equal(restriction(3 * MIB), EPT_ACCESS_R);
        failed++;
    }
    assert_int_equal(restriction(400 * MIB), EPT_ACCESS_NONE);
    world->budget = world->in_use;
    while (ept_view_create(EPT, &more[made]) == EPT_OK)
        made++;
    assert_true(failed > 0 && made < 2 * EPT_CACHE_MAX);
    world->budget = WORLD_PAGES;
    while (made)
        ept_view_destroy(&more[--made]);
    end();
}

/* As many as an EPTP list has entries; destroying the EPT gives all back. */
static void test_most(void **state)
{
    struct ept_view *views = calloc(MOST, sizeof(*views));

    (void)state;
    map_ram(&modern, 1 * GIB);
    for (unsigned i = 0; i < MOST; i++)
        ok(ept_view_create(EPT, &views[i]));
    assert_int_equal(tables(), MOST);
    for (unsigned i = 0; i < MOST; i += 10)
        ok(ept_view_protect(&views[i], i * PAGE, 1, EPT_ACCESS_NONE));
    for (unsigned i = 0; i < MOST; i++) {
        struct ept_view_translation t;

        assert_int_equal(ept_view_pointer(&views[i]) & ~0xfffull, views[i].root);
        ok(ept_view_lookup(&views[i], i * PAGE, &t));
        assert_int_equal(t.access, i % 10 ? EPT_ACCESS_RWX : EPT_ACCESS_NONE);
    }
    /* A change of the EPT reaches each of them. */
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_R));
    for (unsigned i = 0; i < MOST; i++) {
        struct ept_view_translation t;

        ok(ept_view_lookup(&views[i], 3 * PAGE, &t));
        assert_int_equal(t.hardware, EPT_ACCESS_R);
    }
    world_close();
    free(views);
}

/* Which entries let a violation convert to #VE (SDM 25.5.7.1). */
static void test_converts(void **state)
{
    (void)state;
    begin(&converting);
    ok(ept_view_protect(&view, 4 * MIB, 2, EPT_ACCESS_R));
    assert_true(in_view(4 * MIB).converts);
    assert_false(in_view(4 * MIB + 2 * PAGE).converts);
    ok(ept_view_protect(&view, 6 * MIB, 512, EPT_ACCESS_NONE));
    assert_true(in_view(7 * MIB).converts);
    ok(ept_view_protect(&view, 6 * MIB, 512, EPT_ACCESS_RWX));
    assert_false(in_view(7 * MIB).converts);
    ok(ept_view_protect(&view, 0, 4 * GIB / PAGE, EPT_ACCESS_NONE));
    assert_true(in_view(7 * MIB).converts);
    end();
    begin(&modern);
    ok(ept_view_protect(&view, 0, 4 * GIB / PAGE, EPT_ACCESS_NONE));
    assert_false(in_view(7 * MIB).converts);
    end();
}

/* What the CPU does when it writes to a page in the view. */
static void write_in_view(uint64_t gpa)
{
    struct walk walk = world_walk_from(world_memory(), view.root, gpa);

    assert_true(walk.rights & EPT_ACCESS_W);
    *(uint64_t *)(world_memory() + (walk.at - WORLD_PHYS_BASE)) |= ENTRY_A | ENTRY_D;
}

/* How many of 16 pages are dirty; the last of them is *page. */
static int64_t dirty(uint64_t *page)
{
    uint64_t list[16];
    uint64_t left;
    int64_t count = ept_dirty(EPT, 0, 16, list, 16, &left);

    assert_int_equal(left, 0);
    if (count > 0)
        *page = list[count - 1];
    return count;
}

/* Leaves of the view's own have dirty flags of their own, which are gathered, once, and outlive it.
 */
static void test_dirty(void **state)
{
    uint64_t page = 0;

    (void)state;
    begin(&modern);
    ok(ept_view_protect(&view, 0, 1, EPT_ACCESS_NONE));
    write_in_view(3 * PAGE);
    ok(ept_track(EPT, 0, 16, true));
    owed();
    assert_int_equal(dirty(&page), 0);
    write_in_view(3 * PAGE);
    assert_int_equal(dirty(&page), 1);
    assert_int_equal(page, 3 * PAGE);
    assert_true(owed());
    assert_int_equal(dirty(&page), 0);
    /* Its table goes. */
    write_in_view(4 * PAGE);
    ok(ept_view_protect(&view, 0, 512, EPT_ACCESS_R));
    assert_true(owed());
    assert_int_equal(dirty(&page), 1);
    assert_int_equal(page, 4 * PAGE);
    ok(ept_view_protect(&view, 0, 1, EPT_ACCESS_RWX));
    write_in_view(0);
    owed();
    ept_view_destroy(&view);
    world_flush();
    assert_int_equal(dirty(&page), 1);
    assert_int_equal(page, 0);
    world_flush();
    assert_int_equal(dirty(&page), 0);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost),       cmocka_unit_test(test_queue),
        cmocka_unit_test(test_short_ways), cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_most),       cmocka_unit_test(test_converts),
        cmocka_unit_test(test_dirty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
