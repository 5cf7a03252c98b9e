/*
 * Random operations on an EPT and on a flat model of its pages: results, translations, dirty pages
 * and flushes must agree. A model of a CPU's translation caches is filled before each operation and
 * emptied only by a flush: what it holds must be true as long as none is owed.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ept_world.h"

#define NO_PAGE UINT32_MAX

enum {
    SEED = 20240607,
    OPERATIONS = 130000, /* a set of features */
    LIVES = 25,
    MODEL_PAGES = 3 * PAGES_1G,
    TLB_MAX = 64,
    WINDOW = 1000, /* aliases lie in so many pages at either end of the alias window */
    LIST_MAX = 48,
};

struct page {
    uint64_t host;    /* page number */
    uint32_t primary; /* of an alias: its page; else NO_PAGE */
    uint32_t aliases;
    uint8_t mapped;
    uint8_t full;
    uint8_t access;
    uint8_t tracked;
    uint8_t dirty;
};

struct cached {
    uint64_t page;
    struct walk walk;
};

/* Where the operations happen: small spaces full of edges, or a few GiB with islands in them. */
struct shape {
    struct ept_features features;
    uint64_t ram;   /* pages */
    uint64_t limit; /* pages */
    const char *name;
};

static struct page *model;
static const struct shape *shape;
static struct cached tlb[TLB_MAX];
static unsigned tlb_count;
static uint64_t tlb_flushes; /* world->flushes when it was emptied */
static uint64_t centre;      /* operations keep to its neighbourhood for a while */
static bool tidy;            /* whole 2 MiB parts */
static uint64_t op_first;
static uint64_t op_end;

#define EPT (&world->ept)

static uint64_t below(uint64_t n)
{
    return world_random() % n;
}

static bool chance(unsigned percent)
{
    return below(100) < percent;
}

static uint64_t random_page(void)
{
    uint64_t page;

    if (chance(2))
        centre = below(chance(90) ? shape->ram : shape->limit);
    switch (below(8)) {
    case 0: page = below(shape->limit); break;
    case 1: page = centre & ~(uint64_t)(PAGES_2M - 1); break;
    case 2: page = (centre | (PAGES_2M - 1)) + below(3); break;
    default: page = centre + below(40); break;
    }
    return page % shape->limit;
}

static uint64_t random_pages(void)
{
    switch (below(16)) {
    case 0: return PAGES_2M;
    case 1: return PAGES_2M * (1 + below(3));
    case 2: return 1 + below(1200);
    case 3:
    case 4: return 1 + below(100);
    case 5:
    case 6:
    case 7: return 1 + below(12);
    default: return 1;
    }
}

static unsigned random_access(void)
{
    static const unsigned likely[] = {0, 0, 1, 1, 3, 5, 7, 4};

    return chance(3) ? (unsigned)below(10) : likely[below(8)];
}

static int access_error(unsigned access)
{
    if (access > 7 || (access & 3) == 2)
        return EPT_EINVAL;
    return access == 4 && !shape->features.exec_only ? EPT_EOPNOTSUPP : EPT_OK;
}

static int range_error(uint64_t first, uint64_t pages)
{
    if (first + pages > shape->limit)
        return EPT_ENOENT;
    for (uint64_t i = first; i < first + pages; i++) {
        if (!model[i].mapped)
            return EPT_ENOENT;
    }
    return EPT_OK;
}

/* Whether a call's result is what the model says, or it ran out of memory that was denied to it. */
static bool went(int64_t result, int64_t expected, uint64_t failures)
{
    if (result == EPT_ENOMEM && expected == EPT_OK && world->failures > failures)
        return false;
    if (result != expected)
        fail_msg("result %ld, expected %ld", (long)result, (long)expected);
    return expected == EPT_OK;
}

static uint32_t primary_of(uint64_t page)
{
    return model[page].primary == NO_PAGE ? (uint32_t)page : model[page].primary;
}

