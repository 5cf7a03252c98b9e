#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ept/view.h"
#include "ept_views.h"

enum {
    CACHED_MAX = 96,
    SAMPLES = 4,
    LIST = 12,
    ALL = 512, /* GiB that the tables span */
};

struct one {
    struct ept_view view;
    bool open;
    uint8_t *restriction; /* by page below the limit */
    uint8_t beyond;       /* of what the tables span beyond it */
};

struct cached {
    struct one *one;
    uint64_t page;
    struct walk walk;
};

/* A page in a view while an operation goes on. */
struct sample {
    struct one *one;
    uint64_t page;
    unsigned before; /* what was allowed when it began */
    unsigned seen;   /* what the CPU would have been told at any time since */
    uint64_t host;
};

static struct one views[VIEWS_MAX];
static unsigned views_max;
static struct cached cached[CACHED_MAX];
static unsigned cached_count;
static struct sample samples[VIEWS_MAX * SAMPLES];
static unsigned sample_count;

static struct walk walk_in(const struct one *one, uint64_t page)
{
    return world_walk_from(world_memory(), one->view.root, page * PAGE);
}

static unsigned allowed(const struct one *one, uint64_t page)
{
    return model[page].mapped ? model[page].access & one->restriction[page] : 0;
}

/* Whether the two can be told apart: what a page, or the part of a table, is restricted to. */
static bool same(const struct one *one, uint64_t first, uint64_t pages)
{
    unsigned value = first < shape->limit ? one->restriction[first] : one->beyond;
    uint64_t end = first + pages;

    if (end > shape->limit && value != one->beyond)
        return false;
    end = end < shape->limit ? end : shape->limit;
    for (uint64_t page = first; page < end; page++) {
        if (one->restriction[page] != value)
            return false;
    }
    return true;
}

/* The tables that a view cannot do without. */
static uint64_t tables_of(const struct one *one)
{
    uint64_t tables = 1;

    if (same(one, 0, (uint64_t)ALL * PAGES_1G))
        return tables;
    tables++;
    for (uint64_t page = 0; page < shape->limit; page += PAGES_1G) {
        if (same(one, page, PAGES_1G))
            continue;
        tables++;
        for (uint64_t part = page; part < page + PAGES_1G && part < shape->limit; part += PAGES_2M)
            tables += !same(one, part, PAGES_2M);
    }
    return tables;
}

static void check_memory(void)
{
    uint64_t least = 0;

    for (unsigned i = 0; i < views_max; i++)
        least += views[i].open ? tables_of(&views[i]) : 0;
    assert_in_range(EPT->stats.view_tables, least, least + 3 * EPT->view_queue_count);
    assert_in_range(EPT->view_queue_count, 0, EPT_QUEUE_MAX);
}

static void check_in(const struct one *one, uint64_t page)
{
    const struct page *want = &model[page];
    bool converting = shape->features.ve && shape->features.accessed_dirty;
    struct ept_view_translation t;
    struct walk walk = walk_in(one, page);
    int error = ept_view_lookup(&one->view, page * PAGE + 7, &t);
    unsigned access = allowed(one, page);

    assert_int_equal(t.restriction, one->restriction[page]);
    assert_int_equal(error, want->mapped ? EPT_OK : EPT_ENOENT);
    assert_int_equal(ept_view_allows(&one->view, page * PAGE, 1, EPT_ACCESS_R),
                     access & EPT_ACCESS_R);
    if (!want->mapped) {
        assert_int_equal(walk.rights, 0);
        return;
    }
    assert_int_equal(t.access, access);
    assert_int_equal(t.hardware, walk.rights);
    assert_int_equal(walk.rights & ~access, 0);
    if (access & ~walk.rights & EPT_ACCESS_W)
        assert_true(want->tracked && !shape->features.accessed_dirty);
    if (access & ~walk.rights & EPT_ACCESS_X)
        assert_true(shape->features.nx_huge && walk.level > 1);
    assert_false(access & ~walk.rights & EPT_ACCESS_R);
    if (walk.rights) {
        assert_int_equal(walk.hpa, want->host * PAGE);
        assert_int_equal(walk.memtype, EPT_MEMTYPE_WB);
    }
    /* The entry that ends the walk decides about #VE; a shared leaf knows only its own EPT's. */
    assert_int_equal(t.converts, !(walk.entry >> 63));
    if (!converting || (access == want->full && walk.rights == access))
        assert_true(!t.converts || t.shared);
    else if (walk.rights == access && (!t.shared || !one->restriction[page]))
        assert_true(t.converts);
    if (!converting || walk.rights != access)
        assert_false(t.converts);
}

