/*
 * PROT1, PROTN, UNPROT, MAP2 and DIRTY as hypercalls: arguments, errors, effects. Each call is also
 * held to the rules of hv_world.h: no stale translation is left when it is done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/memory.h"
#include "hv/vmx_setup.h"
#include "tests/unit/hv_world.h"

enum {
    PAGES_4K_LEAVES = 0x200000, /* where the tests split a block into pages */
    LIST = 0x100000,            /* where they put lists */
    BUFFER = 0x180000,
    CHUNK = PROTN_CHUNK,
};

#define RAM_END   ((uint64_t)WORLD_RAM_MAX)
#define ALIAS     (world.guest->alias_base)
#define ALIAS_END (world.guest->alias_base + world.guest->alias_size)
#define TOP       (~0xfffull) /* the last page there can be */

static struct snapshot before, after;

/*
 * The call fails with this error and has changed nothing; it keeps no more tables than there were.
 * Only a PROTN that took splits back may have flushed.
 */
static void refused_at(int line, int64_t error, uint64_t number, uint64_t rdi, uint64_t rsi,
                       uint64_t rdx, uint64_t r10)
{
    unsigned flushes = world.invepts;
    uint64_t tables = world.guest->ept.stats.tables;
    int64_t result;

    snapshot_take(&before);
    result = hypercall(number, rdi, rsi, rdx, r10);
    snapshot_take(&after);
    if (result != -error)
        fail_msg("line %d: %lld, not %lld", line, (long long)result, (long long)-error);
    if (!snapshot_same(&before, &after))
        fail_msg("line %d: an error has changed something", line);
    if (world.guest->ept.stats.tables > tables)
        fail_msg("line %d: an error has left tables", line);
    if (world.invepts - flushes > (number == TRAPLINE_HC_PROTN))
        fail_msg("line %d: %u flushes for an error", line, world.invepts - flushes);
}

/* The call succeeds with one flush or without any. */
static void done_at(int line, bool flush, uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx,
                    uint64_t r10)
{
    unsigned flushes = world.invepts;
    int64_t result = hypercall(number, rdi, rsi, rdx, r10);

    if (result != 0)
        fail_msg("line %d: %lld", line, (long long)result);
    if (world.invepts - flushes != flush)
        fail_msg("line %d: %u flushes", line, world.invepts - flushes);
}

#define refused(...) refused_at(__LINE__, __VA_ARGS__)
#define done(...)    done_at(__LINE__, __VA_ARGS__)

static void test_prot1(void **state)
{
    static const unsigned possible[] = {0, 1, 3, 4, 5, 7};
    uint64_t page = PAGES_4K_LEAVES + 5 * PAGE;

    (void)state;
    world_open_plain();
    for (unsigned i = 0; i < 6; i++) {
        done(i != 5, TRAPLINE_HC_PROT1, page, possible[i], 0, 0);
        assert_int_equal(access_of(page), possible[i]);
        assert_int_equal(access_of(page - PAGE), 7);
        assert_int_equal(access_of(page + PAGE), 7);
        done(false, TRAPLINE_HC_UNPROT, page, 1, 0, 0);
        assert_int_equal(access_of(page), 7);
    }
    for (uint64_t access = 0; access < 64; access++) {
        if (access > 7 || access == 2 || access == 6)
            refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROT1, page, access, 0, 0);
    }
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROT1, page, UINT64_MAX, 0, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROT1, page, 1ull << 32, 0, 0);
    for (uint64_t off = 1; off < PAGE; off <<= 1)
        refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROT1, page + off, TRAPLINE_NONE, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_PROT1, RAM_END, TRAPLINE_NONE, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_PROT1, ALIAS, TRAPLINE_NONE, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_PROT1, ALIAS_END, TRAPLINE_NONE, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_PROT1, 1ull << 52, TRAPLINE_NONE, 0, 0);
    assert_true(hypercall(TRAPLINE_HC_PROT1, TOP, 0, 0, 0) < 0);
    done(true, TRAPLINE_HC_PROT1, 0, TRAPLINE_READ, 0, 0);
    done(true, TRAPLINE_HC_PROT1, RAM_END - PAGE, TRAPLINE_READ, 0, 0);
    world_close();
}

