/*
 * Mapping, protection, splitting, merging and faults: one behaviour after the other.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ept_helpers.h"

static void test_init(void **state)
{
    struct ept_features features = modern;

    (void)state;
    world_reset();
    assert_int_equal(ept_init(EPT, &world->env, &features, 0), EPT_EINVAL);
    assert_int_equal(ept_init(EPT, &world->env, &features, 4097), EPT_EINVAL);
    assert_int_equal(ept_init(EPT, &world->env, &features, EPT_LIMIT_MAX + PAGE), EPT_EINVAL);
    for (unsigned i = 1; i <= EPT_TABLES_BASE; i++) {
        world_reset();
        world->fail_at = i;
        assert_int_equal(ept_init(EPT, &world->env, &features, GIB), EPT_ENOMEM);
        assert_int_equal(world->in_use, 0);
    }
    world_open(&modern, EPT_LIMIT_MAX);
    assert_int_equal(ept_pointer(EPT), EPT->root | 0x5e);
    assert_int_equal(EPT->stats.tables, EPT_TABLES_BASE);
    assert_int_equal(at(0).level, 0);
    assert_int_equal(at(EPT_LIMIT_MAX - 1).level, 0);
    world_close();
    world_open(&no_dirty, GIB);
    assert_int_equal(ept_pointer(EPT), EPT->root | 0x1e);
    world_close();
}

static void test_map_sizes(void **state)
{
    struct ept_translation t;

    (void)state;
    world_open(&modern, 4 * GIB);
    ok(ept_map(EPT, GIB - 2 * MIB - PAGE, 3 * GIB - 2 * MIB - PAGE, GIB + 2 * MIB + 3 * PAGE,
               EPT_ACCESS_RX, EPT_MEMTYPE_UC));
    assert_false(owed());
    assert_int_equal(at(GIB - 2 * MIB - PAGE).level, 1);
    assert_int_equal(at(GIB - 2 * MIB).level, 2);
    assert_int_equal(at(GIB).level, 3);
    assert_int_equal(at(2 * GIB + PAGE).level, 1);
    assert_int_equal(at(2 * GIB + 2 * PAGE).level, 0);
    assert_int_equal(at(GIB - 2 * MIB - 2 * PAGE).level, 0);
    assert_int_equal(ept_lookup(EPT, GIB + 12345, &t), EPT_OK);
    assert_int_equal(t.hpa, 3 * GIB + 12345);
    assert_int_equal(t.access, EPT_ACCESS_RX);
    assert_int_equal(t.full, EPT_ACCESS_RX);
    assert_int_equal(t.hardware, EPT_ACCESS_RX);
    assert_int_equal(t.memtype, EPT_MEMTYPE_UC);
    assert_int_equal(t.entry, 3 * GIB | 1ull << 63 | 2ull << 54 | 2ull << 52 | 1 << 9 | 1 << 7 | 5);
    assert_int_equal(world_walk(world_memory(), GIB + 12345).hpa, 3 * GIB + 12345);
    assert_int_equal(ept_lookup(EPT, 5 * GIB, &t), EPT_ENOENT);
    world_close();

    /* Sizes that the CPU lacks, and host memory that is not aligned. */
    map_ram(&plain, 2 * GIB);
    assert_int_equal(at(GIB).level, 2);
    world_close();
    world_open(&small_only, 4 * GIB);
    ok(ept_map(EPT, 0, 8 * GIB, 4 * MIB, EPT_ACCESS_RWX, EPT_MEMTYPE_WB));
    assert_int_equal(at(2 * MIB).level, 1);
    world_close();
    world_open(&modern, 4 * GIB);
    ok(ept_map(EPT, 0, 8 * GIB + PAGE, 4 * MIB, EPT_ACCESS_RWX, EPT_MEMTYPE_WB));
    assert_int_equal(at(2 * MIB).level, 1);
    assert_int_equal(at(2 * MIB).hpa, 8 * GIB + 2 * MIB + PAGE);
    world_close();
}

