/*
 * Random hypercalls and accesses, arguments at and beyond every edge: nothing breaks, each result
 * is one that the call can have, errors change nothing, only buffers that were named are written,
 * no stale translation is left, and DIRTY tells of exactly the pages that were written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/memory.h"
#include "hv/vmx_setup.h"
#include "tests/unit/hv_world.h"

enum {
    STEPS = 160000,     /* two of three are hypercalls */
    WORLD_STEPS = 1000, /* then another machine */
    RAM = 4 << 20,
    RAM_PAGES = RAM / PAGE,
    ALIASES_USED = 48, /* few, so that they collide */
    LIST_MAX = 3000,
};

static uint64_t seed = 7;
static uint8_t shadow[RAM];     /* what the guest's RAM must hold */
static bool written[RAM_PAGES]; /* since DIRTY last told */
static struct snapshot before, after;
static unsigned results[2]; /* failures, successes */

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t below(uint64_t limit)
{
    return random64() % limit;
}

static uint64_t some_page(void)
{
    return below(RAM_PAGES) * PAGE;
}

static uint64_t some_alias(void)
{
    return world.guest->alias_base + below(ALIASES_USED) * PAGE;
}

/* An address: mostly of RAM or an alias, else at an edge, or anything. */
static uint64_t some_address(void)
{
    switch (below(16)) {
    case 0: return some_page() + below(PAGE);
    case 1: return RAM - PAGE;
    case 2: return RAM;
    case 3: return world.guest->alias_base - PAGE;
    case 4: return world.guest->alias_base + world.guest->alias_size - PAGE * below(3);
    case 5: return UINT64_MAX - below(2 * PAGE);
    case 6: return ~0xfffull - PAGE * below(3);
    case 7: return random64();
    case 8:
    case 9: return some_alias();
    default: return some_page();
    }
}

static uint64_t some_count(void)
{
    switch (below(16)) {
    case 0: return 0;
    case 1: return below(RAM_PAGES + 2);
    case 2: return 512;
    case 3: return UINT64_MAX - below(3);
    case 4: return (1ull << 52) - below(3);
    case 5: return random64();
    default: return 1 + below(8);
    }
}

static uint64_t some_access(void)
{
    static const uint64_t access[] = {0, 1, 3, 5, 7, 4, 1, 3, 7, 0};

    return below(8) ? access[below(10)] : below(2) ? below(16) : random64();
}

static uint64_t some_buffer(void)
{
    return below(4) ? below(RAM / 8) * 8 : below(8) ? RAM - 8 * below(40) : some_address();
}

/* Write a list of pages or ranges for PROTN; returns how many entries there are. */
static uint64_t write_list(uint64_t list, bool ranges)
{
    uint64_t count = below(4) ? 1 + below(40) : below(LIST_MAX), entry = ranges ? 16 : 8;

    if (list > RAM || list % 8)
        return some_count();
    if (count > (RAM - list) / entry)
        count = (RAM - list) / entry;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = list + i * entry;

        *(uint64_t *)ram(at) = below(8000) ? some_page() : some_address();
        if (ranges)
            *(uint64_t *)ram(at + 8) = below(2000) ? 1 + below(3) : some_count();
    }
    for (uint64_t i = 0; i < count * entry; i += 8)
        memcpy(&shadow[list + i], ram(list + i), 8);
    return below(16) ? count : some_count();
}

/* The model's page of a RAM address or alias; RAM_PAGES = none. */
static uint64_t page_behind(uint64_t gpa)
{
    struct ept_translation t;

    ept_lookup(&world.guest->ept, gpa, &t);
    for (uint64_t i = 0; t.level && i < RAM / BLOCK; i++) {
        uint64_t block = world.guest->blocks[i];

        if (t.hpa >= block && t.hpa < block + BLOCK)
            return (i * BLOCK + (t.hpa - block)) / PAGE;
    }
    return RAM_PAGES;
}

/* The hypervisor may have written here, and nowhere else. */
static void buffer_written(uint64_t gpa, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++)
        shadow[gpa + i] = *(uint8_t *)ram(gpa + i);
    for (uint64_t page = gpa / PAGE; bytes && page <= (gpa + bytes - 1) / PAGE; page++)
        written[page] = true;
}

