/* TRACK and DIRTY as hypercalls: what is reported, into which memory, and what is never lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/memory.h"
#include "hv/vmx_setup.h"
#include "hv/pml.h"
#include "tests/unit/hv_world.h"

enum {
    TRACKED = 0x400000, /* two blocks */
    TRACKED_PAGES = 2 * BLOCK / PAGE,
    BUFFER = 0x100000,
    GUARD = 0xa5,
};

#define RAM_END ((uint64_t)WORLD_RAM_MAX)
#define ALIAS   (world.guest->alias_base)

static struct snapshot before, after;

enum tracking {
    BY_PROTECTION,
    BY_FLAGS,
    BY_LOG,
};

static void open_tracking(enum tracking tracking)
{
    world_open(&(struct world_options){.ram = WORLD_RAM_MAX,
                                       .pml = tracking == BY_LOG,
                                       .vcpus = tracking == BY_LOG ? 2 : 1,
                                       .features = {.page_2m = true,
                                                    .page_1g = true,
                                                    .accessed_dirty = tracking != BY_PROTECTION}});
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, TRACKED, TRACKED_PAGES, 1, 0), 0);
}

static void write_page(uint64_t gpa)
{
    assert_int_equal(guest_access(gpa, EPT_ACCESS_W, 1), ACCESS_DONE);
}

static int64_t dirty(uint64_t page, uint64_t pages, uint64_t buffer, uint64_t capacity)
{
    return hypercall(TRAPLINE_HC_DIRTY, page, pages, buffer, capacity);
}

static uint64_t entry_at(uint64_t buffer, unsigned i)
{
    return *(uint64_t *)ram(buffer + i * 8);
}

static void refused(int64_t error, uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx,
                    uint64_t r10)
{
    snapshot_take(&before);
    assert_int_equal(hypercall(number, rdi, rsi, rdx, r10), -error);
    snapshot_take(&after);
    assert_true(snapshot_same(&before, &after));
}

static void check_arguments(enum tracking tracking)
{
    open_tracking(tracking);
    write_page(TRACKED);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_TRACK, 0, 1, 2, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_TRACK, 0, 1, UINT64_MAX, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_TRACK, 0, 0, 1, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_TRACK, 8, 1, 1, 0);
    refused(TRAPLINE_ENOENT, TRAPLINE_HC_TRACK, RAM_END - PAGE, 2, 1, 0);
    assert_true(hypercall(TRAPLINE_HC_TRACK, PAGE, UINT64_MAX, 1, 0) < 0);
    assert_true(hypercall(TRAPLINE_HC_TRACK, PAGE, UINT64_MAX, 0, 0) < 0);

    refused(TRAPLINE_EINVAL, TRAPLINE_HC_DIRTY, TRACKED + 8, 1, BUFFER, 8);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_DIRTY, TRACKED, 0, BUFFER, 8);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_DIRTY, TRACKED, 1, BUFFER + 4, 8);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_DIRTY, TRACKED - PAGE, 2, BUFFER, 8); /* not tracked */
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_DIRTY, TRACKED, 2, RAM_END - 8, 2);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_DIRTY, TRACKED, 2, RAM_END, 1);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_DIRTY, TRACKED, 2, UINT64_MAX - 7, 2);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_DIRTY, TRACKED, 2, ALIAS, 2);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_DIRTY, TRACKED, 1ull << 61, BUFFER, 1ull << 61);
    assert_true(dirty(TRACKED, UINT64_MAX, BUFFER, UINT64_MAX) < 0);
    assert_true(dirty(TRACKED, UINT64_MAX, BUFFER, 1) < 0);
    assert_true(dirty(~0xfffull, 2, BUFFER, 8) < 0);
    /* A buffer that the guest itself could not write. */
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, BUFFER + PAGE, TRAPLINE_READ, 0, 0), 0);
    refused(TRAPLINE_EFAULT, TRAPLINE_HC_DIRTY, TRACKED, 2, BUFFER + PAGE - 8, 2);
    /* The capacity counts for no more than there are pages. */
    assert_int_equal(dirty(TRACKED, 1, BUFFER + PAGE - 8, UINT64_MAX), 1);
    assert_int_equal(entry_at(BUFFER + PAGE - 8, 0), TRACKED);
    world_close();
}

