/* TRAP by #VE: what the VMCS says, and which pages are noted as raised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/memory.h"
#include "hv/raised.h"
#include "hv/vmx_setup.h"
#include "tests/unit/hv_world.h"
#include "vmx/controls.h"
#include "vmx/instructions.h"

enum {
    AREA = 0x300000,
    OTHER_AREA = 0x301000,
    PAGE_AT = 0x210000, /* a page to protect */
    UNPROT_IT = 8,
    CONTROLS = VMX_PROC2_ENABLE_EPT | VMX_PROC2_ENABLE_VPID,
};

static struct trapline_trap_area *area;

static void open_machine(bool ve, bool accessed_dirty)
{
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .features = {.page_2m = true,
                     .page_1g = true,
                     .accessed_dirty = accessed_dirty,
                     .exec_only = true,
                     .ve = ve},
    });
    fake_vmcs[VMCS_PROC_CONTROLS2] = CONTROLS;
    area = ram(AREA);
    memset(area, 0xff, PAGE);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, AREA, 0, 0, 0), 0);
}

static bool noted(uint64_t gpa)
{
    uint64_t page = gpa / PAGE % TRAPLINE_RAISED_BITS;

    return area->raised[page / 64] >> page % 64 & 1;
}

static unsigned noted_count(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < TRAPLINE_RAISED_BITS / 64; i++)
        count += (unsigned)__builtin_popcountll(area->raised[i]);
    return count;
}

static void test_registration(void **state)
{
    unsigned before;

    (void)state;
    open_machine(true, true);
    assert_int_equal(fake_vmcs[VMCS_PROC_CONTROLS2], CONTROLS | VMX_PROC2_EPT_VIOLATION_VE);
    assert_int_equal(fake_vmcs[VMCS_VE_INFORMATION_ADDRESS], virt_to_phys(area));
    assert_int_equal(noted_count(), 0);
    assert_int_equal(area->busy, UINT32_MAX); /* the guest's, as is the rest of the page */

    before = world.invepts;
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, OTHER_AREA, 0, 0, 0), 0);
    assert_int_equal(world.invepts, before + 1);
    assert_int_equal(fake_vmcs[VMCS_VE_INFORMATION_ADDRESS], virt_to_phys(ram(OTHER_AREA)));
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, OTHER_AREA + 8, 0, 0, 0), -TRAPLINE_EINVAL);
    assert_int_equal(fake_vmcs[VMCS_PROC_CONTROLS2], CONTROLS | VMX_PROC2_EPT_VIOLATION_VE);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, 0, 0, 0, 0), 0);
    assert_int_equal(fake_vmcs[VMCS_PROC_CONTROLS2], CONTROLS);
    world_close();
}

/* Without the control, or without dirty flags: everything stays with the exits. */
static void test_without(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        open_machine(i == 1, i == 0);
        assert_int_equal(fake_vmcs[VMCS_PROC_CONTROLS2], CONTROLS);
        assert_int_equal(noted_count(), TRAPLINE_RAISED_BITS);
        for (unsigned n = 0; n < 2; n++) {
            assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_READ, 0, 0), 0);
            memset(area->raised, 0, sizeof(area->raised));
            assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, PAGE_AT, 1, 0, 0), 0);
            assert_int_equal(noted_count(), 0);
            assert_int_equal(world.guest->leaf_barred, 0);
            assert_int_equal(hypercall(TRAPLINE_HC_NOP, 0, 0, 0, 0), 0); /* the other way */
        }
        world_close();
    }
}

/* Each on both ways: exits take the shortest one in turn. */
static void test_single_pages(void **state)
{
    static const struct {
        unsigned from, to; /* to: by PROT1, or UNPROT_IT */
        bool flushed;      /* what this CPU has cached is dropped */
    } rows[] = {
        {TRAPLINE_NONE, UNPROT_IT, false},
        {TRAPLINE_READ, UNPROT_IT, true},
        {TRAPLINE_EXEC, UNPROT_IT, true},
        {TRAPLINE_READ | TRAPLINE_EXEC, UNPROT_IT, true},
        {TRAPLINE_NONE, TRAPLINE_READ, false},
        {TRAPLINE_NONE, TRAPLINE_READ | TRAPLINE_WRITE, false},
        {TRAPLINE_READ, TRAPLINE_READ | TRAPLINE_WRITE, true},
        {TRAPLINE_READ, TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC, true},
        {TRAPLINE_EXEC, TRAPLINE_READ | TRAPLINE_EXEC, true},
    };

    (void)state;
    open_machine(true, true);
    /* The first protection splits; this page's table is then as it is in use. */
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT + PAGE, TRAPLINE_NONE, 0, 0), 0);
    for (unsigned i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned row = i / 2, before;

        if (i % 2)
            hypercall(TRAPLINE_HC_NOP, 0, 0, 0, 0);
        assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, PAGE_AT, 1, 0, 0), 0);
        assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_NONE, 0, 0), 0);
        assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, rows[row].from, 0, 0), 0);
        before = world.invepts;
        if (rows[row].to == UNPROT_IT)
            assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, PAGE_AT, 1, 0, 0), 0);
        else
            assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, rows[row].to, 0, 0), 0);
        assert_int_equal(world.invepts - before, rows[row].flushed);
        assert_int_equal(noted_count(), 0);
    }
    world_close();
}