static void test_no_execute_only(void **state)
{
    uint64_t page = PAGES_4K_LEAVES, list[] = {PAGES_4K_LEAVES};

    (void)state;
    world_open(&(struct world_options){.ram = WORLD_RAM_MAX,
                                       .features = {.page_2m = true, .accessed_dirty = true}});
    memcpy(ram(LIST), list, sizeof(list));
    refused(TRAPLINE_EOPNOTSUPP, TRAPLINE_HC_PROT1, page, TRAPLINE_EXEC, 0, 0);
    refused(TRAPLINE_EOPNOTSUPP, TRAPLINE_HC_PROTN, LIST, 1, TRAPLINE_EXEC, 0);
    done(true, TRAPLINE_HC_PROT1, page, TRAPLINE_READ | TRAPLINE_EXEC, 0, 0);
    refused(TRAPLINE_EOPNOTSUPP, TRAPLINE_HC_PROT1, page, TRAPLINE_EXEC, 0, 0);
    refused(TRAPLINE_EOPNOTSUPP, TRAPLINE_HC_PROTN, LIST, 1, TRAPLINE_EXEC, 0);
    world_close();
}

static void test_unprot(void **state)
{
    (void)state;
    world_open_plain();
    done(true, TRAPLINE_HC_PROT1, PAGES_4K_LEAVES, TRAPLINE_NONE, 0, 0);
    done(true, TRAPLINE_HC_PROT1, PAGES_4K_LEAVES + PAGE, TRAPLINE_READ, 0, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_UNPROT, PAGES_4K_LEAVES, 0, 0, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_UNPROT, PAGES_4K_LEAVES + 1, 1, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_UNPROT, RAM_END - PAGE, 2, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_UNPROT, RAM_END, 1, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_UNPROT, 0, RAM_END / PAGE + 1, 0, 0);
    assert_true(hypercall(TRAPLINE_HC_UNPROT, PAGE, UINT64_MAX, 0, 0) < 0);
    assert_true(hypercall(TRAPLINE_HC_UNPROT, TOP, 2, 0, 0) < 0);
    assert_true(hypercall(TRAPLINE_HC_UNPROT, PAGES_4K_LEAVES, 1ull << 52, 0, 0) < 0);
    assert_int_equal(access_of(PAGES_4K_LEAVES), 0);
    /* Raising two pages makes the block's table uniform: that may flush, but no right is lost. */
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, PAGES_4K_LEAVES, 2, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, 0, RAM_END / PAGE, 0, 0), 0);
    for (uint64_t gpa = 0; gpa < RAM_END; gpa += PAGE)
        assert_int_equal(access_of(gpa), 7);
    world_close();
}

/* count pages, every second one, from PAGES_4K_LEAVES on, at LIST. */
static void write_list(unsigned count)
{
    uint64_t *list = ram(LIST);

    assert_true(count * sizeof(*list) <= BUFFER - LIST);
    for (unsigned i = 0; i < count; i++)
        list[i] = PAGES_4K_LEAVES + (uint64_t)(i * 2 % 1024) * PAGE;
}

/* PROTN's check comes before its first change, wherever in the list the bad entry is. */
static void bad_entry(unsigned count, unsigned bad, uint64_t value, int64_t error)
{
    write_list(count);
    ((uint64_t *)ram(LIST))[bad] = value;
    refused(error, TRAPLINE_HC_PROTN, LIST, count, TRAPLINE_NONE, 0);
    assert_int_equal(world.rdx, bad);
}

static void test_protn_pages(void **state)
{
    static const unsigned counts[] = {1, 2, 5, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK - 7};

    (void)state;
    world_open_plain();
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        unsigned count = counts[i], chunks = (count + CHUNK - 1) / CHUNK;

        bad_entry(count, 0, RAM_END, TRAPLINE_ENOENT);
        bad_entry(count, count / 2, PAGES_4K_LEAVES + 8, TRAPLINE_EINVAL);
        bad_entry(count, count - 1, ALIAS, TRAPLINE_ENOENT);
        bad_entry(count, count - 1, 1ull << 51, TRAPLINE_ENOENT);
        write_list(count);
        done(true, TRAPLINE_HC_PROTN, LIST, count, TRAPLINE_READ, 0);
        assert_int_equal(world.agains, chunks == 1 ? 0 : 2 * chunks - 1);
        for (unsigned k = 0; k < 1024; k++)
            assert_int_equal(access_of(PAGES_4K_LEAVES + k * (uint64_t)PAGE),
                             k % 2 == 0 && k / 2 < count ? 1 : 7);
        /* The same list raised again, and a mix: what was there does not matter. */
        done(false, TRAPLINE_HC_PROTN, LIST, count, TRAPLINE_READ | TRAPLINE_EXEC, 0);
        done(true, TRAPLINE_HC_PROTN, LIST, count, TRAPLINE_READ | TRAPLINE_WRITE, 0);
        assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, 0, RAM_END / PAGE, 0, 0), 0);
    }
    world_close();
}