static void test_arguments(void **state)
{
    (void)state;
    check_arguments(BY_PROTECTION);
    check_arguments(BY_FLAGS);
    check_arguments(BY_LOG);
}

/* The buffer's second half lies in another block, which the host has elsewhere. */
static void check_buffer_across_blocks(enum tracking tracking)
{
    const unsigned count = 9, first_part = 4;
    uint64_t buffer = BLOCK - first_part * 8;

    open_tracking(tracking);
    for (unsigned i = 0; i < count; i++)
        write_page(TRACKED + i * 37 * (uint64_t)PAGE);
    memset(ram(buffer - 64), GUARD, 64 + first_part * 8);
    memset(ram(BLOCK), GUARD, PAGE);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, buffer, TRACKED_PAGES), count);
    assert_int_equal(world.rdx, 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(entry_at(buffer, i), TRACKED + i * 37 * (uint64_t)PAGE);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(((uint8_t *)ram(buffer - 64))[i], GUARD);
    for (unsigned i = (count - first_part) * 8; i < PAGE; i++)
        assert_int_equal(((uint8_t *)ram(BLOCK))[i], GUARD);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, buffer, TRACKED_PAGES), 0);
    world_close();
}

static void test_buffer_across_blocks(void **state)
{
    (void)state;
    check_buffer_across_blocks(BY_PROTECTION);
    check_buffer_across_blocks(BY_FLAGS);
    check_buffer_across_blocks(BY_LOG);
}

/* Whatever the capacity and wherever the block ends in the buffer, nothing is lost or told twice.
 */
static void check_capacity(enum tracking tracking)
{
    const unsigned count = 20;

    open_tracking(tracking);
    for (unsigned capacity = 0; capacity <= count + 1; capacity++) {
        for (unsigned part = 1; part < 6; part++) {
            uint64_t buffer = BLOCK - part * 8;
            unsigned seen = 0, room = capacity < count ? capacity : count;

            for (unsigned i = 0; i < count; i++)
                write_page(TRACKED + i * 51 * (uint64_t)PAGE);
            memset(ram(BLOCK), GUARD, PAGE);
            assert_int_equal(dirty(TRACKED, TRACKED_PAGES, buffer, capacity), room);
            assert_int_equal(world.rdx, count - room);
            for (; seen < room; seen++)
                assert_int_equal(entry_at(buffer, seen), TRACKED + seen * 51 * (uint64_t)PAGE);
            for (unsigned i = room > part ? (room - part) * 8 : 0; i < PAGE; i++)
                assert_int_equal(((uint8_t *)ram(BLOCK))[i], GUARD);
            assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, count), count - room);
            for (unsigned i = 0; seen < count; i++, seen++)
                assert_int_equal(entry_at(BUFFER, i), TRACKED + seen * 51 * (uint64_t)PAGE);
        }
    }
    world_close();
}

static void test_capacity(void **state)
{
    (void)state;
    check_capacity(BY_PROTECTION);
    check_capacity(BY_FLAGS);
    check_capacity(BY_LOG);
}

/* What the hypervisor writes for the guest is a change like the guest's own. */
static void check_hypervisor_writes(enum tracking tracking)
{
    uint64_t buffer = TRACKED + 5 * PAGE - 8; /* tracked itself, and across two pages */

    open_tracking(tracking);
    write_page(TRACKED + 100 * PAGE);
    write_page(TRACKED + 200 * PAGE);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, buffer, 16), 2);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 2);
    assert_int_equal(entry_at(BUFFER, 0), TRACKED + 4 * PAGE);
    assert_int_equal(entry_at(BUFFER, 1), TRACKED + 5 * PAGE);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, buffer, 16), 0); /* nothing was written */
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_STATS, TRACKED + BLOCK - 8, 0, 0, 0), 0);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 2);
    assert_int_equal(entry_at(BUFFER, 0), TRACKED + BLOCK - PAGE);
    assert_int_equal(entry_at(BUFFER, 1), TRACKED + BLOCK);
    world_close();
}

