#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ept_model.h"
#include "ept_views.h"

enum {
    TLB_MAX = 64,
    LOG_MAX = 512, /* entries of a page-modification log */
};

struct cached {
    uint64_t page;
    struct walk walk;
};

struct page *model;
const struct shape *shape;
uint64_t centre;
uint64_t op_first;
uint64_t op_end;

static struct cached tlb[TLB_MAX];
static unsigned tlb_count;
static uint64_t tlb_flushes; /* world->flushes when it was emptied */

uint64_t below(uint64_t n)
{
    return world_random() % n;
}

bool chance(unsigned percent)
{
    return below(100) < percent;
}

uint64_t random_page(void)
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

uint64_t random_pages(void)
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

unsigned random_access(void)
{
    static const unsigned likely[] = {0, 0, 1, 1, 3, 5, 7, 4};

    return chance(3) ? (unsigned)below(10) : likely[below(8)];
}

int access_error(unsigned access)
{
    if (access > 7 || (access & 3) == 2)
        return EPT_EINVAL;
    return access == 4 && !shape->features.exec_only ? EPT_EOPNOTSUPP : EPT_OK;
}

int range_error(uint64_t first, uint64_t pages)
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
bool went(int64_t result, int64_t expected, uint64_t failures)
{
    if (result == EPT_ENOMEM && expected == EPT_OK && world->failures > failures)
        return false;
    if (result != expected)
        fail_msg("result %ld, expected %ld", (long)result, (long)expected);
    return expected == EPT_OK;
}

uint32_t primary_of(uint64_t page)
{
    return model[page].primary == NO_PAGE ? (uint32_t)page : model[page].primary;
}

void check_page(uint64_t page)
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
    assert_int_equal(t.entry >> 63, !(shape->features.ve && shape->features.accessed_dirty &&
                                      want->access != want->full && walk.rights == want->access));
    if (walk.rights)
        assert_int_equal(walk.hpa, want->host * PAGE);
}

void check_around(void)
{
    check_page(op_first);
    check_page((op_first + shape->limit - 1) % shape->limit);
    check_page((op_end + shape->limit - 1) % shape->limit);
    check_page(op_end % shape->limit);
    check_page(op_first + below(op_end - op_first));
    check_page(below(shape->limit));
}

void tlb_empty(void)
{
    tlb_count = 0;
    tlb_flushes = world->flushes;
    views_tlb_empty();
}

void tlb_fill(uint64_t page)
{
    struct cached *one;
    struct walk walk = world_walk(world_memory(), page * PAGE);

    if (world->flushes != tlb_flushes)
        tlb_empty();
    views_tlb_fill(page);
    if (!walk.rights || tlb_count == TLB_MAX)
        return;
    one = &tlb[tlb_count++];
    *one = (struct cached){page, walk};
}

/* A dirty flag is cached by the write that finds it set. */
void tlb_check(void)
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
    views_tlb_check();
}

void pay(void)
{
    world_flush();
    tlb_empty();
}

static void *log_memory;
static uint64_t logged[LOG_MAX];
static unsigned logged_count;

void log_open(void)
{
    uint64_t pages = chance(80) ? shape->ram : below(shape->ram);

    logged_count = 0;
    if (!shape->features.accessed_dirty || chance(30))
        return;
    log_memory = calloc(1, ept_log_bytes(pages));
    ept_log_init(EPT, log_memory, pages);
}

void log_close(void)
{
    free(log_memory);
    log_memory = NULL;
}

void log_access(uint64_t page, const struct walk *walk, bool write)
{
    uint64_t *entry = (uint64_t *)(world_memory() + (walk->at - WORLD_PHYS_BASE));

    if (!shape->features.accessed_dirty)
        return;
    if (log_memory && write && !(*entry & ENTRY_D)) {
        if (logged_count == LOG_MAX)
            log_drain(true);
        logged[logged_count++] = page * PAGE;
    }
    *entry |= ENTRY_A | (write ? ENTRY_D : 0);
}

void log_drain(bool all)
{
    unsigned count = all ? logged_count : (unsigned)below(logged_count + 1);

    if (!log_memory)
        return;
    ept_log_add(EPT, logged + logged_count - count, count);
    logged_count -= count;
    EPT->log_complete = !logged_count;
}
