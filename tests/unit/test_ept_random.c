/*
 * Random operations on an EPT and on a flat model of its pages: results, translations, dirty pages
 * and flushes must agree. A model of a CPU's translation caches is filled before each operation and
 * emptied only by a flush: what it holds must be true as long as none is owed.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ept/fast.h"
#include "ept_model.h"
#include "ept_views.h"

enum {
    SEED = 20240607,
    OPERATIONS = 130000,     /* a set of features */
    VIEW_OPERATIONS = 16000, /* and those with views */
    LIVES = 25,
    MODEL_PAGES = 3 * PAGES_1G,
    WINDOW = 1000, /* aliases lie in so many pages at either end of the alias window */
    LIST_MAX = 48,
};

static bool tidy; /* whole 2 MiB parts */

/* A CPU accesses a page: the fault handler's decision must be the model's. */
static void cpu_access(uint64_t page, unsigned access)
{
    uint64_t failures = world->failures;
    struct walk walk = world_walk(world_memory(), page * PAGE);
    enum ept_fault fault = EPT_FAULT_SPURIOUS;

    op_first = page;
    op_end = page + 1;
    if (ept_fast_denied(EPT, page * PAGE, access))
        assert_true(model[page].mapped && (access & ~model[page].access));
    if (access & ~walk.rights || chance(5))
        fault = ept_fault(EPT, page * PAGE + below(PAGE), access);
    switch (fault) {
    case EPT_FAULT_SPURIOUS:
    case EPT_FAULT_RESOLVED:
        assert_true(model[page].mapped);
        assert_false(access & ~model[page].access);
        assert_int_equal(fault == EPT_FAULT_RESOLVED, (access & ~walk.rights) != 0);
        break;
    case EPT_FAULT_DENIED:
        assert_true(model[page].mapped);
        assert_true(access & ~model[page].access);
        return;
    case EPT_FAULT_UNMAPPED: assert_false(model[page].mapped); return;
    case EPT_FAULT_NOMEM: assert_true(world->failures > failures); return;
    }
    walk = world_walk(world_memory(), page * PAGE);
    assert_false(access & ~walk.rights);
    if ((access & EPT_ACCESS_W) && model[page].tracked)
        model[primary_of(page)].dirty = 1;
    log_access(page, &walk, access & EPT_ACCESS_W);
}

static void set_access(uint64_t first, uint64_t pages, unsigned access)
{
    for (uint64_t i = first; i < first + pages; i++)
        model[i].access = model[i].full & access;
}

static void op_range(uint64_t *first, uint64_t *pages)
{
    *first = tidy ? centre & ~(uint64_t)(PAGES_2M - 1) : random_page();
    *pages = tidy ? PAGES_2M : random_pages();
    op_first = *first;
    op_end = *first + *pages < shape->limit ? *first + *pages : shape->limit;
}

static void fill_around(void)
{
    for (unsigned i = 0; i < 6; i++)
        tlb_fill(op_first + below(op_end - op_first));
    tlb_fill(op_first);
    tlb_fill(op_end - 1);
    tlb_fill(op_end % shape->limit);
    tlb_fill((op_first + shape->limit - 1) % shape->limit);
    tlb_fill(random_page());
    tlb_fill(below(shape->limit));
}

static bool fast_protect(uint64_t page, unsigned access, bool raise)
{
    struct ept_translation before;
    bool cached;

    ept_lookup(EPT, page * PAGE, &before);
    if (!raise) {
        if (!ept_fast_lower(EPT, page * PAGE, access))
            return false;
        EPT->flush_owed = true;
        return true;
    }
    if (!ept_fast_raise(EPT, page * PAGE, &cached))
        return false;
    assert_int_equal(cached, before.hardware != 0);
    return true;
}