static void test_ranges(void **state)
{
    struct trapline_range *list;
    unsigned before;

    (void)state;
    open_machine(true, true);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_READ, 0, 0), 0);
    before = world.invepts;
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, PAGE_AT, 2, 0, 0), 0);
    assert_true(world.invepts > before);

    list = ram(OTHER_AREA);
    list->page = PAGE_AT;
    list->pages = 3;
    assert_int_equal(
        hypercall(TRAPLINE_HC_PROTN, OTHER_AREA, 1, TRAPLINE_READ | TRAPLINE_LIST_RANGES, 0), 0);
    before = world.invepts;
    assert_int_equal(hypercall(TRAPLINE_HC_PROTN, OTHER_AREA, 1,
                               TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_LIST_RANGES, 0),
                     0);
    assert_true(world.invepts > before);
    assert_int_equal(noted_count(), 0);
    world_close();
}

/* What one vCPU raises is noted for the other, until all translations are dropped. */
static void test_other_vcpu(void **state)
{
    uint64_t alike = PAGE_AT + (uint64_t)TRAPLINE_RAISED_BITS * PAGE;
    struct trapline_trap_area *own;
    static struct vcpu other;

    (void)state;
    open_machine(true, true);
    own = ram(OTHER_AREA);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, OTHER_AREA, 0, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT + PAGE, TRAPLINE_NONE, 0, 0), 0);
    /* A second vCPU that is not loaded, with the area that was the first one's. */
    memset(&other, 0, sizeof(other));
    other.guest = world.guest;
    other.trap_area = area;
    memset(area->raised, 0, sizeof(area->raised));
    world.guest->vcpus[1] = &other;
    world.guest->vcpu_count = 2;
    world.guest->vcpus_started = 2;
    world.guest->leaf_barred |= LEAF_BAR_VCPUS;

    for (uint64_t page = 0x200000; page < WORLD_RAM_MAX; page += 37 * PAGE)
        assert_int_equal(hypercall(TRAPLINE_HC_PROT1, page, TRAPLINE_READ, 0, 0), 0);
    assert_int_equal(noted_count(), 0);
    for (uint64_t page = 0x200000; page < WORLD_RAM_MAX; page += 37 * PAGE) {
        assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, page, 1, 0, 0), 0);
        assert_true(noted(page));
    }
    assert_true(noted_count() > 30);
    assert_int_equal(own->raised[0], 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_NONE, 0, 0), 0);
    assert_int_equal(noted_count(), 0);
    assert_int_equal(world.guest->leaf_barred, LEAF_BAR_VCPUS);

    /* Stays protected, so that the tables around it stay. */
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT + 80 * PAGE, TRAPLINE_NONE, 0, 0), 0);
    /* Nothing can be cached of a page without rights. */
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, PAGE_AT, 1, 0, 0), 0);
    assert_int_equal(noted_count(), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, alike, TRAPLINE_READ, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, alike, 1, 0, 0), 0);
    assert_true(noted(PAGE_AT));
    assert_int_equal(noted_count(), 1);
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, PAGE_AT, 70, 0, 0), 0);
    assert_true(noted(PAGE_AT + 69 * PAGE));
    assert_int_equal(noted_count(), 70);
    /* One that merges tables flushes, and then there is nothing to note. */
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, 0, WORLD_RAM_MAX / PAGE, 0, 0), 0);
    assert_int_equal(noted_count(), 0);

    world.guest->vcpus[1] = NULL;
    world.guest->vcpu_count = 1;
    world.guest->vcpus_started = 1;
    world.guest->leaf_barred = 0;
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registration), cmocka_unit_test(test_without),
        cmocka_unit_test(test_single_pages), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_other_vcpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