static void check_everywhere(uint64_t page)
{
    for (unsigned i = 0; i < views_max; i++) {
        if (views[i].open)
            check_in(&views[i], page);
    }
}

void views_check(void)
{
    static unsigned turn;

    if (!views_max)
        return;
    check_everywhere(op_first % shape->limit);
    check_everywhere((op_first + shape->limit - 1) % shape->limit);
    check_everywhere((op_end + shape->limit - 1) % shape->limit);
    check_everywhere(op_end % shape->limit);
    check_everywhere((op_first + below(op_end - op_first)) % shape->limit);
    check_everywhere(random_page());
    if (turn++ % (shape->limit > PAGES_1G ? 4096 : 64) == 0)
        check_memory();
}

void views_check_all(uint64_t step)
{
    for (uint64_t page = 0; views_max && page < shape->limit; page += step)
        check_everywhere(page);
    check_memory();
}

static void see(struct world *w)
{
    (void)w;
    for (unsigned i = 0; i < sample_count; i++) {
        struct sample *s = &samples[i];
        struct walk walk;

        if (!s->one->view.ept)
            continue;
        walk = walk_in(s->one, s->page);
        s->seen |= walk.rights;
        if (walk.rights && model[s->page].mapped && s->before)
            s->host = walk.hpa / PAGE;
    }
}

void views_watch(void)
{
    sample_count = 0;
    if (!views_max || !chance(2))
        return;
    for (unsigned i = 0; i < views_max; i++) {
        for (unsigned k = 0; views[i].open && k < SAMPLES; k++) {
            uint64_t page = k ? centre + below(64) : random_page();

            page %= shape->limit;
            samples[sample_count++] =
                (struct sample){&views[i], page, allowed(&views[i], page), 0, model[page].host};
        }
    }
    world->after = see;
}

void views_watched(void)
{
    world->after = NULL;
    for (unsigned i = 0; i < sample_count; i++) {
        const struct sample *s = &samples[i];

        if (!s->one->open)
            continue;
        if (s->seen & ~(s->before | allowed(s->one, s->page)))
            fail_msg("page %lx was allowed more for a moment than before and after",
                     (unsigned long)s->page);
        if (s->before && model[s->page].mapped)
            assert_int_equal(s->host, model[s->page].host);
    }
    sample_count = 0;
}

void views_tlb_empty(void)
{
    cached_count = 0;
}

void views_tlb_fill(uint64_t page)
{
    struct one *one;
    struct walk walk;

    if (!views_max || cached_count == CACHED_MAX)
        return;
    one = &views[below(views_max)];
    if (!one->open)
        return;
    walk = walk_in(one, page);
    if (walk.rights)
        cached[cached_count++] = (struct cached){one, page, walk};
}

void views_tlb_check(void)
{
    for (unsigned i = 0; i < cached_count; i++) {
        const struct cached *c = &cached[i];
        struct walk now;

        if (!c->one->open)
            fail_msg("a view is gone, and no flush is owed");
        now = walk_in(c->one, c->page);
        if ((c->walk.rights & ~now.rights) || c->walk.hpa != now.hpa ||
            c->walk.level != now.level || memcmp(c->walk.tables, now.tables, sizeof(now.tables)))
            fail_msg("page %lx is cached in a view with what is no more true, and no flush is owed",
                     (unsigned long)c->page);
        if (shape->features.accessed_dirty && model[c->page].tracked &&
            (c->walk.entry & ENTRY_D & ~now.entry))
            fail_msg("page %lx is cached as dirty in a view, and no flush is owed",
                     (unsigned long)c->page);
    }
}

static void create(struct one *one)
{
    uint64_t failures = world->failures;
    int error = ept_view_create(EPT, &one->view);

    if (error) {
        assert_int_equal(error, EPT_ENOMEM);
        assert_true(world->failures > failures);
        return;
    }
    one->open = true;
    one->beyond = EPT_ACCESS_RWX;
    memset(one->restriction, EPT_ACCESS_RWX, shape->limit);
}

static void destroy(struct one *one)
{
    ept_view_destroy(&one->view);
    assert_null(one->view.ept);
    one->open = false;
    world->must_owe = true; /* CPUs may have cached what was under its EPTP */
}

static void set(struct one *one, uint64_t first, uint64_t pages, unsigned access)
{
    memset(one->restriction + first, (int)access, pages);
    if (first + pages == shape->limit)
        one->beyond = (uint8_t)access;
}