static void op_protect(bool raise)
{
    uint64_t failures = world->failures;
    unsigned access = raise ? EPT_ACCESS_RWX : random_access();
    int expected = access_error(access);
    uint64_t first;
    uint64_t pages;
    int result;

    op_range(&first, &pages);
    fill_around();
    if (!expected)
        expected = range_error(first, pages);
    /* The short ways do the same, or nothing. */
    if (pages == 1 && access <= EPT_ACCESS_RWX && chance(30) &&
        fast_protect(first, access, raise)) {
        assert_int_equal(expected, EPT_OK);
        set_access(first, pages, access);
        if (!raise)
            EPT->flush_owed = true; /* which is left to the caller */
        return;
    }
    result = raise ? ept_unprotect(EPT, first * PAGE, pages)
                   : ept_protect(EPT, first * PAGE, pages, access);
    if (went(result, expected, failures))
        set_access(first, pages, access);
}

static void op_gib(void)
{
    uint64_t failures = world->failures;
    uint64_t gib = below(shape->limit / PAGES_1G);
    unsigned access = chance(50) ? EPT_ACCESS_RWX : EPT_ACCESS_R;
    uint64_t first = gib * PAGES_1G;

    op_first = first;
    op_end = first + PAGES_1G;
    fill_around();
    if (went(ept_protect(EPT, first * PAGE, PAGES_1G, access), range_error(first, PAGES_1G),
             failures))
        set_access(first, PAGES_1G, access);
}

static void one_call_of_another(void);

/*
 * Prepared ranges: protected, without any memory, or relaxed. Meanwhile other calls come in, and
 * none of them merges anything.
 */
static void op_prepare(void)
{
    static unsigned depth;
    uint64_t first[4];
    uint64_t pages[4];
    unsigned count = 1 + (unsigned)below(4);
    unsigned done;
    unsigned access = random_access();
    uint64_t budget = world->budget;
    bool give_up = chance(20);
    /* Views are watched as long as one operation lasts. */
    bool others = depth < 3 && !EPT->views && chance(50);
    uint64_t merges;
    int error = EPT_OK;

    depth++;
    ept_hold(EPT);
    merges = EPT->stats.merges;
    if (access_error(access))
        access = EPT_ACCESS_NONE;
    for (done = 0; done < count && !error; done++) {
        uint64_t failures = world->failures;

        op_range(&first[done], &pages[done]);
        fill_around();
        error = ept_prepare(EPT, first[done] * PAGE, pages[done]);
        went(error, range_error(first[done], pages[done]), failures);
    }
    if (error)
        done--;
    if (!EPT->flush_owed)
        tlb_check();
    for (unsigned i = 0; others && i < 8; i++)
        one_call_of_another();
    world->budget = 0;
    if (error || give_up) {
        ept_relax(EPT);
        done = 0;
    }
    for (unsigned i = 0; i < done; i++) {
        assert_int_equal(ept_protect(EPT, first[i] * PAGE, pages[i], access), EPT_OK);
        set_access(first[i], pages[i], access);
    }
    world->budget = budget;
    ept_reclaim(EPT);
    assert_int_equal(EPT->stats.merges, merges);
    ept_release(EPT);
    depth--;
    if (!depth && chance(50))
        ept_reclaim(EPT);
}

static void op_list(void)
{
    uint64_t list[LIST_MAX];
    ept_slot slots[LIST_MAX];
    size_t count = 1 + below(LIST_MAX);
    uint64_t failures = world->failures;
    unsigned access = random_access();
    int expected = EPT_OK;
    size_t expected_bad = 0;
    size_t bad = 0;
    int error;

    if (access_error(access))
        access = EPT_ACCESS_NONE;
    for (size_t i = 0; i < count; i++) {
        uint64_t page = random_page();

        list[i] = page * PAGE;
        tlb_fill(page);
        op_first = page;
        op_end = page + 1;
        if (chance(1) && chance(50)) {
            list[i] += 1 + below(PAGE - 1);
            expected = expected ? expected : EPT_EINVAL;
        }
        if (!model[page].mapped)
            expected = expected ? expected : EPT_ENOENT;
        if (!expected)
            expected_bad = i + 1;
    }
    ept_hold(EPT);
    error = ept_prepare_list(EPT, list, count, slots, &bad);
    if (error == EPT_OK)
        ept_protect_list(EPT, list, slots, count, access);
    else
        ept_relax(EPT);
    ept_release(EPT);
    if (error == expected && error)
        assert_int_equal(bad, expected_bad);
    if (error == EPT_ENOMEM && world->failures > failures)
        return;
    assert_int_equal(error, expected);
    if (error)
        return;
    for (size_t i = 0; i < count; i++) {
        set_access(list[i] / PAGE, 1, access);
        check_page(list[i] / PAGE);
    }
}