static void test_protn_arguments(void **state)
{
    static const uint64_t forms[] = {1 << 3, 1 << 7, 1 << 9, 3 << 8, 1ull << 32, 1ull << 63};

    (void)state;
    world_open_plain();
    write_list(8);
    for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROTN, LIST, 8, forms[i], 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROTN, LIST, 8, TRAPLINE_WRITE, 0);
    assert_int_equal(world.rdx, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROTN, LIST, 8, TRAPLINE_WRITE | TRAPLINE_EXEC, 0);
    for (uint64_t off = 1; off < 8; off++)
        refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROTN, LIST + off, 8, TRAPLINE_NONE, 0);
    done(false, TRAPLINE_HC_PROTN, LIST, 0, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, RAM_END, 1, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, RAM_END - 8, 2, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, ALIAS, 1, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, UINT64_MAX - 7, 1, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, UINT64_MAX - 7, 2, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, LIST, UINT64_MAX, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, LIST, 1ull << 61, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, LIST, 1ull << 60,
            TRAPLINE_NONE | TRAPLINE_LIST_RANGES, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, LIST, (RAM_END - LIST) / 8 + 1, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, LIST, (RAM_END - LIST) / 16 + 1,
            TRAPLINE_NONE | TRAPLINE_LIST_RANGES, 0);
    world_close();
}

/* A list that the guest itself could not read is not read for it either. */
static void test_protn_list_in_protected_memory(void **state)
{
    uint64_t last = LIST + PAGE - 8;

    (void)state;
    world_open_plain();
    memcpy(ram(last), (uint64_t[]){PAGES_4K_LEAVES, PAGES_4K_LEAVES + PAGE}, 16);
    done(true, TRAPLINE_HC_PROT1, LIST + PAGE, TRAPLINE_NONE, 0, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, last, 2, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, LIST + PAGE, 1, TRAPLINE_NONE, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, LIST, 3000, TRAPLINE_NONE, 0);
    done(true, TRAPLINE_HC_PROTN, last, 1, TRAPLINE_NONE, 0);
    done(false, TRAPLINE_HC_PROT1, LIST + PAGE, TRAPLINE_EXEC, 0, 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_PROTN, last, 2, TRAPLINE_NONE, 0);
    done(true, TRAPLINE_HC_PROT1, LIST + PAGE, TRAPLINE_READ, 0, 0);
    done(true, TRAPLINE_HC_PROTN, last, 2, TRAPLINE_NONE, 0);
    assert_int_equal(access_of(PAGES_4K_LEAVES + PAGE), 0);
    world_close();
}

/* Two entries that lie in blocks that are not neighbours in the host's memory. */
static void test_protn_list_across_blocks(void **state)
{
    uint64_t list = BLOCK - 3 * sizeof(uint64_t);

    (void)state;
    world_open_plain();
    for (unsigned i = 0; i < 6; i++)
        *(uint64_t *)ram(list + i * 8) = 2 * (uint64_t)BLOCK + i * PAGE;
    done(true, TRAPLINE_HC_PROTN, list, 6, TRAPLINE_NONE, 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(access_of(2 * (uint64_t)BLOCK + i * PAGE), i < 6 ? 0 : 7);
    *(uint64_t *)ram(BLOCK + 8) = 4;
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROTN, list, 6, TRAPLINE_READ, 0);
    assert_int_equal(world.rdx, 4);
    world_close();
}

