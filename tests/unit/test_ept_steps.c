/*
 * Operations seen from close by. Each is replayed store by store: whatever the moment, a CPU finds
 * each page as it was before or as it is after, never torn and never a third way. And each is run
 * with every one of its allocations failing: then nothing has changed and nothing is lost.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ept_world.h"

#define EPT (&world->ept)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

enum {
    LIMIT_GIB = 3,
    MEMORY_BYTES = WORLD_PAGES * PAGE,
};

static const uint64_t window = 2 * GIB + MIB;

struct scenario {
    const char *name;
    void (*setup)(void);
    int (*operate)(void);
    bool no_memory; /* it does not need any */
};

static void ok(int error)
{
    assert_int_equal(error, EPT_OK);
}

static void ram(void)
{
    ok(ept_map(EPT, 0, 8 * GIB, 2 * GIB, EPT_ACCESS_RWX, EPT_MEMTYPE_WB));
}

static void nothing(void)
{
}

static void fragments(void)
{
    ram();
    for (unsigned i = 0; i < 40; i++)
        ok(ept_protect(EPT, i * 37 * PAGE, 1 + i % 3, i % 4 == 2 ? EPT_ACCESS_RW : i % 4));
    ok(ept_protect(EPT, 3 * MIB, 1024, EPT_ACCESS_RX));
    ok(ept_protect(EPT, GIB + 7 * MIB, 3, EPT_ACCESS_NONE));
}

static void aliases(void)
{
    fragments();
    ok(ept_alias(EPT, 10 * PAGE, 30, window, EPT_ACCESS_RW));
    ok(ept_alias(EPT, 20 * PAGE, 30, window + 700 * PAGE, EPT_ACCESS_RX));
}

static void written(void)
{
    aliases();
    ok(ept_track(EPT, 0, 1100, true));
    for (unsigned i = 0; i < 60; i++)
        ept_mark_dirty(EPT, i * 13 * PAGE, 1);
    ept_mark_dirty(EPT, window + 3 * PAGE, 2 * PAGE);
}

/* Tables that wait in the queue. */
static void waiting(void)
{
    ram();
    for (unsigned i = 0; i < EPT_QUEUE_MAX; i++) {
        ok(ept_protect(EPT, i * 2 * MIB + 5 * PAGE, 1, EPT_ACCESS_R));
        ok(ept_unprotect(EPT, i * 2 * MIB + 5 * PAGE, 1));
    }
}

static int do_map(void)
{
    return ept_map(EPT, GIB - 3 * MIB - PAGE, 9 * GIB - 3 * MIB - PAGE, GIB + 4 * MIB,
                   EPT_ACCESS_RW, EPT_MEMTYPE_WB);
}

static int do_unmap(void)
{
    return ept_unmap(EPT, GIB - 5 * PAGE, 8 * MIB);
}

static int do_protect_page(void)
{
    return ept_protect(EPT, 77 * PAGE, 1, EPT_ACCESS_R);
}

static int do_protect_range(void)
{
    return ept_protect(EPT, MIB, 262144, EPT_ACCESS_RX);
}

static int do_protect_gib(void)
{
    return ept_protect(EPT, 0, 262144, EPT_ACCESS_R);
}

static int do_protect_mixed(void)
{
    return ept_protect(EPT, 3 * PAGE, 1200, EPT_ACCESS_RW);
}

static int do_unprotect(void)
{
    return ept_unprotect(EPT, 0, 2 * 262144);
}

static int do_protect_large(void)
{
    return ept_protect(EPT, 0, 1024, EPT_ACCESS_NONE);
}

static int do_prepare(void)
{
    int error = ept_prepare(EPT, GIB + 5 * MIB + PAGE, 1);

    if (!error)
        ok(ept_protect(EPT, GIB + 5 * MIB + PAGE, 1, EPT_ACCESS_R));
    return error;
}

static int do_list(void)
{
    const uint64_t list[] = {PAGE,           GIB + 9 * PAGE, GIB + 5 * MIB, 3 * PAGE,
                             GIB + 50 * MIB, GIB + 9 * PAGE, 74 * PAGE,     40 * MIB};
    ept_slot slots[8];
    size_t bad;
    int error;

    ept_hold(EPT);
    error = ept_prepare_list(EPT, list, 8, slots, &bad);
    if (!error)
        ept_protect_list(EPT, list, slots, 8, EPT_ACCESS_RX);
    else
        ept_relax(EPT);
    ept_release(EPT);
    return error;
}