static void op_alias(void)
{
    uint64_t failures = world->failures;
    uint64_t first = random_page();
    uint64_t alias = chance(90) ? shape->ram + below(WINDOW) : shape->limit - 1 - below(WINDOW);
    uint64_t pages = chance(80) ? 1 + below(3) : 1 + below(600);
    unsigned access = chance(90) ? 1 | (unsigned)below(8) : (unsigned)below(9);
    int expected = EPT_OK;

    if (alias < shape->ram + WINDOW && alias + pages > shape->ram + WINDOW)
        pages = 1;
    op_first = alias;
    op_end = alias + pages < shape->limit ? alias + pages : shape->limit;
    fill_around();
    tlb_fill(first);
    if (access_error(access) || !(access & 1))
        expected = EPT_EINVAL;
    else if (first + pages > shape->limit || alias + pages > shape->limit ||
             range_error(first, pages))
        expected = EPT_ENOENT;
    for (uint64_t i = 0; !expected && i < pages; i++) {
        if (model[first + i].primary != NO_PAGE || (access & ~model[first + i].full))
            expected = EPT_EINVAL;
    }
    for (uint64_t i = 0; !expected && i < pages; i++) {
        if (model[alias + i].mapped)
            expected = EPT_EEXIST;
    }
    if (!went(ept_alias(EPT, first * PAGE, pages, alias * PAGE, access), expected, failures))
        return;
    for (uint64_t i = 0; i < pages; i++) {
        struct page *page = &model[first + i];

        page->aliases++;
        model[alias + i] = (struct page){
            .host = page->host,
            .primary = (uint32_t)(first + i),
            .mapped = 1,
            .full = (uint8_t)access,
            .access = (uint8_t)access,
            .tracked = page->tracked,
        };
        assert_int_equal(ept_alias_count(EPT, (first + i) * PAGE), page->aliases);
    }
}

static void op_unalias(void)
{
    uint64_t failures = world->failures;
    uint64_t first = shape->ram + below(WINDOW);
    uint64_t pages = chance(70) ? 1 : 1 + below(40);
    int expected;

    if (chance(10))
        first = shape->limit - 1 - below(WINDOW);
    else if (chance(3))
        first = random_page();
    op_first = first;
    op_end = first + pages < shape->limit ? first + pages : shape->limit;
    fill_around();
    expected = range_error(first, pages);
    for (uint64_t i = 0; !expected && i < pages; i++) {
        if (model[first + i].primary == NO_PAGE)
            expected = EPT_EINVAL;
    }
    if (!went(ept_unalias(EPT, first * PAGE, pages), expected, failures))
        return;
    /* Several may have been of the same page. */
    for (uint64_t i = first; i < first + pages; i++)
        model[model[i].primary].aliases--;
    for (uint64_t i = first; i < first + pages; i++) {
        uint32_t primary = model[i].primary;

        model[i] = (struct page){.primary = NO_PAGE};
        assert_int_equal(ept_alias_count(EPT, (uint64_t)primary * PAGE), model[primary].aliases);
    }
}