/* Any range below the limit, mapped or not. */
static void any_range(uint64_t *first, uint64_t *pages)
{
    *first = random_page();
    *pages = random_pages();
    switch (below(40)) {
    case 0:
        *first = 0;
        *pages = shape->limit;
        break;
    case 1: *pages = shape->limit - *first; break;
    case 2: *first = 0; break;
    case 3:
    case 4:
        *first &= ~(uint64_t)(PAGES_2M - 1);
        *pages = PAGES_2M;
        break;
    case 5:
        *first = centre & ~(uint64_t)(PAGES_1G - 1);
        *pages = PAGES_1G;
        break;
    default: break;
    }
    op_first = *first;
    op_end = *first + *pages < shape->limit ? *first + *pages : shape->limit;
    for (unsigned i = 0; i < 6; i++)
        views_tlb_fill(op_first + below(op_end - op_first));
    views_tlb_fill(op_end % shape->limit);
    views_tlb_fill(random_page());
}

static int expected(uint64_t first, uint64_t pages, unsigned access)
{
    int error = access_error(access);

    if (error)
        return error;
    return first + pages > shape->limit ? EPT_ENOENT : EPT_OK;
}

static void protect(struct one *one)
{
    uint64_t failures = world->failures;
    unsigned access = chance(40) ? EPT_ACCESS_RWX : random_access();
    uint64_t first;
    uint64_t pages;

    any_range(&first, &pages);
    if (went(ept_view_protect(&one->view, first * PAGE, pages, access),
             expected(first, pages, access), failures))
        set(one, first, pages, access);
}

static void protect_list(struct one *one)
{
    uint64_t first[LIST];
    uint64_t pages[LIST];
    unsigned count = 1 + (unsigned)below(LIST);
    unsigned done;
    unsigned access = random_access();
    uint64_t budget = world->budget;
    int error = EPT_OK;

    if (access_error(access))
        access = EPT_ACCESS_NONE;
    for (done = 0; done < count; done++) {
        uint64_t failures = world->failures;

        any_range(&first[done], &pages[done]);
        error = ept_view_prepare(&one->view, first[done] * PAGE, pages[done]);
        if (!went(error, expected(first[done], pages[done], access), failures))
            break;
    }
    world->budget = 0;
    for (unsigned i = 0; !error && i < done; i++) {
        ept_view_apply(&one->view, first[i] * PAGE, pages[i], access);
        set(one, first[i], pages[i], access);
    }
    for (unsigned i = 0; i < done; i++)
        ept_view_relax(&one->view, first[i] * PAGE, pages[i]);
    world->budget = budget;
}

/* A CPU accesses a page in a view. */
static void access_in(struct one *one)
{
    uint64_t page = random_page();
    unsigned access = 1 + (unsigned)below(7);
    uint64_t failures = world->failures;
    struct walk walk = walk_in(one, page);
    enum ept_fault fault = EPT_FAULT_SPURIOUS;

    op_first = page;
    op_end = page + 1;
    if (access & ~walk.rights || chance(5))
        fault = ept_view_fault(&one->view, page * PAGE + below(PAGE), access);
    switch (fault) {
    case EPT_FAULT_SPURIOUS:
    case EPT_FAULT_RESOLVED:
        assert_true(model[page].mapped);
        assert_false(access & ~allowed(one, page));
        assert_int_equal(fault == EPT_FAULT_RESOLVED, (access & ~walk.rights) != 0);
        break;
    case EPT_FAULT_DENIED:
        assert_true(model[page].mapped);
        assert_true(access & ~allowed(one, page));
        return;
    case EPT_FAULT_UNMAPPED: assert_false(model[page].mapped); return;
    case EPT_FAULT_NOMEM: assert_true(world->failures > failures); return;
    }
    walk = walk_in(one, page);
    assert_false(access & ~walk.rights);
    if ((access & EPT_ACCESS_W) && model[page].tracked)
        model[primary_of(page)].dirty = 1;
    log_access(page, &walk, access & EPT_ACCESS_W);
}

bool views_operate(void)
{
    struct one *one;
    unsigned kind;

    if (!views_max || chance(55))
        return false;
    one = &views[below(views_max)];
    kind = (unsigned)below(100);
    if (!one->open) {
        create(one);
        return true;
    }
    views_watch();
    if (kind < 1)
        destroy(one);
    else if (kind < 45)
        protect(one);
    else if (kind < 55)
        protect_list(one);
    else
        access_in(one);
    views_watched();
    return true;
}

void views_open(unsigned count)
{
    views_max = count;
    cached_count = 0;
    sample_count = 0;
    for (unsigned i = 0; i < count; i++)
        views[i] = (struct one){.restriction = malloc(shape->limit)};
}

void views_close(void)
{
    for (unsigned i = 0; i < views_max; i++) {
        if (views[i].open && chance(50))
            ept_view_destroy(&views[i].view);
        free(views[i].restriction);
    }
    views_max = 0;
}