static void check_page(uint64_t page)
{
    const struct page *want = &model[page];
    struct ept_translation t;
    struct walk walk = world_walk(world_memory(), page * PAGE);
    int error = ept_lookup(EPT, page * PAGE + 5, &t);

    assert_int_equal(error, want->mapped ? EPT_OK : EPT_ENOENT);
    if (!want->mapped) {
        assert_int_equal(walk.rights, 0);
        return;
    }
    assert_int_equal(t.hpa, want->host * PAGE + 5);
    assert_int_equal(t.access, want->access);
    assert_int_equal(t.full, want->full);
    assert_int_equal(t.alias, want->primary != NO_PAGE);
    assert_int_equal(t.aliased, want->aliases != 0);
    assert_int_equal(t.tracked, want->tracked);
    /* The hardware never allows more, and less only for a reason. */
    assert_int_equal(walk.rights, t.hardware);
    assert_int_equal(walk.rights & ~want->access, 0);
    if (want->access & ~walk.rights & EPT_ACCESS_W)
        assert_true(want->tracked && !shape->features.accessed_dirty);
    if (want->access & ~walk.rights & EPT_ACCESS_X)
        assert_true(shape->features.nx_huge && t.level > 1);
    assert_false(want->access & ~walk.rights & EPT_ACCESS_R);
    if (walk.rights)
        assert_int_equal(walk.hpa, want->host * PAGE);
}

static void check_around(void)
{
    check_page(op_first);
    check_page((op_first + shape->limit - 1) % shape->limit);
    check_page((op_end + shape->limit - 1) % shape->limit);
    check_page(op_end % shape->limit);
    check_page(op_first + below(op_end - op_first));
    check_page(below(shape->limit));
}

/* The CPU's caches. */

static void tlb_empty(void)
{
    tlb_count = 0;
    tlb_flushes = world->flushes;
}

static void tlb_fill(uint64_t page)
{
    struct cached *one;
    struct walk walk = world_walk(world_memory(), page * PAGE);

    if (world->flushes != tlb_flushes)
        tlb_empty();
    if (!walk.rights || tlb_count == TLB_MAX)
        return;
    one = &tlb[tlb_count++];
    *one = (struct cached){page, walk};
}

/* A dirty flag is cached by the write that finds it set. */
static void tlb_check(void)
{
    if (world->flushes != tlb_flushes)
        tlb_empty();
    for (unsigned i = 0; i < tlb_count; i++) {
        const struct walk *was = &tlb[i].walk;
        struct walk now = world_walk(world_memory(), tlb[i].page * PAGE);

        if ((was->rights & ~now.rights) || was->hpa != now.hpa || was->level != now.level ||
            memcmp(was->tables, now.tables, sizeof(was->tables)))
            fail_msg("page %lx is cached with what is no more true, and no flush is owed",
                     (unsigned long)tlb[i].page);
        if (shape->features.accessed_dirty && (was->entry & ENTRY_D & ~now.entry))
            fail_msg("page %lx is cached as dirty, and no flush is owed",
                     (unsigned long)tlb[i].page);
    }
}

static void pay(void)
{
    world_flush();
    tlb_empty();
}