/* DIRTY has told of count pages: exactly the first that were written, in order. */
static void check_dirty(uint64_t page, uint64_t pages, uint64_t buffer, uint64_t count)
{
    uint64_t told = 0, left = 0;

    for (uint64_t i = page / PAGE; i < page / PAGE + pages; i++) {
        if (!written[i])
            continue;
        if (told == count) {
            left++;
            continue;
        }
        assert_int_equal(*(uint64_t *)ram(buffer + 8 * told), i * PAGE);
        written[i] = false;
        told++;
    }
    assert_int_equal(told, count);
    assert_int_equal(left, world.rdx);
}

static void check_ram(void)
{
    for (uint64_t gpa = 0; gpa < RAM; gpa += BLOCK)
        assert_int_equal(memcmp(ram(gpa), &shadow[gpa], BLOCK), 0);
}

static void open_random(void)
{
    bool accessed_dirty = below(2);

    world_open(&(struct world_options){
        .ram = RAM,
        .budget = below(2) ? EPT_TABLES_BASE + EPT_TABLES_PER_GIB + 3 + below(16) : 0,
        .features = {.page_2m = below(4),
                     .page_1g = below(2),
                     .accessed_dirty = accessed_dirty,
                     .exec_only = below(2),
                     .nx_huge = !below(4)},
        .pml = accessed_dirty && below(2),
    });
    for (uint64_t gpa = 0; gpa < RAM; gpa += BLOCK)
        memcpy(&shadow[gpa], ram(gpa), BLOCK);
    memset(written, 0, sizeof(written));
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, some_page() | PAGE, 0, 0, 0), 0);
    snapshot_take(&before);
}

static bool defined_error(int64_t result)
{
    switch (-result) {
    case TRAPLINE_ENOENT:
    case TRAPLINE_ENOMEM:
    case TRAPLINE_EAGAIN:
    case TRAPLINE_EFAULT:
    case TRAPLINE_EEXIST:
    case TRAPLINE_EINVAL:
    case TRAPLINE_EOPNOTSUPP: return true;
    case TRAPLINE_ENOSYS: return true;
    default: return false;
    }
}

/* Pages whose tracking begins are clean from then on; see ept_track(). */
static void note_tracking(void)
{
    for (unsigned i = 0; i < RAM_PAGES; i++) {
        if (after.pages[i].tracked && !before.pages[i].tracked)
            written[i] = false;
    }
}

/*
 * A call of a view with arguments of all sorts. The vCPU stays in view 0, where all must be as it
 * was.
 */
static void random_view_call(uint64_t *number, uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d)
{
    uint64_t view = below(16) ? 1 + below(6) : below(4) ? below(600) : random64();

    *number = TRAPLINE_HC_VIEW_CREATE + below(5);
    if (*number == TRAPLINE_HC_VIEW_DESTROY)
        *a = below(4) ? 1 + below(40) : view;
    else if (*number == TRAPLINE_HC_VIEW_SWITCH)
        *a = below(2) ? 0 : 300 + (view & ~1023ull);
    *d = view;
    if (*number == TRAPLINE_HC_VIEW_PROT) {
        *b = below(8) ? *b : (world.guest->alias_base + world.guest->alias_size) / PAGE;
        *a = below(16) ? *a : 0;
        *c = some_access();
    } else if (*number == TRAPLINE_HC_VIEW_PROTN) {
        *c = some_access() | (below(2) ? TRAPLINE_LIST_RANGES : 0);
        *a = some_buffer();
        *b = write_list(*a, *c & TRAPLINE_LIST_RANGES);
    }
}

static uint64_t random_number(void)
{
    if (!below(200))
        return random64();
    return below(12) ? below(10) : TRAPLINE_HC_PROT1_UNPROT;
}