static void test_map_errors(void **state)
{
    (void)state;
    map_ram(&modern, 4 * MIB);
    assert_int_equal(ept_map(EPT, 1, 0, PAGE, EPT_ACCESS_R, EPT_MEMTYPE_WB), EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 8 * MIB, 1, PAGE, EPT_ACCESS_R, EPT_MEMTYPE_WB), EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 8 * MIB, 0, 0, EPT_ACCESS_R, EPT_MEMTYPE_WB), EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 8 * MIB, 0, 100, EPT_ACCESS_R, EPT_MEMTYPE_WB), EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 8 * MIB, 0, PAGE, EPT_ACCESS_X, EPT_MEMTYPE_WB), EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 8 * MIB, 0, PAGE, 8 | EPT_ACCESS_R, EPT_MEMTYPE_WB), EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 8 * MIB, 0, PAGE, EPT_ACCESS_R, 2), EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 8 * MIB, 0, PAGE, EPT_ACCESS_R, 7), EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 8 * MIB, 1ull << 52, PAGE, EPT_ACCESS_R, EPT_MEMTYPE_WB),
                     EPT_EINVAL);
    assert_int_equal(ept_map(EPT, ~0xfffull, 0, 2 * PAGE, EPT_ACCESS_R, EPT_MEMTYPE_WB),
                     EPT_EINVAL);
    assert_int_equal(ept_map(EPT, 4 * GIB - PAGE, 0, 2 * PAGE, EPT_ACCESS_R, EPT_MEMTYPE_WB),
                     EPT_ENOENT);
    assert_int_equal(ept_map(EPT, 4 * MIB - PAGE, 0, 2 * PAGE, EPT_ACCESS_R, EPT_MEMTYPE_WB),
                     EPT_EEXIST);
    assert_int_equal(at(4 * MIB).level, 0);
    world_close();
}

static void test_unmap(void **state)
{
    (void)state;
    map_ram(&modern, 2 * GIB);
    assert_int_equal(ept_unmap(EPT, 0, 100), EPT_EINVAL);
    assert_int_equal(ept_unmap(EPT, 2 * GIB - PAGE, 2 * PAGE), EPT_ENOENT);
    assert_int_equal(ept_unmap(EPT, 4 * GIB, PAGE), EPT_ENOENT);
    ok(ept_unmap(EPT, 3 * PAGE, PAGE));
    assert_true(owed());
    assert_int_equal(at(3 * PAGE).level, 0);
    assert_int_equal(at(4 * PAGE).level, 1);
    assert_int_equal(at(2 * MIB).level, 2);
    ok(ept_unmap(EPT, 6 * PAGE, PAGE));
    assert_true(owed());
    ok(ept_map(EPT, 6 * PAGE, 22 * GIB, PAGE, EPT_ACCESS_RWX, EPT_MEMTYPE_WB));
    /* A page that no right is left of is in no cache. */
    ok(ept_protect(EPT, 5 * PAGE, 1, EPT_ACCESS_NONE));
    assert_true(owed());
    ok(ept_unmap(EPT, 5 * PAGE, PAGE));
    assert_false(owed());
    /* The hole goes with other memory; the table is never merged. */
    ok(ept_map(EPT, 3 * PAGE, 20 * GIB, PAGE, EPT_ACCESS_RWX, EPT_MEMTYPE_WB));
    ok(ept_map(EPT, 5 * PAGE, 21 * GIB, PAGE, EPT_ACCESS_RWX, EPT_MEMTYPE_WB));
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_R));
    ok(ept_unprotect(EPT, 0, 512));
    owed();
    assert_int_equal(at(3 * PAGE).hpa, 20 * GIB);
    assert_int_equal(at(4 * PAGE).hpa, 8 * GIB + 4 * PAGE);
    ok(ept_unmap(EPT, 0, 2 * GIB));
    assert_true(owed());
    assert_int_equal(EPT->stats.tables, EPT_TABLES_BASE);
    assert_int_equal(at(0).level, 0);
    world_close();
}

