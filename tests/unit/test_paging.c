/* The page-table builder: rights of every leaf, page sizes, edges, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/paging.h"

enum {
    PAGE = 4096,
    ENTRIES = 512,
    POOL_PAGES = 64,
};

#define SIZE_2M   (2ull << 20)
#define SIZE_1G   (1ull << 30)
#define POOL_PHYS 0x40000000ull
#define HIGH      0xffff800000000000ull

static uint64_t pool[POOL_PAGES][ENTRIES];
static unsigned pool_used, pool_limit;

static uint64_t pool_alloc(void *context)
{
    assert_ptr_equal(context, pool);
    return pool_used < pool_limit ? POOL_PHYS + (uint64_t)pool_used++ * PAGE : 0;
}

static uint64_t *pool_table(void *context, uint64_t phys)
{
    assert_ptr_equal(context, pool);
    assert_in_range(phys, POOL_PHYS, POOL_PHYS + (uint64_t)(pool_used - 1) * PAGE);
    return pool[(phys - POOL_PHYS) / PAGE];
}

static struct paging new_tables(void)
{
    memset(pool, 0, sizeof(pool));
    pool_used = 0;
    pool_limit = POOL_PAGES;
    struct paging p = {.alloc = pool_alloc, .table = pool_table, .context = pool, .pages_1g = true};
    p.root = pool_alloc(pool);
    return p;
}

/* Visit every leaf: W^X, never user, addresses within limits. Returns their number. */
static unsigned check_leaves(const uint64_t *table, unsigned level)
{
    unsigned leaves = 0;

    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t entry = table[i];
        if (!(entry & PTE_PRESENT)) {
            assert_int_equal(entry, 0);
            continue;
        }
        assert_false(entry & PTE_USER);
        if (level == 1 || (entry & PTE_LARGE)) {
            assert_true(!(entry & PTE_WRITE) || (entry & PTE_NOEXEC));
            leaves++;
        } else {
            leaves += check_leaves(pool_table(pool, entry & PTE_ADDRESS), level - 1);
        }
    }
    return leaves;
}

static void expect_leaf(const struct paging *p, uint64_t virt, uint64_t phys, uint64_t size,
                        uint64_t bits)
{
    const uint64_t compared = PTE_WRITE | PTE_NOEXEC | PTE_GLOBAL | PTE_PWT | PTE_PCD;
    uint64_t found_size = 0;
    uint64_t leaf = paging_find(p, virt, &found_size);

    assert_true(leaf & PTE_PRESENT);
    assert_int_equal(found_size, size);
    assert_int_equal(leaf & PTE_ADDRESS & ~(size - 1), phys);
    assert_int_equal(leaf & compared, bits);
}

static void test_rights(void **state)
{
    (void)state;
    struct paging p = new_tables();

    assert_int_equal(paging_map(&p, HIGH, 0, PAGE, PAGING_READ), PAGING_OK);
    assert_int_equal(paging_map(&p, HIGH + PAGE, PAGE, PAGE, PAGING_WRITE), PAGING_OK);
    assert_int_equal(paging_map(&p, HIGH + 2 * PAGE, 2 * PAGE, PAGE, PAGING_EXEC), PAGING_OK);
    assert_int_equal(
        paging_map(&p, HIGH + 3 * PAGE, 3 * PAGE, PAGE, PAGING_WRITE | PAGING_UC | PAGING_GLOBAL),
        PAGING_OK);
    assert_int_equal(paging_map(&p, HIGH + 4 * PAGE, 4 * PAGE, PAGE, PAGING_WRITE | PAGING_WC),
                     PAGING_OK);
    expect_leaf(&p, HIGH, 0, PAGE, PTE_NOEXEC);
    expect_leaf(&p, HIGH + PAGE + 5, PAGE, PAGE, PTE_WRITE | PTE_NOEXEC);
    expect_leaf(&p, HIGH + 2 * PAGE, 2 * PAGE, PAGE, 0);
    expect_leaf(&p, HIGH + 3 * PAGE, 3 * PAGE, PAGE,
                PTE_WRITE | PTE_NOEXEC | PTE_GLOBAL | PTE_PCD | PTE_PWT);
    expect_leaf(&p, HIGH + 4 * PAGE, 4 * PAGE, PAGE, PTE_WRITE | PTE_NOEXEC | PTE_PWT);
    assert_int_equal(check_leaves(pool_table(pool, p.root), 4), 5);
}