static int do_alias(void)
{
    return ept_alias(EPT, 2 * MIB - 20 * PAGE, 40, window + 100 * PAGE, EPT_ACCESS_RX);
}

static int do_unalias(void)
{
    int error = ept_unalias(EPT, window, 30);

    return error ? error : ept_unalias(EPT, window + 700 * PAGE, 30);
}

static int do_track(void)
{
    return ept_track(EPT, 5 * PAGE, 1500, true);
}

static int do_track_off(void)
{
    return ept_track(EPT, 0, 1100, false);
}

static int do_dirty(void)
{
    uint64_t buffer[40];
    uint64_t remaining;

    return ept_dirty(EPT, 0, 1100, buffer, 40, &remaining) == 40 ? EPT_OK : EPT_EINVAL;
}

static int do_fetch(void)
{
    switch (ept_fault(EPT, GIB + 3 * MIB, EPT_ACCESS_X)) {
    case EPT_FAULT_NOMEM: return EPT_ENOMEM;
    case EPT_FAULT_RESOLVED:
    case EPT_FAULT_SPURIOUS: return EPT_OK;
    default: return EPT_EINVAL;
    }
}

static int do_reclaim(void)
{
    ept_reclaim(EPT);
    return EPT_OK;
}

static const struct scenario scenarios[] = {
    {"map", nothing, do_map, false},
    {"unmap", fragments, do_unmap, false},
    {"protect a page", ram, do_protect_page, false},
    {"protect a range", fragments, do_protect_range, false},
    {"protect a fragmented GiB", fragments, do_protect_gib, true},
    {"protect a fragmented GiB under aliases", aliases, do_protect_gib, true},
    {"protect what is mixed", fragments, do_protect_mixed, false},
    {"protect what is tracked", written, do_protect_mixed, false},
    {"unprotect everything", fragments, do_unprotect, true},
    {"unprotect what is tracked", written, do_unprotect, true},
    {"protect what waits", waiting, do_protect_large, true},
    {"prepare", fragments, do_prepare, false},
    {"list", fragments, do_list, false},
    {"alias", fragments, do_alias, false},
    {"alias what is tracked", written, do_alias, false},
    {"unalias", aliases, do_unalias, true},
    {"unalias what is tracked", written, do_unalias, true},
    {"track", aliases, do_track, false},
    {"end tracking", written, do_track_off, true},
    {"dirty", written, do_dirty, true},
    {"fetch", fragments, do_fetch, false},
    {"reclaim", waiting, do_reclaim, true},
};

static const struct ept_features feature_sets[] = {
    {true, true, true, true, false, false}, {true, true, false, false, false, false},
    {true, true, true, true, true, false},  {true, false, false, true, true, false},
    {true, true, true, true, false, true},  {true, true, true, true, true, true},
};

static uint8_t *old_memory;
static uint8_t *memory;

/* What the rights are, but for execution where huge pages do not have it: a split gives it early.
 */
static unsigned rights_of(const struct walk *walk)
{
    return walk->rights & (EPT->features.nx_huge ? ~(unsigned)EPT_ACCESS_X : ~0u);
}

static bool same(const struct walk *a, const struct walk *b)
{
    return rights_of(a) == rights_of(b) &&
           (!a->rights || !b->rights || (a->hpa == b->hpa && a->memtype == b->memtype)) &&
           ((a->entry ^ b->entry) & (ENTRY_ACCESS & ~ENTRY_R)) == 0;
}

static void check_step(uint64_t first, uint64_t pages)
{
    for (uint64_t page = first; page < first + pages; page++) {
        struct walk now = world_walk(memory, page * PAGE);
        struct walk before = world_walk(old_memory, page * PAGE);
        struct walk after = world_walk(world_memory(), page * PAGE);

        if (!same(&now, &before) && !same(&now, &after))
            fail_msg("page %lx has rights %x at level %u on the way from %x to %x",
                     (unsigned long)page, now.rights, now.level, before.rights, after.rights);
    }
}

static uint64_t entry_at(uint64_t table, uint64_t index)
{
    uint64_t entry;

    memcpy(&entry, memory + (table - WORLD_PHYS_BASE) + index * 8, 8);
    return entry;
}

static bool is_table(uint64_t entry)
{
    return (entry & 7) && !(entry & ENTRY_LEAF);
}