static void op_track(bool on)
{
    uint64_t failures = world->failures;
    uint64_t first;
    uint64_t pages;
    int expected;
    int result;

    op_range(&first, &pages);
    fill_around();
    expected = range_error(first, pages);
    for (uint64_t i = 0; !expected && i < pages; i++) {
        if (model[first + i].primary != NO_PAGE)
            expected = EPT_EINVAL;
    }
    result = ept_track(EPT, first * PAGE, pages, on);
    if (result == EPT_ENOMEM && EPT->tracked_count + 1 >= EPT_TRACKED_MAX)
        return;
    if (!went(result, expected, failures))
        return;
    for (uint64_t i = first; i < first + pages; i++) {
        if (on && !model[i].tracked)
            model[i].dirty = 0;
        model[i].tracked = on;
    }
    for (uint64_t i = 0; i < WINDOW; i++) {
        struct page *low = &model[shape->ram + i];
        struct page *high = &model[shape->limit - 1 - i];

        if (low->mapped && low->primary != NO_PAGE)
            low->tracked = model[low->primary].tracked;
        if (high->mapped && high->primary != NO_PAGE)
            high->tracked = model[high->primary].tracked;
    }
}

static void op_dirty(void)
{
    static uint64_t buffer[4096];
    uint64_t capacity = chance(50) ? 4096 : below(20);
    uint64_t remaining = ~0ull;
    uint64_t count = 0;
    uint64_t first;
    uint64_t pages;
    bool tracked = true;
    int64_t result;

    op_range(&first, &pages);
    if (EPT->tracked_count && chance(60)) {
        struct ept_interval *one = &EPT->tracked[below(EPT->tracked_count)];

        first = one->first + below(chance(50) ? 1 : one->end - one->first);
        pages = 1 + below(one->end - first);
        op_first = first;
        op_end = first + pages;
    }
    if (first + pages > shape->limit)
        pages = shape->limit - first;
    for (uint64_t i = first; i < first + pages; i++) {
        if (!model[i].tracked || model[i].primary != NO_PAGE)
            tracked = false;
    }
    fill_around();
    log_drain(chance(60));
    result = ept_dirty(EPT, first * PAGE, pages, buffer, capacity, &remaining);
    if (!tracked) {
        assert_int_equal(result, EPT_EINVAL);
        return;
    }
    for (uint64_t i = first; i < first + pages; i++) {
        if (!model[i].dirty)
            continue;
        if (count < capacity) {
            assert_true((int64_t)count < result);
            assert_int_equal(buffer[count++], i * PAGE);
            model[i].dirty = 0;
        } else {
            remaining--;
        }
    }
    assert_int_equal(result, count);
    assert_int_equal(remaining, 0);
}

static void op_mark(void)
{
    uint64_t first = random_page();
    uint64_t offset = below(PAGE);
    uint64_t bytes = below(3 * PAGE);

    op_first = first;
    op_end = first + 1;
    fill_around();
    ept_mark_dirty(EPT, first * PAGE + offset, bytes);
    if (!bytes || first * PAGE + offset + bytes > shape->limit * PAGE)
        return;
    for (uint64_t i = first; i <= first + (offset + bytes - 1) / PAGE; i++) {
        if (model[i].tracked)
            model[primary_of(i)].dirty = 1;
    }
}