static void test_protn_ranges(void **state)
{
    const uint64_t form = TRAPLINE_LIST_RANGES;
    struct trapline_range *list;

    (void)state;
    world_open_plain();
    list = ram(LIST);
    list[0] = (struct trapline_range){PAGES_4K_LEAVES + PAGE, 3};
    list[1] = (struct trapline_range){2 * (uint64_t)BLOCK, 2 * (uint64_t)BLOCK / PAGE};
    list[2] = (struct trapline_range){PAGES_4K_LEAVES, 2}; /* overlaps the first */
    done(true, TRAPLINE_HC_PROTN, LIST, 3, TRAPLINE_READ | form, 0);
    for (uint64_t gpa = PAGES_4K_LEAVES; gpa < RAM_END; gpa += PAGE)
        assert_int_equal(access_of(gpa),
                         gpa < PAGES_4K_LEAVES + 4 * PAGE || gpa >= 2 * BLOCK ? 1 : 7);
    list[1] = (struct trapline_range){2 * (uint64_t)BLOCK, 0};
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROTN, LIST, 3, TRAPLINE_NONE | form, 0);
    assert_int_equal(world.rdx, 1);
    list[1] = (struct trapline_range){2 * (uint64_t)BLOCK + 1, 1};
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_PROTN, LIST, 3, TRAPLINE_NONE | form, 0);
    list[1] = (struct trapline_range){RAM_END - PAGE, 2};
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_PROTN, LIST, 3, TRAPLINE_NONE | form, 0);
    list[1] = (struct trapline_range){PAGE, UINT64_MAX};
    snapshot_take(&before);
    assert_true(hypercall(TRAPLINE_HC_PROTN, LIST, 3, TRAPLINE_NONE | form, 0) < 0);
    assert_int_equal(world.rdx, 1);
    list[1] = (struct trapline_range){TOP, 2};
    assert_true(hypercall(TRAPLINE_HC_PROTN, LIST, 3, TRAPLINE_NONE | form, 0) < 0);
    assert_int_equal(world.rdx, 1);
    snapshot_take(&after);
    assert_true(snapshot_same(&before, &after));
    world_close();
}

/* More ranges than a chunk holds, one page each, and a bad one in every chunk in turn. */
static void test_protn_many_ranges(void **state)
{
    const unsigned chunk = CHUNK / 2, count = 2 * chunk + 9;
    struct trapline_range *list;

    (void)state;
    world_open_plain();
    list = ram(LIST);
    for (unsigned i = 0; i < count; i++)
        list[i] = (struct trapline_range){PAGES_4K_LEAVES + (i * 2 % 1024) * (uint64_t)PAGE, 1};
    for (unsigned bad = 7; bad < count; bad += chunk) {
        struct trapline_range good = list[bad];

        list[bad].pages = 1ull << 40;
        refused(TRAPLINE_ENOENT, TRAPLINE_HC_PROTN, LIST, count, TRAPLINE_LIST_RANGES, 0);
        assert_int_equal(world.rdx, bad);
        list[bad] = good;
    }
    done(true, TRAPLINE_HC_PROTN, LIST, count, TRAPLINE_LIST_RANGES, 0);
    assert_int_equal(world.agains, 5);
    for (unsigned k = 0; k < 1024; k++)
        assert_int_equal(access_of(PAGES_4K_LEAVES + k * (uint64_t)PAGE), k % 2 ? 7 : 0);
    world_close();
}

/* Without table memory a list that needs splits fails as a whole, however far it had come. */
static void test_protn_without_memory(void **state)
{
    uint64_t *list;
    int64_t result = 0;
    unsigned count = 0;

    (void)state;
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .budget = EPT_TABLES_BASE + EPT_TABLES_PER_GIB + 2,
        .features = {.page_2m = true, .page_1g = true, .accessed_dirty = true},
    });
    list = ram(LIST);
    for (unsigned i = 0; i < 4; i++)
        list[i] = i * (uint64_t)BLOCK + 5 * PAGE;
    while (count < 4 && result == 0)
        result = hypercall(TRAPLINE_HC_PROTN, LIST, ++count, TRAPLINE_READ, 0);
    assert_int_equal(result, -TRAPLINE_ENOMEM);
    assert_int_equal(world.rdx, count - 1);
    assert_true(count > 1);
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, 0, RAM_END / PAGE, 0, 0), 0);
    refused(TRAPLINE_ENOMEM, TRAPLINE_HC_PROTN, LIST, 4, TRAPLINE_READ, 0);
    /* What it had split for the first entries is given back. */
    done(true, TRAPLINE_HC_PROTN, LIST, 1, TRAPLINE_READ, 0);
    world_close();
}