/* A CPU accesses a page: the fault handler's decision must be the model's. */
static void cpu_access(uint64_t page, unsigned access)
{
    uint64_t failures = world->failures;
    struct walk walk = world_walk(world_memory(), page * PAGE);
    enum ept_fault fault = EPT_FAULT_SPURIOUS;

    op_first = page;
    op_end = page + 1;
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
    if (shape->features.accessed_dirty)
        *(uint64_t *)(world_memory() + (walk.at - WORLD_PHYS_BASE)) |=
            ENTRY_A | (access & EPT_ACCESS_W ? ENTRY_D : 0);
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

/* Prepared ranges: protected, without any memory, or relaxed. */
static void op_prepare(void)
{
    uint64_t first[4];
    uint64_t pages[4];
    unsigned count = 1 + (unsigned)below(4);
    unsigned done;
    unsigned access = random_access();
    uint64_t budget = world->budget;
    bool give_up = chance(20);
    int error = EPT_OK;

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
    world->budget = 0;
    for (unsigned i = 0; i < done; i++) {
        if (error || give_up) {
            ept_relax(EPT, first[i] * PAGE, pages[i]);
            continue;
        }
        assert_int_equal(ept_protect(EPT, first[i] * PAGE, pages[i], access), EPT_OK);
        set_access(first[i], pages[i], access);
    }
    world->budget = budget;
    if (chance(50))
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
    error = ept_prepare_list(EPT, list, count, slots, &bad);
    if (error == expected && error)
        assert_int_equal(bad, expected_bad);
    if (error == EPT_ENOMEM && world->failures > failures)
        return;
    assert_int_equal(error, expected);
    if (error)
        return;
    ept_protect_list(EPT, list, slots, count, access);
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
    for (uint64_t i = first; i < first + pages; i++) {
        uint32_t primary = model[i].primary;

        model[primary].aliases--;
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
    if (first + pages > shape->limit)
        pages = shape->limit - first;
    for (uint64_t i = first; i < first + pages; i++) {
        if (!model[i].tracked || model[i].primary != NO_PAGE)
            tracked = false;
    }
    fill_around();
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

static void one_operation(void)
{
    unsigned kind = (unsigned)below(1000);

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
}

/* A life of an EPT: made, all its RAM mapped, worked on, destroyed as it is. */
static void live(unsigned operations, struct ept_stats *stats)
{
    world_open(&shape->features, shape->limit * PAGE);
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
        world_check_owed();
        /* Now and then the flush is paid late. No CPU runs in the guest until then. */
        if (!EPT->flush_owed)
            tlb_check();
        else if (chance(90))
            pay();
        if (tlb_count > TLB_MAX / 2 && !EPT->flush_owed)
            tlb_empty();
        if (i % 512 == 0)
            world_check_bookkeeping();
    }
    pay();
    for (uint64_t i = 0; i<shape->limit; i += shape->limit> PAGES_1G ? 1 + below(50) : 1)
        check_page(i);
    world_check_bookkeeping();
    stats->splits += EPT->stats.splits;
    stats->merges += EPT->stats.merges;
    stats->tables += world->failures;
    world_close();
}

static void run(const struct shape *with)
{
    struct ept_stats stats = {0};

    shape = with;
    for (unsigned i = 0; i < LIVES; i++)
        live(OPERATIONS / LIVES, &stats);
    print_message("%s: %lu splits, %lu merges, %lu allocations failed\n", shape->name,
                  (unsigned long)stats.splits, (unsigned long)stats.merges,
                  (unsigned long)stats.tables);
    assert_true(!shape->features.page_2m || stats.merges > 50);
}

static void test_random(void **state)
{
    static const struct shape shapes[] = {
        {{true, false, true, true, false}, 4096, 8192, "2 MiB, dirty flags"},
        {{true, false, false, true, false}, 4096, 8192, "2 MiB, no dirty flags"},
        {{false, false, true, false, false}, 2048, 4096, "4 KiB only, no execute-only"},
        {{true, false, true, true, true}, 4096, 8192, "2 MiB, huge pages not executable"},
        {{true, true, true, true, false}, 2 * PAGES_1G, 3 * PAGES_1G, "1 GiB, dirty flags"},
        {{true, true, false, true, true},
         2 * PAGES_1G,
         3 * PAGES_1G,
         "1 GiB, no dirty flags, huge pages not executable"},
        {{true, false, true, true, false}, 16 * 1024 + 77, 32 * 1024, "2 MiB, an odd end"},
        {{true, false, false, false, true}, 1024, 4096, "2 MiB, little of everything"},
    };
    const char *seed = getenv("SEED");
    uint64_t number = seed ? strtoull(seed, NULL, 0) : SEED;

    (void)state;
    print_message("seed %lu, %lu operations\n", (unsigned long)number,
                  (unsigned long)(OPERATIONS * sizeof(shapes) / sizeof(shapes[0])));
    world_seed(number);
    model = malloc(MODEL_PAGES * sizeof(*model));
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        run(&shapes[i]);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