static void test_hypervisor_writes(void **state)
{
    (void)state;
    check_hypervisor_writes(BY_PROTECTION);
    check_hypervisor_writes(BY_FLAGS);
    check_hypervisor_writes(BY_LOG);
}

/* Through whichever address, and through one that is gone by the time of the question. */
static void check_aliases(enum tracking tracking)
{
    open_tracking(tracking);
    assert_int_equal(hypercall(TRAPLINE_HC_MAP2, TRACKED, 4, ALIAS, TRAPLINE_READ | TRAPLINE_WRITE),
                     0);
    write_page(ALIAS + PAGE);
    write_page(ALIAS + 3 * PAGE);
    assert_int_equal(hypercall(TRAPLINE_HC_UNMAP2, ALIAS + 3 * PAGE, 1, 0, 0), 0);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 2);
    assert_int_equal(entry_at(BUFFER, 0), TRACKED + PAGE);
    assert_int_equal(entry_at(BUFFER, 1), TRACKED + 3 * PAGE);
    write_page(ALIAS + PAGE);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 1);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_TRACK, ALIAS, 1, 1, 0);
    refused(TRAPLINE_EINVAL, TRAPLINE_HC_DIRTY, ALIAS, 1, BUFFER, 1);
    world_close();
}

static void test_aliases(void **state)
{
    (void)state;
    check_aliases(BY_PROTECTION);
    check_aliases(BY_FLAGS);
    check_aliases(BY_LOG);
}

/* Clearing a dirty flag owes a flush (SDM 28.3.5: a cached one is not set again); no change, none.
 */
static void check_flushes(enum tracking tracking)
{
    unsigned flushes;

    open_tracking(tracking);
    flushes = world.invepts;
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 0);
    assert_int_equal(world.invepts, flushes);
    write_page(TRACKED);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 1);
    assert_int_equal(world.invepts, flushes + 1);
    write_page(TRACKED);
    assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 0), 0);
    assert_int_equal(world.rdx, 1);
    assert_int_equal(world.invepts, flushes + 1);
    world_close();
}

static void test_flushes(void **state)
{
    (void)state;
    check_flushes(BY_PROTECTION);
    check_flushes(BY_FLAGS);
    check_flushes(BY_LOG);
}

/* The log overflows again and again between two calls, by all pages and by one and the same. */
static void test_log_overflows(void **state)
{
    (void)state;
    open_tracking(BY_LOG);
    for (unsigned round = 0; round < 3; round++) {
        unsigned full = world.log_full;

        for (unsigned i = 0; i < TRACKED_PAGES; i++)
            write_page(TRACKED + (i * 7 % TRACKED_PAGES) * (uint64_t)PAGE);
        assert_int_equal(world.log_full, full + TRACKED_PAGES / 512 - 1);
        assert_int_equal(world.guest->vcpus[0]->stats.exits[EXIT_REASON_PML_FULL], world.log_full);
        /* Some at a time; in order. */
        for (unsigned from = 0; from < TRACKED_PAGES; from += 256) {
            assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 256), 256);
            assert_int_equal(world.rdx, TRACKED_PAGES - from - 256);
            for (unsigned i = 0; i < 256; i++)
                assert_int_equal(((uint64_t *)ram(BUFFER))[i],
                                 TRACKED + (from + i) * (uint64_t)PAGE);
        }
        assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 256), 0);
    }
    for (unsigned i = 0; i < 3 * 512; i++) {
        write_page(TRACKED + 5 * PAGE);
        assert_int_equal(dirty(TRACKED, 1 + i % 200, BUFFER, 16), i % 200 >= 5);
        if (i % 200 < 5)
            assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 1);
    }
    /* Nothing is logged of pages that are not tracked. */
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, TRACKED, TRACKED_PAGES, 0, 0), 0);
    fake_vmcs[VMCS_PML_INDEX] = 511;
    write_page(TRACKED);
    write_page(BUFFER);
    assert_int_equal(fake_vmcs[VMCS_PML_INDEX], 511);
    world_close();
}