/* The PAT's entries that PCD and PWT choose are the types that the rights are named after. */
static void test_pat(void **state)
{
    (void)state;
    enum {
        PAT_UC = 0,
        PAT_WC = 1,
        PAT_WB = 6
    };

    assert_int_equal(PAGING_PAT & 0xff, PAT_WB);
    assert_int_equal(PAGING_PAT >> 8 & 0xff, PAT_WC);
    assert_int_equal(PAGING_PAT >> 24 & 0xff, PAT_UC);
    assert_int_equal(PAGING_PAT & 0xffffffff, PAGING_PAT >> 32);
}

static void test_writable_and_executable_is_refused(void **state)
{
    (void)state;
    struct paging p = new_tables();
    const unsigned both = PAGING_WRITE | PAGING_EXEC;

    assert_int_equal(paging_map(&p, HIGH, 0, PAGE, both), PAGING_BAD);
    assert_int_equal(paging_find(&p, HIGH, NULL), 0);
    p.allow_wx = true;
    assert_int_equal(paging_map(&p, 0, 0, SIZE_2M, both), PAGING_OK);
    expect_leaf(&p, 0, 0, SIZE_2M, PTE_WRITE);
}

static void test_largest_pages_at_edges(void **state)
{
    (void)state;
    struct paging p = new_tables();
    uint64_t begin = SIZE_1G - SIZE_2M - PAGE;
    uint64_t end = 2 * SIZE_1G + SIZE_2M + PAGE;

    assert_int_equal(paging_map(&p, HIGH + begin, begin, end - begin, PAGING_WRITE), PAGING_OK);
    const uint64_t rw = PTE_WRITE | PTE_NOEXEC;
    assert_int_equal(paging_find(&p, HIGH + begin - 1, NULL), 0);
    expect_leaf(&p, HIGH + begin, begin, PAGE, rw);
    expect_leaf(&p, HIGH + SIZE_1G - SIZE_2M, SIZE_1G - SIZE_2M, SIZE_2M, rw);
    expect_leaf(&p, HIGH + SIZE_1G + 12345, SIZE_1G, SIZE_1G, rw);
    expect_leaf(&p, HIGH + 2 * SIZE_1G, 2 * SIZE_1G, SIZE_2M, rw);
    expect_leaf(&p, HIGH + end - 1, end - PAGE, PAGE, rw);
    assert_int_equal(paging_find(&p, HIGH + end, NULL), 0);
    assert_int_equal(check_leaves(pool_table(pool, p.root), 4), 5);
}

static void test_without_1g_pages(void **state)
{
    (void)state;
    struct paging p = new_tables();

    p.pages_1g = false;
    assert_int_equal(paging_map(&p, HIGH, 0, SIZE_1G, PAGING_WRITE), PAGING_OK);
    expect_leaf(&p, HIGH, 0, SIZE_2M, PTE_WRITE | PTE_NOEXEC);
    assert_int_equal(check_leaves(pool_table(pool, p.root), 4), SIZE_1G / SIZE_2M);
}

/* Different offsets within 2 MiB leave only small pages. */
static void test_misaligned_to_each_other(void **state)
{
    (void)state;
    struct paging p = new_tables();

    assert_int_equal(paging_map(&p, HIGH, PAGE, SIZE_2M, PAGING_WRITE), PAGING_OK);
    expect_leaf(&p, HIGH, PAGE, PAGE, PTE_WRITE | PTE_NOEXEC);
    assert_int_equal(check_leaves(pool_table(pool, p.root), 4), ENTRIES);
}