/* A page directory with other memory in a part of it is never merged. */
static void test_unmap_large(void **state)
{
    (void)state;
    map_ram(&modern, 2 * GIB);
    ok(ept_unmap(EPT, 6 * MIB, 2 * MIB));
    assert_true(owed());
    ok(ept_map(EPT, 6 * MIB, 20 * GIB, 2 * MIB, EPT_ACCESS_RWX, EPT_MEMTYPE_WB));
    assert_false(owed());
    ok(ept_protect(EPT, 0, PAGES_1G, EPT_ACCESS_R));
    ok(ept_unprotect(EPT, 0, PAGES_1G));
    ok(ept_protect(EPT, 6 * MIB, 512, EPT_ACCESS_R));
    ok(ept_unprotect(EPT, 6 * MIB, 512));
    ept_reclaim(EPT);
    assert_int_equal(at(6 * MIB).hpa, 20 * GIB);
    assert_int_equal(at(8 * MIB).hpa, 8 * GIB + 8 * MIB);
    ok(ept_unmap(EPT, GIB, GIB));
    assert_true(owed());
    assert_int_equal(at(GIB).level, 0);
    world_close();
}

/* A page directory waits in the queue too. */
static void test_merge_dir(void **state)
{
    (void)state;
    map_ram(&modern, 2 * GIB);
    for (unsigned i = 0; i < 3; i++) {
        ok(ept_protect(EPT, 6 * MIB, 512, EPT_ACCESS_R));
        assert_true(owed());
        ok(ept_unprotect(EPT, 6 * MIB, 512));
        assert_false(owed());
        assert_int_equal(at(6 * MIB).level, 2);
    }
    assert_int_equal(EPT->stats.splits, 1);
    assert_int_equal(ept_reclaim(EPT), 1);
    assert_int_equal(at(6 * MIB).level, 3);
    assert_true(owed());
    assert_int_equal(EPT->stats.tables, EPT_TABLES_BASE);
    world_close();
}

static void test_protect_edges(void **state)
{
    (void)state;
    map_ram(&modern, 2 * GIB);
    ok(ept_protect(EPT, 5 * PAGE, 1, EPT_ACCESS_R));
    assert_true(owed());
    assert_int_equal(EPT->stats.splits, 2);
    assert_int_equal(at(4 * PAGE).access, EPT_ACCESS_RWX);
    assert_int_equal(at(5 * PAGE).access, EPT_ACCESS_R);
    assert_int_equal(at(6 * PAGE).access, EPT_ACCESS_RWX);
    assert_int_equal(at(5 * PAGE).full, EPT_ACCESS_RWX);
    assert_int_equal(at(2 * MIB).level, 2);
    assert_int_equal(at(GIB).level, 3);
    /* Edges in the middle of large leaves, large parts between. */
    ok(ept_protect(EPT, 3 * MIB, 512 * 2 * 1024 / 4 - 512, EPT_ACCESS_NONE));
    assert_true(owed());
    assert_int_equal(at(3 * MIB - PAGE).access, EPT_ACCESS_RWX);
    assert_int_equal(at(3 * MIB).access, EPT_ACCESS_NONE);
    assert_int_equal(at(4 * MIB).level, 2);
    assert_int_equal(at(4 * MIB).access, EPT_ACCESS_NONE);
    assert_int_equal(at(GIB).access, EPT_ACCESS_NONE);
    assert_int_equal(at(GIB + MIB - PAGE).access, EPT_ACCESS_NONE);
    assert_int_equal(at(GIB + MIB).access, EPT_ACCESS_RWX);
    /* A whole aligned GiB becomes one leaf again, in one store. */
    world->recording = true;
    ok(ept_protect(EPT, 0, PAGES_1G, EPT_ACCESS_RX));
    assert_int_equal(world->store_count, 1);
    assert_true(owed());
    assert_int_equal(at(0).level, 3);
    assert_int_equal(at(0).access, EPT_ACCESS_RX);
    world->store_count = 0;
    ok(ept_protect(EPT, 0, PAGES_1G, EPT_ACCESS_R));
    assert_int_equal(world->store_count, 1);
    world_close();
}

