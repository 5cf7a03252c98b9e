/*
 * Long PROTNs of which other calls come in the middle: of other vCPUs, and of the handlers that
 * interrupt them. What was checked and prepared must take effect, whatever is called in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/memory.h"
#include "tests/unit/hv_world.h"

enum {
    RWX = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
    LIST = 0x100000,       /* of vCPU 0 */
    OTHER_LIST = 0x120000, /* of vCPU 1 */
    COUNT = 3 * PROTN_CHUNK,
    SLICES = 5, /* times that such a call comes back */
    RAM_PAGES = WORLD_RAM_MAX / PAGE,
    BLOCKS = WORLD_RAM_MAX / BLOCK,
    TABLES = EPT_TABLES_BASE + EPT_TABLES_PER_GIB + BLOCKS, /* with all RAM in 4 KiB leaves */
};

#define ALIAS (world.guest->alias_base)

static void open_two(uint64_t budget, bool nx_huge)
{
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .budget = budget,
        .vcpus = 2,
        .features = {.page_2m = true, .accessed_dirty = true, .nx_huge = nx_huge},
    });
}

static int64_t call(unsigned vcpu, uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx,
                    uint64_t r10)
{
    world_turn(vcpu);
    return hypercall(number, rdi, rsi, rdx, r10);
}

/* Every second page of RAM, more than once, in an order that needs each block at once. */
static void write_list(uint64_t at)
{
    uint64_t *list = ram(at);

    for (unsigned i = 0; i < COUNT; i++)
        list[i] = (i * 513ull * 2 % RAM_PAGES) * PAGE;
}

static bool protn_once(unsigned vcpu, uint64_t list, uint64_t count, uint64_t how)
{
    world_turn(vcpu);
    return hypercall_once(TRAPLINE_HC_PROTN, list, count, how, 0);
}

static int64_t protn_finish(unsigned vcpu, uint64_t list, uint64_t count, uint64_t how)
{
    return call(vcpu, TRAPLINE_HC_PROTN, list, count, how, 0);
}

static void check_listed(unsigned access)
{
    for (unsigned i = 0; i < RAM_PAGES; i += 2)
        assert_int_equal(access_of(i * (uint64_t)PAGE), access);
}

/* What another vCPU may call; none may use up the tables that the PROTN in progress needs. */
static void call_of_other(unsigned which)
{
    uint64_t *list = ram(OTHER_LIST);

    list[0] = 5 * PAGE;
    list[1] = 3 * BLOCK + PAGE;
    switch (which) {
    case 0: assert_int_equal(call(1, TRAPLINE_HC_UNPROT, 0, RAM_PAGES, 0, 0), 0); break;
    case 1:
        assert_int_equal(call(1, TRAPLINE_HC_TRACK, 0, RAM_PAGES, 1, 0), 0);
        assert_int_equal(call(1, TRAPLINE_HC_TRACK, 0, RAM_PAGES, 0, 0), 0);
        break;
    case 2: /* what could become large pages, and is wanted for other tables */
        assert_int_equal(call(1, TRAPLINE_HC_UNPROT, 0, RAM_PAGES, 0, 0), 0);
        assert_int_equal(call(1, TRAPLINE_HC_MAP2, 0, 1, ALIAS + BLOCK, TRAPLINE_READ),
                         -TRAPLINE_ENOMEM);
        break;
    case 3:
        assert_int_equal(
            call(1, TRAPLINE_HC_PROTN, OTHER_LIST, 2, TRAPLINE_NONE | TRAPLINE_LIST_PAGES, 0), 0);
        break;
    case 4: /* a bad entry, after which splits would be taken back */
        list[2] = ALIAS + PAGE;
        assert_int_equal(
            call(1, TRAPLINE_HC_PROTN, OTHER_LIST, 3, TRAPLINE_NONE | TRAPLINE_LIST_PAGES, 0),
            -TRAPLINE_ENOENT);
        assert_int_equal(world.rdx, 2);
        break;
    case 5: /* whole blocks */
        memcpy(list, (struct trapline_range[]){{0, RAM_PAGES / 2}, {BLOCK, 512}}, 32);
        assert_int_equal(call(1, TRAPLINE_HC_PROTN, OTHER_LIST, 2, RWX | TRAPLINE_LIST_RANGES, 0),
                         0);
        break;
    case 6: assert_int_equal(call(1, TRAPLINE_HC_PROT1, 4 * PAGE, RWX, 0, 0), 0); break;
    }
}