static void op_unmap_map(void)
{
    uint64_t failures = world->failures;
    uint64_t first;
    uint64_t pages;
    uint64_t host;
    unsigned full = 1 | (unsigned)below(8);
    int expected;

    op_range(&first, &pages);
    fill_around();
    expected = range_error(first, pages);
    for (uint64_t i = 0; !expected && i < pages; i++) {
        if (model[first + i].tracked || model[first + i].primary != NO_PAGE)
            expected = EPT_EINVAL;
    }
    for (uint64_t i = 0; !expected && i < pages; i++) {
        if (model[first + i].aliases)
            expected = EPT_EEXIST;
    }
    if (went(ept_unmap(EPT, first * PAGE, pages * PAGE), expected, failures)) {
        for (uint64_t i = first; i < first + pages; i++)
            model[i] = (struct page){.primary = NO_PAGE};
    }
    if (EPT->flush_owed)
        pay();
    /* Something else goes where it was; also next to it, or over it. */
    if (first >= shape->ram)
        return;
    if (chance(50)) {
        first = random_page();
        pages = random_pages();
    }
    if (chance(30)) {
        first &= ~(uint64_t)(PAGES_2M - 1);
        pages = PAGES_2M;
    }
    if (first + pages > shape->ram)
        return;
    op_first = first;
    op_end = first + pages;
    host = (chance(70) ? 1ull << 21 : (1ull << 21) + 1 + below(1000)) + first;
    failures = world->failures;
    expected = EPT_OK;
    for (uint64_t i = first; i < first + pages; i++) {
        if (model[i].mapped)
            expected = EPT_EEXIST;
    }
    fill_around();
    if (!went(ept_map(EPT, first * PAGE, host * PAGE, pages * PAGE, full, EPT_MEMTYPE_WB), expected,
              failures))
        return;
    for (uint64_t i = 0; i < pages; i++)
        model[first + i] = (struct page){
            .host = host + i,
            .primary = NO_PAGE,
            .mapped = 1,
            .full = (uint8_t)full,
            .access = (uint8_t)full,
        };
}

static void op_allows(void)
{
    uint64_t first = random_page();
    uint64_t offset = below(PAGE);
    uint64_t bytes = 1 + below(4 * PAGE);
    unsigned access = 1 + (unsigned)below(7);
    bool expected = first * PAGE + offset + bytes <= shape->limit * PAGE;

    for (uint64_t i = first; expected && i <= first + (offset + bytes - 1) / PAGE; i++)
        expected = model[i].mapped && !(access & ~model[i].access);
    assert_int_equal(ept_allows(EPT, first * PAGE + offset, bytes, access), expected);
}

/* Leave nothing that hinders the merging of some table, but aliases. */
static void op_tidy(void)
{
    tidy = true;
    op_track(false);
    op_protect(true);
    tidy = false;
}

/* What another vCPU may do between the slices of a PROTN, but unmap; it pays for what it did. */
static void one_call_of_another(void)
{
    switch (below(9)) {
    case 0:
    case 1: op_protect(false); break;
    case 2:
    case 3: op_protect(true); break;
    case 4: op_track(chance(50)); break;
    case 5: op_prepare(); break;
    case 6: op_list(); break;
    case 7: op_alias(); break;
    default: cpu_access(random_page(), 1 + (unsigned)below(7)); break;
    }
    check_around();
    if (EPT->flush_owed && chance(50))
        pay();
}

static void one_operation(void)
{
    unsigned kind = (unsigned)below(1000);

    if (views_operate())
        return;
    views_watch();
    if (shape->features.page_1g && kind < 1)
        op_gib();
    else if (kind < 20)
        op_tidy();
    else if (kind < 280)
        op_protect(false);
    else if (kind < 520)
        op_protect(true);
    else if (kind < 560)
        op_list();
    else if (kind < 610)
        op_prepare();
    else if (kind < 625)
        op_alias();
    else if (kind < 665)
        op_unalias();
    else if (kind < 670)
        op_track(true);
    else if (kind < 680)
        op_track(false);
    else if (kind < 740)
        op_dirty();
    else if (kind < 780)
        op_mark();
    else if (kind < 783)
        op_unmap_map();
    else if (kind < 820)
        op_allows();
    else if (kind < 822)
        ept_reclaim(EPT);
    else
        cpu_access(random_page(), 1 + (unsigned)below(7));
    views_watched();
}