static void test_map2(void **state)
{
    uint64_t page = PAGES_4K_LEAVES + 3 * PAGE;

    (void)state;
    world_open_plain();
    done(true, TRAPLINE_HC_MAP2, page, 2, ALIAS + PAGE, TRAPLINE_READ); /* splits the large page */
    assert_int_equal(access_of(ALIAS), 0);
    assert_int_equal(access_of(ALIAS + PAGE), 1);
    assert_int_equal(access_of(ALIAS + 2 * PAGE), 1);
    refused(TRAPLINE_EEXIST, TRAPLINE_HC_MAP2, page, 1, ALIAS + PAGE, TRAPLINE_READ);
    refused(TRAPLINE_EEXIST, TRAPLINE_HC_MAP2, page, 3, ALIAS, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 0, ALIAS, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page + 1, 1, ALIAS, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, ALIAS + 1, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, ALIAS - PAGE, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, 0, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, ALIAS_END, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, ALIAS_END + PAGE, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 2, ALIAS_END - PAGE, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, UINT64_MAX, ALIAS, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, UINT64_MAX, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, ALIAS + PAGE, 1, ALIAS, TRAPLINE_READ);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_MAP2, RAM_END, 1, ALIAS, TRAPLINE_READ);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_MAP2, RAM_END - PAGE, 2, ALIAS + 16 * PAGE, TRAPLINE_READ);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, ALIAS, TRAPLINE_WRITE);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, ALIAS, TRAPLINE_NONE);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, ALIAS, 8);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_MAP2, page, 1, ALIAS, UINT64_MAX);
    done(false, TRAPLINE_HC_MAP2, page, 1, ALIAS_END - PAGE, TRAPLINE_READ | TRAPLINE_WRITE);

    /* Each address has a protection of its own, and one memory. */
    done(true, TRAPLINE_HC_PROT1, page, TRAPLINE_NONE, 0, 0);
    assert_int_equal(guest_access(ALIAS_END - PAGE + 9, EPT_ACCESS_W, 0x5a), ACCESS_DONE);
    assert_int_equal(*(uint8_t *)ram(page + 9), 0x5a);
    assert_int_equal(access_of(ALIAS + PAGE), 1);
    done(true, TRAPLINE_HC_PROT1, ALIAS + PAGE, TRAPLINE_NONE, 0, 0);
    done(false, TRAPLINE_HC_UNPROT, ALIAS + PAGE, 1, 0, 0);
    assert_int_equal(access_of(ALIAS + PAGE), 1); /* its full rights */

    refused(TRAPLINE_EINVAL, TRAPLINE_HC_UNMAP2, page, 1, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_UNMAP2, ALIAS, 1, 0, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_UNMAP2, ALIAS + PAGE, 3, 0, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_UNMAP2, ALIAS + PAGE, 0, 0, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_UNMAP2, ALIAS + PAGE + 8, 1, 0, 0);
    assert_true(hypercall(TRAPLINE_HC_UNMAP2, ALIAS + PAGE, UINT64_MAX, 0, 0) < 0);
    done(true, TRAPLINE_HC_UNMAP2, ALIAS + PAGE, 2, 0, 0);
    assert_int_equal(access_of(ALIAS + PAGE), 0);
    done(true, TRAPLINE_HC_UNMAP2, ALIAS_END - PAGE, 1, 0, 0);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prot1),
        cmocka_unit_test(test_no_execute_only),
        cmocka_unit_test(test_unprot),
        cmocka_unit_test(test_protn_pages),
        cmocka_unit_test(test_protn_arguments),
        cmocka_unit_test(test_protn_list_in_protected_memory),
        cmocka_unit_test(test_protn_list_across_blocks),
        cmocka_unit_test(test_protn_ranges),
        cmocka_unit_test(test_protn_many_ranges),
        cmocka_unit_test(test_protn_without_memory),
        cmocka_unit_test(test_map2),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