static void test_protect_errors(void **state)
{
    (void)state;
    map_ram(&plain, 4 * MIB);
    assert_int_equal(ept_protect(EPT, 0, 1, EPT_ACCESS_X), EPT_EOPNOTSUPP);
    assert_int_equal(ept_protect(EPT, 0, 1, EPT_ACCESS_W), EPT_EINVAL);
    assert_int_equal(ept_protect(EPT, 0, 1, EPT_ACCESS_W | EPT_ACCESS_X), EPT_EINVAL);
    assert_int_equal(ept_protect(EPT, 0, 1, 8), EPT_EINVAL);
    assert_int_equal(ept_protect(EPT, 0, 0, EPT_ACCESS_R), EPT_EINVAL);
    assert_int_equal(ept_protect(EPT, 8, 1, EPT_ACCESS_R), EPT_EINVAL);
    assert_int_equal(ept_protect(EPT, PAGE, ~0ull, EPT_ACCESS_R), EPT_EINVAL);
    assert_int_equal(ept_protect(EPT, ~0xfffull, 2, EPT_ACCESS_R), EPT_EINVAL);
    assert_int_equal(ept_protect(EPT, ~0xfffull, 1, EPT_ACCESS_R), EPT_ENOENT);
    assert_int_equal(ept_protect(EPT, 4 * MIB, 1, EPT_ACCESS_R), EPT_ENOENT);
    assert_int_equal(ept_protect(EPT, 0, 1025, EPT_ACCESS_R), EPT_ENOENT);
    assert_int_equal(ept_unprotect(EPT, 0, 1025), EPT_ENOENT);
    assert_int_equal(ept_unprotect(EPT, 12, 1), EPT_EINVAL);
    assert_int_equal(EPT->stats.splits, 0);
    assert_false(owed());
    world_close();
}

/* Not above the full rights; raising owes nothing; nothing happens when nothing changes. */
static void test_rights(void **state)
{
    (void)state;
    world_open(&modern, GIB);
    ok(ept_map(EPT, 0, 0, 2 * MIB, EPT_ACCESS_RX, EPT_MEMTYPE_WB));
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_RWX));
    assert_int_equal(at(0).access, EPT_ACCESS_RX);
    ok(ept_protect(EPT, 0, 1, EPT_ACCESS_RX));
    assert_int_equal(EPT->stats.splits, 0);
    ok(ept_protect(EPT, 0, 1, EPT_ACCESS_RW));
    assert_int_equal(at(0).access, EPT_ACCESS_R);
    assert_true(owed());
    ok(ept_protect(EPT, 0, 1, EPT_ACCESS_RX));
    assert_int_equal(at(0).access, EPT_ACCESS_RX);
    assert_false(owed());
    ok(ept_protect(EPT, 0, 1, EPT_ACCESS_X));
    assert_int_equal(at(0).hardware, EPT_ACCESS_X);
    assert_true(owed());
    ok(ept_protect(EPT, 0, 1, EPT_ACCESS_NONE));
    assert_true(owed());
    ok(ept_protect(EPT, 0, 1, EPT_ACCESS_NONE));
    assert_false(owed());
    ok(ept_unprotect(EPT, 0, 1));
    assert_false(owed());
    assert_int_equal(at(0).access, EPT_ACCESS_RX);
    /* Out of a leaf that nothing was cached of. */
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_NONE));
    owed();
    assert_int_equal(at(0).level, 2);
    ok(ept_unprotect(EPT, 7 * PAGE, 1));
    assert_false(owed());
    assert_int_equal(at(7 * PAGE).access, EPT_ACCESS_RX);
    assert_int_equal(at(8 * PAGE).access, EPT_ACCESS_NONE);
    world_close();
}

static void test_merge_single(void **state)
{
    (void)state;
    map_ram(&modern, 64 * MIB);
    for (unsigned i = 0; i < 10; i++) {
        ok(ept_protect(EPT, 9 * PAGE, 1, EPT_ACCESS_R));
        assert_true(owed());
        ok(ept_unprotect(EPT, 9 * PAGE, 1));
        assert_false(owed());
    }
    /* It waits: no thrashing. */
    assert_int_equal(EPT->stats.splits, 1);
    assert_int_equal(EPT->stats.merges, 0);
    /* Eight more push it out. */
    for (unsigned i = 1; i <= EPT_QUEUE_MAX; i++) {
        ok(ept_protect(EPT, i * 2 * MIB, 1, EPT_ACCESS_R));
        ok(ept_unprotect(EPT, i * 2 * MIB, 1));
        assert_int_equal(EPT->stats.merges, i == EPT_QUEUE_MAX);
    }
    assert_int_equal(at(9 * PAGE).level, 2);
    assert_true(owed());
    assert_int_equal(ept_reclaim(EPT), EPT_QUEUE_MAX);
    assert_true(owed());
    assert_int_equal(EPT->stats.tables, EPT_TABLES_BASE + EPT_TABLES_PER_GIB);
    world_check_bookkeeping();
    world_close();
}