/* A life of an EPT: made, all its RAM mapped, worked on, destroyed as it is. */
static void live(unsigned operations, unsigned views, struct ept_stats *stats)
{
    views_open(views);
    world_open(&shape->features, shape->limit * PAGE);
    log_open();
    tlb_empty();
    centre = 0;
    op_first = 0;
    op_end = 1;
    for (uint64_t i = 0; i < shape->limit; i++)
        model[i] = (struct page){.primary = NO_PAGE};
    assert_int_equal(
        ept_map(EPT, 0, (1ull << 21) * PAGE, shape->ram * PAGE, EPT_ACCESS_RWX, EPT_MEMTYPE_WB),
        EPT_OK);
    for (uint64_t i = 0; i < shape->ram; i++) {
        model[i].host = (1ull << 21) + i;
        model[i].mapped = 1;
        model[i].full = model[i].access = EPT_ACCESS_RWX;
    }
    for (unsigned i = 0; i < operations; i++) {
        if (i % 512 == 0)
            world->budget = chance(30) ? world->in_use + below(6) : WORLD_PAGES;
        one_operation();
        check_around();
        views_check();
        world_check_owed();
        /* Now and then the flush is paid late. No CPU runs in the guest until then. */
        if (!EPT->flush_owed)
            tlb_check();
        else if (chance(90))
            pay();
        if (i % 8 == 0 && !EPT->flush_owed)
            tlb_empty();
        if (i % 512 == 0)
            world_check_bookkeeping();
    }
    pay();
    for (uint64_t i = 0; i<shape->limit; i += shape->limit> PAGES_1G ? 1 + below(50) : 1)
        check_page(i);
    views_check_all(shape->limit > PAGES_1G ? 1 + below(50) : 1);
    world_check_bookkeeping();
    stats->splits += EPT->stats.splits;
    stats->merges += EPT->stats.merges;
    stats->tables += world->failures;
    views_close();
    log_close();
    world_close();
}

static void run(const struct shape *with, unsigned operations, unsigned views)
{
    struct ept_stats stats = {0};

    shape = with;
    for (unsigned i = 0; i < LIVES; i++)
        live(operations / LIVES, views, &stats);
    print_message("%s, %u views: %lu splits, %lu merges, %lu allocations failed\n", shape->name,
                  views, (unsigned long)stats.splits, (unsigned long)stats.merges,
                  (unsigned long)stats.tables);
    assert_true(views || !shape->features.page_2m || stats.merges > 50);
}

static void test_random(void **state)
{
    static const struct shape shapes[] = {
        {{true, false, true, true, false, false}, 4096, 8192, "2 MiB, dirty flags"},
        {{true, false, false, true, false, false}, 4096, 8192, "2 MiB, no dirty flags"},
        {{false, false, true, false, false, false}, 2048, 4096, "4 KiB only, no execute-only"},
        {{true, false, true, true, true, false}, 4096, 8192, "2 MiB, huge pages not executable"},
        {{true, true, true, true, false, false}, 2 * PAGES_1G, 3 * PAGES_1G, "1 GiB, dirty flags"},
        {{true, true, false, true, true, false},
         2 * PAGES_1G,
         3 * PAGES_1G,
         "1 GiB, no dirty flags, huge pages not executable"},
        {{true, false, true, true, false, false}, 16 * 1024 + 77, 32 * 1024, "2 MiB, an odd end"},
        {{true, false, false, false, true, false}, 1024, 4096, "2 MiB, little of everything"},
        {{true, false, true, true, false, true}, 4096, 8192, "2 MiB, #VE"},
        {{true, true, true, true, true, true},
         2 * PAGES_1G,
         3 * PAGES_1G,
         "1 GiB, #VE, huge pages not executable"},
        {{true, false, false, true, true, true}, 4096, 8192, "#VE asked for without dirty flags"},
    };
    const char *seed = getenv("SEED");
    uint64_t number = seed ? strtoull(seed, NULL, 0) : SEED;

    (void)state;
    print_message("seed %lu, %lu operations\n", (unsigned long)number,
                  (unsigned long)(OPERATIONS * sizeof(shapes) / sizeof(shapes[0])));
    world_seed(number);
    model = malloc(MODEL_PAGES * sizeof(*model));
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        run(&shapes[i], OPERATIONS, 0);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        run(&shapes[i], VIEW_OPERATIONS, VIEWS_MAX);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