static void random_hypercall(void)
{
    uint64_t number = random_number(), a = some_address(), b = some_count(), c = random64(),
             d = random64();
    int64_t result;

    switch (number) {
    case TRAPLINE_HC_TRAP: a = below(50) ? a : 0; break;
    case TRAPLINE_HC_PROT1: b = some_access(); break;
    case TRAPLINE_HC_PROTN:
        c = some_access() | (below(2) ? TRAPLINE_LIST_RANGES : 0) | (below(40) ? 0 : 1ull << 40);
        a = some_buffer();
        b = write_list(a, c & TRAPLINE_LIST_RANGES);
        break;
    case TRAPLINE_HC_DIRTY:
        c = some_buffer();
        d = below(4) ? below(40) : some_count();
        break;
    case TRAPLINE_HC_PROT1_UNPROT:
        b = some_access();
        c = below(16) ? some_page() : c;
        break;
    case TRAPLINE_HC_MAP2:
        c = below(8) ? some_alias() : some_address();
        d = some_access();
        break;
    case TRAPLINE_HC_UNMAP2: a = below(8) ? some_alias() : a; break;
    case TRAPLINE_HC_TRACK: c = below(16) ? below(2) : random64(); break;
    case TRAPLINE_HC_PRINT: b = below(2) ? below(5000) : b; break;
    case TRAPLINE_HC_EXIT: number = TRAPLINE_HC_STATS; break;
    }
    if (!below(6))
        random_view_call(&number, &a, &b, &c, &d);
    if (number == TRAPLINE_HC_STATS || !below(20)) {
        number = TRAPLINE_HC_STATS;
        a = some_buffer();
    }

    result = hypercall(number, a, b, c, d);
    snapshot_take(&after);
    if (result < 0) {
        assert_true(defined_error(result));
        assert_true(number < TRAPLINE_HC_COUNT || result == -TRAPLINE_ENOSYS);
        assert_true(snapshot_same(&before, &after));
    } else if (number == TRAPLINE_HC_DIRTY) {
        assert_true((uint64_t)result <= b && (uint64_t)result <= d);
        check_dirty(a, b, c, (uint64_t)result);
        buffer_written(c, (uint64_t)result * 8);
    } else if (number == TRAPLINE_HC_STATS) {
        buffer_written(a, sizeof(struct trapline_stats));
    } else if (number == TRAPLINE_HC_PRINT) {
        assert_int_equal(result, b > 4096 ? 4096 : b);
    } else if (number == TRAPLINE_HC_VIEW_CREATE) {
        assert_in_range(result, 1, 511);
    } else {
        assert_int_equal(result, 0);
    }
    note_tracking();
    results[result >= 0]++;
}

/* The guest's handler lets traps in again: the area is RAM, so anything may have been in busy. */
static void clear_busy(void)
{
    struct trapline_trap_area *area = world.vcpu->trap_area;

    if (!area)
        return;
    area->busy = 0;
    for (uint64_t at = 0; at < RAM; at += PAGE) {
        if (ram(at) == area)
            memcpy(&shadow[at], area, sizeof(*area));
    }
}

/* The guest reads, writes or fetches; on a trap it does what a handler does first. */
static void random_access(void)
{
    static const enum ept_access kinds[] = {EPT_ACCESS_R, EPT_ACCESS_W, EPT_ACCESS_W, EPT_ACCESS_X};
    uint64_t alias = some_alias(), gpa = some_page();
    enum ept_access access = kinds[below(4)];
    uint64_t page;
    bool allowed;
    uint8_t data = (uint8_t)random64();
    enum outcome outcome;

    if (below(3) == 0 && (page_behind(alias) != RAM_PAGES || below(200) == 0))
        gpa = alias;
    gpa += below(PAGE);
    page = page_behind(gpa);
    allowed = !(access & ~access_of(gpa));
    if (below(100))
        clear_busy();
    outcome = guest_access(gpa, access, data);
    if (outcome == ACCESS_DONE) {
        assert_true(allowed);
        if (access == EPT_ACCESS_W) {
            shadow[page * PAGE + gpa % PAGE] = data;
            written[page] = true;
        }
    } else if (outcome == ACCESS_TRAPPED) {
        assert_false(allowed);
        assert_int_not_equal(page, RAM_PAGES);
        assert_int_equal(world.vcpu->trap_area->physical, gpa);
        clear_busy();
    }
    snapshot_take(&after);
}

static void test_random(void **state)
{
    unsigned stops = 0;

    (void)state;
    open_random();
    for (unsigned step = 0; step < STEPS; step++) {
        if (below(3))
            random_hypercall();
        else
            random_access();
        before = after;
        if (world.guest->state != GUEST_RUNNING || step % WORLD_STEPS == WORLD_STEPS - 1) {
            stops += world.guest->state != GUEST_RUNNING;
            check_ram();
            world_close();
            open_random();
        }
        if (step % 500 == 0)
            check_ram();
    }
    world_close();
    print_message("%u calls succeeded, %u failed, %u guests were stopped\n", results[1], results[0],
                  stops);
    assert_true(results[0] > STEPS / 10 && results[1] > STEPS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