static void test_guard_pages_stay_absent(void **state)
{
    (void)state;
    struct paging p = new_tables();
    enum {
        STACK_PAGES = 4,
        STACKS = 3
    };
    uint64_t next = HIGH;

    for (unsigned i = 0; i < STACKS; i++) {
        uint64_t bottom = next + PAGE;
        next = bottom + STACK_PAGES * PAGE;
        assert_int_equal(
            paging_map(&p, bottom, SIZE_2M * (i + 1), STACK_PAGES * PAGE, PAGING_WRITE), PAGING_OK);
    }
    for (unsigned page = 0; page <= STACKS * (STACK_PAGES + 1); page++) {
        bool mapped = paging_find(&p, HIGH + (uint64_t)page * PAGE, NULL) != 0;
        assert_int_equal(mapped, page % (STACK_PAGES + 1) != 0);
    }
}

static void test_taken(void **state)
{
    (void)state;
    struct paging p = new_tables();

    assert_int_equal(paging_map(&p, HIGH, 0, SIZE_2M, PAGING_READ), PAGING_OK);
    assert_int_equal(paging_map(&p, HIGH + PAGE, 0, PAGE, PAGING_WRITE), PAGING_TAKEN);
    assert_int_equal(paging_map(&p, HIGH, 0, SIZE_2M, PAGING_WRITE), PAGING_TAKEN);
    assert_int_equal(paging_map(&p, HIGH + SIZE_2M, 0, PAGE, PAGING_READ), PAGING_OK);
    assert_int_equal(paging_map(&p, HIGH + SIZE_2M, 0, PAGE, PAGING_READ), PAGING_TAKEN);
    assert_int_equal(paging_map(&p, HIGH + SIZE_2M, 0, SIZE_2M, PAGING_READ), PAGING_TAKEN);
    expect_leaf(&p, HIGH, 0, SIZE_2M, PTE_NOEXEC);
}

static void test_bad_ranges(void **state)
{
    (void)state;
    struct paging p = new_tables();

    assert_int_equal(paging_map(&p, HIGH + 1, 0, PAGE, 0), PAGING_BAD);
    assert_int_equal(paging_map(&p, HIGH, 1, PAGE, 0), PAGING_BAD);
    assert_int_equal(paging_map(&p, HIGH, 0, PAGE + 1, 0), PAGING_BAD);
    assert_int_equal(paging_map(&p, HIGH, 0, 0, 0), PAGING_BAD);
    assert_int_equal(paging_map(&p, 0x0000800000000000ull, 0, PAGE, 0), PAGING_BAD);
    assert_int_equal(paging_map(&p, 0x00007ffffffff000ull, 0, 2 * PAGE, 0), PAGING_BAD);
    assert_int_equal(paging_map(&p, 0, 0, 0xffff800000001000ull, 0), PAGING_BAD);
    assert_int_equal(paging_map(&p, HIGH, 1ull << 52, PAGE, 0), PAGING_BAD);
    assert_int_equal(paging_map(&p, HIGH, (1ull << 52) - PAGE, 2 * PAGE, 0), PAGING_BAD);
    assert_int_equal(pool_used, 1);
    assert_int_equal(paging_map(&p, 0xfffffffffffff000ull, (1ull << 52) - PAGE, PAGE, 0),
                     PAGING_OK);
    assert_int_equal(paging_find(&p, 0x0000800000000000ull, NULL), 0);
}

static void test_no_memory(void **state)
{
    (void)state;

    for (unsigned limit = 1; limit < 4; limit++) {
        struct paging p = new_tables();
        pool_limit = limit;
        assert_int_equal(paging_map(&p, HIGH, 0, PAGE, PAGING_WRITE), PAGING_NO_MEMORY);
        assert_int_equal(paging_find(&p, HIGH, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_pat),
        cmocka_unit_test(test_writable_and_executable_is_refused),
        cmocka_unit_test(test_largest_pages_at_edges),
        cmocka_unit_test(test_without_1g_pages),
        cmocka_unit_test(test_misaligned_to_each_other),
        cmocka_unit_test(test_guard_pages_stay_absent),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_bad_ranges),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
