/*
 * What the runtime drops of the translations of spaces, against a TLB by the rules of SDM 4.10 that
 * keeps all that it may: after each call that takes a right away no translation that still has it
 * is met, in whatever space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/page_tables.h"
#include "guest/runtime/space.h"
#include "guest/runtime/vcpu.h"

enum {
    SPACES = 4, /* space 0 and others */
    PAGES = 6,
    STEPS = 200000,
    FLUSH_ALL_FROM = 4,
    PCID_MASK = 0xfff,
};

/* What the code under test takes from the rest of the runtime. */
uint64_t space_cr3[SPACE_MAX + 1];
bool space_tagged, space_marks;
uint32_t spaces_made;
unsigned space_last;
size_t page_tables_flush_all_from = FLUSH_ALL_FROM;

static struct vcpu_local local;
static uint64_t cr3;
static uint64_t roots[SPACES][PAGING_ENTRIES] __attribute__((aligned(TRAPLINE_PAGE_SIZE)));
static bool denied[SPACES][PAGES]; /* by space 0 in everybody's, by another in its own */
static bool cached[SPACES][PAGES]; /* by PCID: there is a translation that allows the access */

struct vcpu_local *vcpu_self(void)
{
    return &local;
}

static unsigned current_pcid(void)
{
    return space_tagged ? cr3 & PCID_MASK : 0;
}

uint64_t read_cr3(void)
{
    return cr3;
}

void write_cr3(uint64_t value)
{
    assert_true(space_tagged || !(value & (SPACE_CR3_KEEP | PCID_MASK)));
    assert_false(value & SPACE_CR3_NONE);
    cr3 = value & ~SPACE_CR3_KEEP;
    if (!(value & SPACE_CR3_KEEP))
        memset(cached[current_pcid()], 0, sizeof(cached[0]));
}

static size_t page_number(uint64_t address)
{
    const size_t page = address / TRAPLINE_PAGE_SIZE;

    assert_true(page < PAGES);
    return page;
}

void invlpg(uint64_t address)
{
    cached[current_pcid()][page_number(address)] = false;
}

void invpcid(enum invpcid_type type, uint64_t pcid, uint64_t address)
{
    assert_true(space_tagged && !space_marks && pcid < SPACES);
    if (type == INVPCID_ADDRESS)
        cached[pcid][page_number(address)] = false;
    else if (type == INVPCID_PCID)
        memset(cached[pcid], 0, sizeof(cached[0]));
    else
        memset(cached, 0, sizeof(cached));
}

static size_t below(size_t limit)
{
    return (size_t)rand() % limit;
}

static bool exists(unsigned space)
{
    return space == 0 || space_root(space);
}

static void go(unsigned space)
{
    if (exists(space))
        write_cr3(space_marks ? space_take_mark(space) : space_cr3[space]);
}

/* A translation that is cached is used; else the tables say, and what they allow is cached. */
static void access_page(size_t page)
{
    const unsigned space = space_of(cr3);
    const bool allowed = !denied[0][page] && !denied[space][page];

    if (cached[current_pcid()][page])
        assert_true(allowed);
    cached[current_pcid()][page] |= allowed;
}

static void create(unsigned space)
{
    if (exists(space))
        return;
    memset(denied[space], 0, sizeof(denied[0]));
    space_cr3[space] = (uint64_t)roots[space] | (space_tagged ? space | SPACE_CR3_KEEP : 0);
    spaces_made++;
    if (space > space_last)
        space_last = space;
    space_flush(space);
}

static void destroy(unsigned space)
{
    if (space == 0 || !exists(space) || space == space_of(cr3))
        return;
    space_cr3[space] = SPACE_CR3_NONE;
    spaces_made--;
    while (space_last > 0 && !space_root(space_last))
        space_last--;
}

static void deny(unsigned space, size_t page, size_t pages)
{
    void *list[PAGES];

    if (!exists(space))
        return;
    for (size_t i = 0; i < pages; i++) {
        denied[space][page + i] = true;
        list[i] = (void *)((page + i) * TRAPLINE_PAGE_SIZE);
    }
    if (space)
        space_flush_pages(space, page * TRAPLINE_PAGE_SIZE, pages);
    else if (below(3) == 0)
        flush_all();
    else if (below(2))
        flush_pages(page * TRAPLINE_PAGE_SIZE, pages);
    else
        flush_list(list, pages);
}

static void step(void)
{
    const unsigned space = (unsigned)below(SPACES);
    const size_t page = below(PAGES), pages = 1 + below(PAGES - page);

    switch (below(10)) {
    case 0: create(space); break;
    case 1: destroy(space); break;
    case 2: deny(space, page, pages); break;
    case 3: memset(&denied[space][page], 0, pages); break;
    case 4:
    case 5: go(space); break;
    default: access_page(page);
    }
}

static void run(bool tagged, bool marks)
{
    srand(1);
    space_tagged = tagged;
    space_marks = marks;
    spaces_made = space_last = 0;
    local.space_stale = 0;
    memset(cached, 0, sizeof(cached));
    memset(denied, 0, sizeof(denied));
    for (unsigned space = 0; space < SPACES; space++) {
        roots[space][SPACE_SLOT] = space << 1;
        space_cr3[space] = SPACE_CR3_NONE;
    }
    space_cr3[0] = (uint64_t)roots[0] | (tagged ? SPACE_CR3_KEEP : 0);
    write_cr3(space_cr3[0]);
    for (unsigned i = 0; i < STEPS; i++)
        step();
}

static void test_invpcid(void **state)
{
    (void)state;
    run(true, false);
}

static void test_marks(void **state)
{
    (void)state;
    run(true, true);
}

static void test_no_pcids(void **state)
{
    (void)state;
    run(false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invpcid),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_no_pcids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