/* Check the pages that a store can have changed: those below its entry, if a CPU can reach it. */
static void check_store(uint64_t at)
{
    uint64_t table = at & ~0xfffull;
    uint64_t index = (at & 0xfff) / 8;
    uint64_t pdpt = entry_at(EPT->root, 0) & ENTRY_ADDRESS;

    if (table == pdpt) {
        check_step(index * PAGES_1G, index < LIMIT_GIB ? PAGES_1G : 0);
        return;
    }
    for (uint64_t gib = 0; gib < LIMIT_GIB; gib++) {
        uint64_t dir = entry_at(pdpt, gib);

        if (!is_table(dir))
            continue;
        if ((dir & ENTRY_ADDRESS) == table) {
            check_step(gib * PAGES_1G + index * PAGES_2M, PAGES_2M);
            return;
        }
        for (uint64_t i = 0; i < EPT_ENTRIES; i++) {
            uint64_t entry = entry_at(dir & ENTRY_ADDRESS, i);

            if (is_table(entry) && (entry & ENTRY_ADDRESS) == table) {
                check_step(gib * PAGES_1G + i * PAGES_2M + index, 1);
                return;
            }
        }
    }
}

static void test_replay(void **state)
{
    (void)state;
    old_memory = malloc(MEMORY_BYTES);
    memory = malloc(MEMORY_BYTES);
    for (size_t f = 0; f < sizeof(feature_sets) / sizeof(feature_sets[0]); f++) {
        for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
            world_open(&feature_sets[f], LIMIT_GIB * GIB);
            scenarios[i].setup();
            world_flush();
            world_snapshot(old_memory);
            memcpy(memory, old_memory, MEMORY_BYTES);
            world->recording = true;
            world->store_count = 0;
            ok(scenarios[i].operate());
            world->recording = false;
            world_check_owed();
            for (size_t k = 0; k < world->store_count; k++) {
                const struct store *store = &world->stores[k];

                memcpy(memory + (store->at - WORLD_PHYS_BASE), &store->entry, 8);
                check_store(store->at);
            }
            world_close();
        }
    }
    free(memory);
    free(old_memory);
}

enum {
    SEEN = 8192
};

/* What can be seen of a page: all but where and how its entry is kept. */
struct seen {
    uint64_t hpa;
    uint64_t flags;
};

/* The first pages, a few of each 2 MiB part after that, and the alias window. */
static uint64_t seen_page(unsigned i)
{
    if (i < 2048)
        return i;
    if (i < 4096)
        return window / PAGE + (i - 2048);
    return (uint64_t)(i - 4096) * 191 + i % 7;
}

static void look(struct seen *seen)
{
    for (unsigned i = 0; i < SEEN; i++) {
        struct ept_translation t;

        ept_lookup(EPT, seen_page(i) * PAGE, &t);
        seen[i] = (struct seen){
            t.hpa,
            t.access | t.full << 4 | (uint64_t)t.tracked << 8 | (uint64_t)t.aliased << 9 |
                (uint64_t)t.alias << 10 | (uint64_t)(t.level != 0) << 11 |
                (t.tracked ? t.entry & ENTRY_D : 0) << 12,
        };
    }
}

/* Run a scenario with the given allocation, or it and all later ones, failing; false when none did.
 */
static bool fail_one(const struct ept_features *features, const struct scenario *scenario,
                     uint64_t at, bool on)
{
    static struct seen before[SEEN];
    static struct seen after[SEEN];
    bool failed;
    int error;

    world_open(features, LIMIT_GIB * GIB);
    scenario->setup();
    world_flush();
    ept_cache_drop(EPT);
    look(before);
    world->allocations = 0;
    world->failures = 0;
    world->fail_at = at;
    world->fail_on = on;
    error = scenario->operate();
    failed = world->failures != 0;
    world_check_owed();
    if (error) {
        assert_int_equal(error, EPT_ENOMEM);
        assert_true(failed);
        look(after);
        assert_memory_equal(before, after, sizeof(before));
    }
    if (scenario->no_memory)
        assert_int_equal(world->allocations, 0);
    /* It can be done afterwards. */
    world->fail_at = 0;
    world->fail_on = false;
    world_flush();
    ept_reclaim(EPT);
    world_check_bookkeeping();
    if (error)
        ok(scenario->operate());
    world_close();
    return failed;
}

static void test_out_of_memory(void **state)
{
    uint64_t failures = 0;

    (void)state;
    for (size_t f = 0; f < sizeof(feature_sets) / sizeof(feature_sets[0]); f++) {
        for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
            for (unsigned on = 0; on < 2; on++) {
                uint64_t at = 1;

                while (fail_one(&feature_sets[f], &scenarios[i], at, on))
                    at++;
                failures += at - 1;
            }
        }
    }
    print_message("%lu failed allocations\n", (unsigned long)failures);
    assert_true(failures > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