/* Each call of the other vCPU, at each pause. There are no more tables than the PROTN needs. */
static void test_calls_between(void **state)
{
    uint64_t tables;

    (void)state;
    open_two(0, false);
    assert_int_equal(call(0, TRAPLINE_HC_MAP2, 0, 1, ALIAS, TRAPLINE_READ), 0);
    tables = world.guest->ept.stats.tables;
    world_close();
    for (unsigned which = 0; which <= 6; which++) {
        for (unsigned pause = 0; pause < SLICES; pause++) {
            open_two(tables + BLOCKS - 1, false);
            assert_int_equal(call(0, TRAPLINE_HC_MAP2, 0, 1, ALIAS, TRAPLINE_READ), 0);
            write_list(LIST);
            for (unsigned i = 0; i <= pause; i++)
                assert_false(protn_once(0, LIST, COUNT, TRAPLINE_READ));
            call_of_other(which);
            assert_int_equal(protn_finish(0, LIST, COUNT, TRAPLINE_READ), 0);
            if (pause < COUNT / PROTN_CHUNK)
                check_listed(TRAPLINE_READ);
            assert_int_equal(world.guest->ept.holds, 0);
            /* No more tables stay in use than the protections need. */
            assert_int_equal(call(1, TRAPLINE_HC_UNPROT, 0, RAM_PAGES, 0, 0), 0);
            assert_int_equal(world.guest->ept.stats.tables, tables);
            world_close();
        }
    }
}