static void test_merge_range(void **state)
{
    (void)state;
    map_ram(&modern, 64 * MIB);
    /* A range call that makes a table uniform merges it. */
    ok(ept_protect(EPT, 9 * PAGE, 16, EPT_ACCESS_R));
    ok(ept_unprotect(EPT, 9 * PAGE, 16));
    assert_int_equal(EPT->stats.merges, 1);
    assert_int_equal(at(0).level, 2);
    /* Page by page, then the last by a range. */
    for (unsigned i = 0; i < 512; i++)
        ok(ept_protect(EPT, i * PAGE, 1, EPT_ACCESS_NONE));
    assert_int_equal(at(0).level, 1);
    for (unsigned i = 511; i >= 2; i--)
        ok(ept_unprotect(EPT, i * PAGE, 1));
    ok(ept_unprotect(EPT, 0, 2));
    assert_int_equal(at(0).level, 2);
    /* Two halves that are protected alike. */
    ok(ept_protect(EPT, 0, 256, EPT_ACCESS_R));
    assert_int_equal(at(0).level, 1);
    ok(ept_protect(EPT, MIB, 256, EPT_ACCESS_R));
    assert_int_equal(at(0).level, 2);
    assert_int_equal(at(0).access, EPT_ACCESS_R);
    assert_true(owed());
    /* Everything is single-page: found when it is covered. */
    ok(ept_unprotect(EPT, 0, 1));
    ok(ept_protect(EPT, 0, 512, EPT_ACCESS_R));
    assert_int_equal(at(0).level, 2);
    world_check_bookkeeping();
    world_close();
}

/* The greater part of a table, whose rest has the access already: one store, unless it has not. */
static void test_merge_rest(void **state)
{
    static const unsigned kept[] = {0, 1, 200, 510, 511};

    (void)state;
    map_ram(&modern, 64 * MIB);
    ok(ept_protect(EPT, 0, 1, EPT_ACCESS_R));
    ok(ept_protect(EPT, 511 * PAGE, 1, EPT_ACCESS_R));
    world->recording = true;
    ok(ept_protect(EPT, PAGE, 510, EPT_ACCESS_R));
    assert_int_equal(world->store_count, 1);
    world->recording = false;
    assert_true(owed());
    assert_int_equal(at(0).level, 2);
    assert_int_equal(at(0).access, EPT_ACCESS_R);
    /* With its neighbour, as part of a longer range. */
    ok(ept_unprotect(EPT, PAGE, 511));
    ok(ept_protect(EPT, PAGE, 511 + 512 + 7, EPT_ACCESS_R));
    assert_int_equal(at(0).level, 2);
    assert_int_equal(at(512 * PAGE).level, 2);
    assert_int_equal(at(1024 * PAGE).level, 1);
    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        const uint64_t page = 2 * MIB + kept[i] * PAGE;
        const unsigned first = kept[i] < 256 ? kept[i] + 1 : 0;
        const unsigned pages = kept[i] < 256 ? 511 - kept[i] : kept[i];

        ok(ept_protect(EPT, 2 * MIB, 512, EPT_ACCESS_R));
        ok(ept_unprotect(EPT, page, 1));
        ok(ept_protect(EPT, 2 * MIB + first * PAGE, pages, EPT_ACCESS_NONE));
        assert_int_equal(at(page).level, 1);
        assert_int_equal(at(page).access, EPT_ACCESS_RWX);
        assert_int_equal(at(2 * MIB + first * PAGE).access, EPT_ACCESS_NONE);
    }
    world_check_bookkeeping();
    world_close();
}

/* Flags that a CPU has set survive a split and a merge, also when they are set at the last moment.
 */
static void set_dirty_late(struct world *w, volatile uint64_t *slot)
{
    if ((*slot & ENTRY_LEAF) && (*slot & ENTRY_W))
        *slot |= ENTRY_A | ENTRY_D;
    (void)w;
}