/* Whole tables at once, with pages among them that need care: aliased, unreadable, stale. */
static void test_log_of_whole_tables(void **state)
{
    static const unsigned written[] = {0, 1, 63, 64, 130, 511, 512, 700, 1023};
    const unsigned count = sizeof(written) / sizeof(written[0]);

    (void)state;
    open_tracking(BY_LOG);
    assert_int_equal(hypercall(TRAPLINE_HC_MAP2, TRACKED + 130 * PAGE, 2, ALIAS, 3), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < count; i++)
            write_page(written[i] == 130 ? ALIAS : TRACKED + written[i] * (uint64_t)PAGE);
        assert_int_equal(hypercall(TRAPLINE_HC_PROT1, TRACKED + 64 * PAGE, 0, 0, 0), 0);
        assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, TRACKED_PAGES), count);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(((uint64_t *)ram(BUFFER))[i], TRACKED + written[i] * (uint64_t)PAGE);
        assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, TRACKED_PAGES), 0);
        assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, TRACKED, TRACKED_PAGES, 0, 0), 0);
        /* Logged, and reported page by page before the log is taken. */
        write_page(TRACKED + 3 * PAGE);
        assert_int_equal(dirty(TRACKED + 3 * PAGE, 1, BUFFER, 1), 1);
    }
    world_close();
}

/* What other vCPUs have written, whether they run, or ran until their logs were taken. */
static void test_log_of_others(void **state)
{
    struct vcpu *other;

    (void)state;
    open_tracking(BY_LOG);
    other = world.guest->vcpus[1];
    world.guest->vcpus_started = 2;
    other->seen_gen = UINT64_MAX; /* no NMI is to be sent: there is no other CPU */
    for (unsigned round = 0; round < 4; round++) {
        bool loaded = round % 2;

        atomic_store(&other->loaded, true);
        world_turn(1);
        write_page(TRACKED + 9 * PAGE);
        write_page(TRACKED + 700 * PAGE);
        if (!loaded) {
            pml_unload(other);
            assert_int_equal(fake_vmcs[VMCS_PML_INDEX], 511);
            atomic_store(&other->loaded, false);
        }
        world_turn(0);
        write_page(TRACKED + 8 * PAGE);
        assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 3);
        assert_int_equal(((uint64_t *)ram(BUFFER))[2], TRACKED + 700 * PAGE);
        /* What comes out of its log late is no news. */
        world_turn(1);
        pml_unload(other);
        atomic_store(&other->loaded, false);
        world_turn(0);
        assert_int_equal(dirty(TRACKED, TRACKED_PAGES, BUFFER, 16), 0);
    }
    world_close();
}

/* The log is found full while an event is delivered, or after IRET: nothing of that is lost. */
static void test_log_full_in_delivery(void **state)
{
    const uint64_t event = INTERRUPTION_VALID | EVENT_EXTERNAL_INTERRUPT << 8 | 0x40;

    (void)state;
    open_tracking(BY_LOG);
    fake_vmcs[VMCS_PML_INDEX] = 0xffff;
    fake_vmcs[VMCS_IDT_VECTORING_INFO] = event;
    fake_vmcs[VMCS_EXIT_QUALIFICATION] = 0;
    assert_true(vm_exit(EXIT_REASON_PML_FULL));
    assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO], event);
    assert_int_equal(fake_vmcs[VMCS_PML_INDEX], 511);
    fake_vmcs[VMCS_PML_INDEX] = 0xffff;
    fake_vmcs[VMCS_IDT_VECTORING_INFO] = 0;
    fake_vmcs[VMCS_EXIT_QUALIFICATION] = EPT_VIOLATION_NMI_UNBLOCKING;
    fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
    assert_true(vm_exit(EXIT_REASON_PML_FULL));
    assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY], INTERRUPTIBILITY_NMI);
    assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO], 0);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_buffer_across_blocks),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_hypervisor_writes),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_flushes),
        cmocka_unit_test(test_log_overflows),
        cmocka_unit_test(test_log_of_others),
        cmocka_unit_test(test_log_of_whole_tables),
        cmocka_unit_test(test_log_full_in_delivery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