/* Two long PROTNs at once, slice by slice, of both forms; the later slice of a page counts. */
static void test_two_at_once(void **state)
{
    struct trapline_range *ranges;

    (void)state;
    open_two(TABLES, false);
    write_list(LIST);
    ranges = ram(OTHER_LIST);
    for (unsigned i = 0; i < COUNT; i++)
        ranges[i] = (struct trapline_range){(i * 2 % RAM_PAGES + 1) * (uint64_t)PAGE, 1};
    for (bool done[2] = {false, false}; !done[0] || !done[1];) {
        if (!done[0])
            done[0] = protn_once(0, LIST, COUNT, TRAPLINE_READ);
        if (!done[1])
            done[1] = protn_once(1, OTHER_LIST, COUNT, TRAPLINE_NONE | TRAPLINE_LIST_RANGES);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(world.guest->vcpus[i]->context.regs.rax, 0);
    check_listed(TRAPLINE_READ);
    for (unsigned i = 1; i < RAM_PAGES; i += 2)
        assert_int_equal(access_of(i * (uint64_t)PAGE), TRAPLINE_NONE);
    assert_int_equal(world.guest->ept.holds, 0);
    world_close();
}

/* One fails for want of tables while the other is in progress: nothing has changed, nor leaks. */
static void test_failure_beside(void **state)
{
    uint64_t *list;

    (void)state;
    open_two(TABLES - 1, false);
    write_list(LIST);
    list = ram(OTHER_LIST);
    for (unsigned i = 0; i < COUNT; i++)
        list[i] = i % 8 * (uint64_t)PAGE;
    assert_false(protn_once(1, OTHER_LIST, COUNT, TRAPLINE_NONE));
    assert_int_equal(protn_finish(0, LIST, COUNT, TRAPLINE_READ), -TRAPLINE_ENOMEM);
    check_listed(RWX);
    assert_int_equal(protn_finish(1, OTHER_LIST, COUNT, TRAPLINE_NONE), 0);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(access_of(i * (uint64_t)PAGE), i < 8 ? TRAPLINE_NONE : RWX);
    assert_int_equal(world.guest->ept.holds, 0);
    assert_int_equal(world.guest->ept.stats.tables, EPT_TABLES_BASE + EPT_TABLES_PER_GIB + 1);
    world_close();
}

/* Listed aliases that another vCPU takes away are passed over; all else takes effect. */
static void check_unmapped(bool as_ranges, bool again, unsigned pause)
{
    uint64_t how = TRAPLINE_NONE | (as_ranges ? TRAPLINE_LIST_RANGES : TRAPLINE_LIST_PAGES);
    struct trapline_range *ranges;
    uint64_t entries = as_ranges ? PROTN_CHUNK / 2 : PROTN_CHUNK; /* a slice */
    uint64_t count = entries * 3;

    open_two(0, false);
    assert_int_equal(call(0, TRAPLINE_HC_MAP2, 0, 32, ALIAS, TRAPLINE_READ), 0);
    if (as_ranges) {
        ranges = ram(LIST);
        for (unsigned i = 0; i < count; i++)
            ranges[i] = (struct trapline_range){ALIAS, 32};
    } else {
        for (unsigned i = 0; i < count; i++)
            ((uint64_t *)ram(LIST))[i] = ALIAS + i % 32 * PAGE;
    }
    for (unsigned i = 0; i <= pause; i++)
        assert_false(protn_once(0, LIST, count, how));
    assert_int_equal(call(1, TRAPLINE_HC_UNMAP2, ALIAS + 8 * PAGE, 8, 0, 0), 0);
    if (again)
        assert_int_equal(call(1, TRAPLINE_HC_MAP2, 8 * PAGE, 8, ALIAS + 8 * PAGE, TRAPLINE_READ),
                         0);
    if (pause < count / entries - 1 && !again) { /* not all was checked by then */
        assert_int_equal(protn_finish(0, LIST, count, how), -TRAPLINE_ENOENT);
        assert_int_equal(access_of(ALIAS), TRAPLINE_READ);
        world_close();
        return;
    }
    assert_int_equal(protn_finish(0, LIST, count, how), 0);
    for (unsigned i = 0; i < 32; i++) {
        struct ept_translation t;
        bool gone = i >= 8 && i < 16 && !again;

        assert_int_equal(ept_lookup(&world.guest->ept, ALIAS + i * PAGE, &t),
                         gone ? EPT_ENOENT : EPT_OK);
        assert_int_equal(t.access, TRAPLINE_NONE);
    }
    world_close();
}

static void test_unmapped(void **state)
{
    (void)state;
    for (unsigned again = 0; again < 2; again++) {
        for (unsigned pause = 0; pause < SLICES; pause++) {
            check_unmapped(false, again, pause);
            check_unmapped(true, again, pause);
        }
    }
}

/* The list changes under way: what becomes of it harms nothing. */
static void test_changed_list(void **state)
{
    struct trapline_range *ranges;

    (void)state;
    open_two(0, false);
    ranges = ram(LIST);
    for (unsigned i = 0; i < PROTN_CHUNK; i++)
        ranges[i] = (struct trapline_range){i * (uint64_t)PAGE, 1};
    for (unsigned i = 0; i < 2; i++)
        assert_false(protn_once(0, LIST, PROTN_CHUNK, TRAPLINE_NONE | TRAPLINE_LIST_RANGES));
    ranges[0].pages = 0;
    ranges[1].page += 1;
    ranges[2].page = UINT64_MAX - PAGE + 1;
    ranges[3] = (struct trapline_range){WORLD_RAM_MAX, 1000};
    assert_int_equal(protn_finish(0, LIST, PROTN_CHUNK, TRAPLINE_NONE | TRAPLINE_LIST_RANGES), 0);
    for (unsigned i = 0; i < PROTN_CHUNK; i++)
        assert_int_equal(access_of(i * (uint64_t)PAGE), i < 4 ? RWX : TRAPLINE_NONE);
    world_close();
}

/* A handler in the middle: short calls leave the long one alone, a long one makes it begin anew. */
static void test_handlers(void **state)
{
    uint64_t *list;

    (void)state;
    open_two(TABLES, false);
    write_list(LIST);
    list = ram(OTHER_LIST);
    for (unsigned i = 0; i < COUNT; i++)
        list[i] = (i % 2 * 2 + 1) * (uint64_t)PAGE;
    for (unsigned i = 0; i < 3; i++)
        assert_false(protn_once(0, LIST, COUNT, TRAPLINE_READ));
    assert_int_equal(protn_finish(0, OTHER_LIST, 2, TRAPLINE_NONE), 0);
    assert_int_equal(call(0, TRAPLINE_HC_UNPROT, 0, RAM_PAGES, 0, 0), 0);
    assert_int_equal(world.guest->ept.holds, 1);
    assert_int_equal(protn_finish(0, LIST, COUNT, TRAPLINE_READ), 0);
    assert_int_equal(world.agains, SLICES - 3);
    check_listed(TRAPLINE_READ);

    for (unsigned i = 0; i < 4; i++)
        assert_false(protn_once(0, LIST, COUNT, TRAPLINE_READ | TRAPLINE_EXEC));
    assert_int_equal(protn_finish(0, OTHER_LIST, COUNT, TRAPLINE_NONE), 0);
    assert_int_equal(world.guest->ept.holds, 0);
    assert_int_equal(protn_finish(0, LIST, COUNT, TRAPLINE_READ | TRAPLINE_EXEC), 0);
    assert_int_equal(world.agains, SLICES);
    assert_int_equal(world.guest->ept.holds, 0);
    check_listed(TRAPLINE_READ | TRAPLINE_EXEC);
    world_close();
}

/*
 * A fetch that needs a table page and finds none: another's PROTN is waited for, one's own is given
 * up, and then there is one.
 */
static void test_short_of_tables(void **state)
{
    uint64_t fetch = EPT_ACCESS_X | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;
    uint64_t *list;

    (void)state;
    open_two(TABLES - 1, true);
    list = ram(LIST);
    for (unsigned i = 0; i < COUNT; i++)
        list[i] = i % 3 * (uint64_t)BLOCK;
    assert_false(protn_once(0, LIST, COUNT, TRAPLINE_READ));
    world_turn(1);
    assert_int_equal(violate(3 * BLOCK, fetch, 0), ACCESS_DONE);
    assert_int_equal(world.vcpu->stats.spurious, 1);
    world_turn(0);
    assert_int_equal(violate(3 * BLOCK, fetch, 0), ACCESS_DONE);
    assert_int_equal(world.vcpu->stats.spurious, 0);
    assert_int_equal(world.guest->ept.holds, 0);
    /* The fetch has the page for good. */
    assert_int_equal(protn_finish(0, LIST, COUNT, TRAPLINE_READ), -TRAPLINE_ENOMEM);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_between),   cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_failure_beside),  cmocka_unit_test(test_unmapped),
        cmocka_unit_test(test_changed_list),    cmocka_unit_test(test_handlers),
        cmocka_unit_test(test_short_of_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