static void test_flags(void **state)
{
    (void)state;
    map_ram(&modern, 4 * MIB);
    world->before = set_dirty_late;
    ok(ept_protect(EPT, PAGE, 1, EPT_ACCESS_R));
    world->before = NULL;
    for (unsigned i = 2; i < 512; i++)
        assert_int_equal(at(i * PAGE).entry & 0x300, 0x300);
    assert_true(owed());
    ok(ept_protect(EPT, 2 * MIB, 1, EPT_ACCESS_R));
    assert_int_equal(at(2 * MIB + PAGE).entry & 0x300, 0x200);
    world->before = set_dirty_late;
    ok(ept_protect(EPT, 2 * MIB + PAGE, 1, EPT_ACCESS_RX));
    ok(ept_protect(EPT, 2 * MIB + PAGE, 1, EPT_ACCESS_RW));
    world->before = NULL;
    assert_int_equal(at(2 * MIB + PAGE).entry & 0x300, 0x300);
    ok(ept_unprotect(EPT, 2 * MIB, 512));
    assert_int_equal(at(2 * MIB).level, 2);
    assert_int_equal(at(2 * MIB).entry & 0x300, 0x300);
    ok(ept_protect(EPT, 3 * MIB, 1, EPT_ACCESS_R));
    assert_int_equal(at(2 * MIB + 5 * PAGE).entry & 0x300, 0x300);
    owed();
    /* A write in the moment when tracking begins leaves a cached dirty flag. */
    ok(ept_protect(EPT, MIB, 1, EPT_ACCESS_RX));
    ept_track(EPT, MIB + PAGE, 1, true);
    owed();
    assert_int_equal(at(MIB + PAGE).entry & ENTRY_D, 0);
    ok(ept_track(EPT, MIB + PAGE, 1, false));
    owed();
    world->before = set_dirty_late;
    ok(ept_track(EPT, MIB + PAGE, 1, true));
    world->before = NULL;
    assert_true(owed());
    assert_int_equal(at(MIB + PAGE).entry & ENTRY_D, 0);
    world_close();
}

static void test_fault(void **state)
{
    (void)state;
    map_ram(&modern, 4 * MIB);
    ok(ept_protect(EPT, PAGE, 1, EPT_ACCESS_RX));
    owed();
    assert_int_equal(ept_fault(EPT, PAGE + 5, EPT_ACCESS_W), EPT_FAULT_DENIED);
    assert_int_equal(ept_fault(EPT, PAGE, EPT_ACCESS_RW), EPT_FAULT_DENIED);
    assert_int_equal(ept_fault(EPT, PAGE, EPT_ACCESS_R), EPT_FAULT_SPURIOUS);
    assert_int_equal(ept_fault(EPT, PAGE, EPT_ACCESS_X), EPT_FAULT_SPURIOUS);
    assert_int_equal(ept_fault(EPT, 2 * MIB, EPT_ACCESS_W), EPT_FAULT_SPURIOUS);
    assert_int_equal(ept_fault(EPT, 4 * MIB, EPT_ACCESS_R), EPT_FAULT_UNMAPPED);
    assert_int_equal(ept_fault(EPT, 4 * GIB, EPT_ACCESS_R), EPT_FAULT_UNMAPPED);
    assert_int_equal(ept_fault(EPT, ~0ull, EPT_ACCESS_R), EPT_FAULT_UNMAPPED);
    assert_false(owed());
    world_close();
}

static void test_nx_huge(void **state)
{
    (void)state;
    map_ram(&nx_huge, 2 * GIB);
    assert_int_equal(at(0).hardware, EPT_ACCESS_RW);
    assert_int_equal(at(0).access, EPT_ACCESS_RWX);
    assert_int_equal(ept_fault(EPT, GIB + 2 * MIB + PAGE, EPT_ACCESS_X), EPT_FAULT_RESOLVED);
    assert_true(owed());
    assert_int_equal(at(GIB + 2 * MIB + PAGE).level, 1);
    assert_int_equal(at(GIB + 2 * MIB + PAGE).hardware, EPT_ACCESS_RWX);
    assert_int_equal(at(GIB + 4 * MIB).level, 2);
    assert_int_equal(at(GIB + 4 * MIB).hardware, EPT_ACCESS_RW);
    /* It stays split while the guest may execute from it. */
    ok(ept_protect(EPT, GIB + 2 * MIB, 512, EPT_ACCESS_RX));
    ok(ept_unprotect(EPT, GIB + 2 * MIB, 512));
    ept_reclaim(EPT);
    assert_int_equal(at(GIB + 2 * MIB).level, 1);
    owed();
    ok(ept_protect(EPT, GIB + 2 * MIB, 512, EPT_ACCESS_RW));
    assert_int_equal(at(GIB + 2 * MIB).level, 2);
    assert_true(owed());
    /* Execution is not allowed: no split for nothing. */
    assert_int_equal(ept_fault(EPT, GIB + 2 * MIB, EPT_ACCESS_X), EPT_FAULT_DENIED);
    /* Lowering a right that the hardware never had owes nothing. */
    ok(ept_unprotect(EPT, GIB + 2 * MIB, 512));
    ok(ept_protect(EPT, GIB + 2 * MIB, 512, EPT_ACCESS_RW));
    assert_false(owed());
    ok(ept_unprotect(EPT, GIB + 2 * MIB, 512));
    /* Without memory the leaf stays as it is, once what is at hand is used up. */
    world->budget = 0;
    while (EPT->cache_count || EPT->limbo_count)
        assert_int_equal(ept_fault(EPT, GIB + 16 * MIB + EPT->stats.splits * 2 * MIB, EPT_ACCESS_X),
                         EPT_FAULT_RESOLVED);
    assert_int_equal(ept_fault(EPT, GIB + 8 * MIB, EPT_ACCESS_X), EPT_FAULT_NOMEM);
    assert_int_equal(at(GIB + 8 * MIB).level, 2);
    world->budget = WORLD_PAGES;
    world_close();
}

static void test_allows(void **state)
{
    (void)state;
    map_ram(&no_dirty, 4 * MIB);
    ok(ept_protect(EPT, PAGE, 1, EPT_ACCESS_R));
    ok(ept_track(EPT, 3 * MIB, 1, true));
    assert_true(ept_allows(EPT, 0, PAGE, EPT_ACCESS_RW));
    assert_true(ept_allows(EPT, 4 * GIB, 0, EPT_ACCESS_RW));
    assert_false(ept_allows(EPT, 0, PAGE + 1, EPT_ACCESS_RW));
    assert_true(ept_allows(EPT, 0, 4 * MIB, EPT_ACCESS_R));
    assert_false(ept_allows(EPT, 0, 4 * MIB + 1, EPT_ACCESS_R));
    assert_true(ept_allows(EPT, 3 * MIB, PAGE, EPT_ACCESS_W));
    assert_false(ept_allows(EPT, 5 * PAGE, ~0ull, EPT_ACCESS_R));
    assert_false(ept_allows(EPT, ~0ull, 2, EPT_ACCESS_R));
    world_close();
}

/* Table memory comes back from the queue and from limbo before a call fails. */
static void test_memory_pressure(void **state)
{
    uint64_t flushes;

    (void)state;
    map_ram(&modern, 64 * MIB);
    world->budget = world->in_use;
    for (unsigned i = EPT->cache_count; i; i--)
        ok(ept_protect(EPT, 32 * MIB + i * 2 * MIB, 1, EPT_ACCESS_R));
    assert_int_equal(ept_protect(EPT, 0, 1, EPT_ACCESS_R), EPT_ENOMEM);
    assert_int_equal(at(0).access, EPT_ACCESS_RWX);
    world->budget = world->in_use + 1;
    ok(ept_protect(EPT, 0, 1, EPT_ACCESS_R));
    assert_int_equal(ept_protect(EPT, 2 * MIB, 1, EPT_ACCESS_R), EPT_ENOMEM);
    ok(ept_unprotect(EPT, 0, 1));
    flushes = world->flushes;
    ok(ept_protect(EPT, 2 * MIB, 1, EPT_ACCESS_R));
    assert_int_equal(world->flushes, flushes + 1);
    assert_int_equal(at(0).level, 2);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_map_sizes),
        cmocka_unit_test(test_map_errors),
        cmocka_unit_test(test_unmap),
        cmocka_unit_test(test_unmap_large),
        cmocka_unit_test(test_merge_dir),
        cmocka_unit_test(test_protect_edges),
        cmocka_unit_test(test_protect_errors),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_merge_single),
        cmocka_unit_test(test_merge_range),
        cmocka_unit_test(test_merge_rest),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_nx_huge),
        cmocka_unit_test(test_allows),
        cmocka_unit_test(test_memory_pressure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
