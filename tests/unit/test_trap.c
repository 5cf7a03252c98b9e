/* TRAP, DIRTY, and the hypercalls that are not primitives, by what the guest gets to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/memory.h"
#include "hv/vmx_setup.h"
#include "tests/unit/hv_world.h"
#include "vmx/instructions.h"

enum {
    AREA = 0x300000,
    PAGE_AT = 0x210000, /* a page to protect */
    QUALIFICATION = EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED,
    CPL_3 = 3 << 5,
    NMI_BLOCKED = 1 << 3,
};

#define RAM_END ((uint64_t)WORLD_RAM_MAX)

static struct trapline_trap_area *area;

static uint32_t event(enum event_type type, unsigned vector)
{
    return INTERRUPTION_VALID | (uint32_t)type << INTERRUPTION_TYPE_SHIFT | vector;
}

/* A machine with a handler and a page that nobody may touch. */
static void open_with_handler(void)
{
    world_open_plain();
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, AREA, 0, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_NONE, 0, 0), 0);
    area = ram(AREA);
}

static void test_trap_arguments(void **state)
{
    (void)state;
    world_open_plain();
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, AREA + 8, 0, 0, 0), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, RAM_END, 0, 0, 0), -TRAPLINE_ENOENT);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, world.guest->alias_base, 0, 0, 0),
                     -TRAPLINE_ENOENT);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, ~0xfffull, 0, 0, 0), -TRAPLINE_ENOENT);
    assert_null(world.vcpu->trap_area);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, RAM_END - PAGE, 0, 0, 0), 0);
    assert_ptr_equal(world.vcpu->trap_area, ram(RAM_END - PAGE));
    /* A refused one leaves the handler that was there. */
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, 1, 0, 0, 0), -TRAPLINE_EINVAL);
    assert_ptr_equal(world.vcpu->trap_area, ram(RAM_END - PAGE));
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, 0, 0, 0, 0), 0);
    assert_null(world.vcpu->trap_area);
    world_close();
}

/* The area as the CPU fills it for #VE (SDM 25.5.7.2), and vector 20 without an error code. */
static void test_delivery(void **state)
{
    static const enum ept_access kinds[] = {EPT_ACCESS_R, EPT_ACCESS_W, EPT_ACCESS_RW,
                                            EPT_ACCESS_X};

    (void)state;
    open_with_handler();
    for (unsigned i = 0; i < 4; i++) {
        uint64_t gpa = PAGE_AT + 0x123 * i, qualification = QUALIFICATION | kinds[i];

        memset(area, 0, sizeof(*area));
        area->pad[0] = 0x1234;
        assert_int_equal(violate(gpa, qualification, 0), ACCESS_TRAPPED);
        assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO],
                         event(EVENT_HARDWARE_EXCEPTION, TRAPLINE_VECTOR_TRAP));
        assert_int_equal(area->reason, 48);
        assert_int_equal(area->busy, UINT32_MAX);
        assert_int_equal(area->qualification, qualification);
        assert_int_equal(area->physical, gpa);
        assert_int_equal(area->linear, gpa);
        assert_int_equal(area->eptp_index, 0);
        assert_int_equal(area->pad[0], 0x1234);
        assert_int_equal(world.vcpu->stats.traps, i + 1);
        area->busy = 0;
    }
    assert_int_equal(world.vcpu->stats.exits[EXIT_REASON_EPT_VIOLATION], 4);
    world_close();
}

static void test_stops(void **state)
{
    (void)state;
    open_with_handler();
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_R, 0), ACCESS_TRAPPED);
    /* The handler faults before it has cleared busy. */
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_R, 0), ACCESS_STOPPED);
    assert_non_null(strstr(world.guest->stop_reason, "busy"));
    assert_int_equal(world.dumps, 1);
    world_close();

    open_with_handler();
    area->busy = 1; /* any value but 0 */
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_R, 0), ACCESS_STOPPED);
    world_close();

    open_with_handler();
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, 0, 0, 0, 0), 0);
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_R, 0), ACCESS_STOPPED);
    assert_non_null(strstr(world.guest->stop_reason, "no TRAP handler"));
    world_close();

    open_with_handler();
    assert_int_equal(guest_access(RAM_END, EPT_ACCESS_R, 0), ACCESS_STOPPED);
    assert_non_null(strstr(world.guest->stop_reason, "no memory"));
    assert_int_equal(area->busy, 0);
    world_close();

    open_with_handler(); /* beyond what the tables can hold */
    assert_int_equal(violate(1ull << 47, QUALIFICATION | EPT_ACCESS_R, 0), ACCESS_STOPPED);
    world_close();
}

/* Nesting: the handler has cleared busy and meets a forbidden page itself. */
static void test_nesting(void **state)
{
    (void)state;
    open_with_handler();
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(guest_access(PAGE_AT + i, EPT_ACCESS_W, 0), ACCESS_TRAPPED);
        assert_int_equal(area->physical, PAGE_AT + i);
        area->busy = 0;
    }
    world_close();
}

/*
 * The access was part of an event's delivery. TRAP goes first where the event happens again by
 * itself, and before an interrupt, which is pending again then; #DF or TRAP's own delivery would
 * never get through.
 */
static void test_event_in_delivery(void **state)
{
    static const struct {
        enum event_type type;
        unsigned vector;
        bool stops;
    } events[] = {
        {EVENT_HARDWARE_EXCEPTION, 14, false},
        {EVENT_HARDWARE_EXCEPTION, 13, false},
        {EVENT_HARDWARE_EXCEPTION, 6, false},
        {EVENT_SOFTWARE_INTERRUPT, 0x80, false},
        {EVENT_SOFTWARE_EXCEPTION, 3, false},
        {EVENT_HARDWARE_EXCEPTION, 8, true},
        {EVENT_HARDWARE_EXCEPTION, TRAPLINE_VECTOR_TRAP, true},
        {EVENT_EXTERNAL_INTERRUPT, 0x40, false},
        {EVENT_NMI, 2, true},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        open_with_handler();
        assert_int_equal(
            violate(PAGE_AT, QUALIFICATION | EPT_ACCESS_W, event(events[i].type, events[i].vector)),
            events[i].stops ? ACCESS_STOPPED : ACCESS_TRAPPED);
        assert_int_equal(area->busy, events[i].stops ? 0 : UINT32_MAX);
        assert_int_equal(vapic_requested(&world.vcpu->vapic),
                         events[i].type == EVENT_EXTERNAL_INTERRUPT ? 0x40 : VAPIC_NONE);
        world_close();
    }
}

/* A violation that needs no TRAP lets the event, whatever it is, be delivered again. */
static void test_redelivery(void **state)
{
    (void)state;
    open_with_handler();
    fake_vmcs[VMCS_IDT_VECTORING_ERROR_CODE] = 6;
    fake_vmcs[VMCS_EXIT_INSTRUCTION_LENGTH] = 2;
    assert_int_equal(violate(PAGE_AT + PAGE, QUALIFICATION | EPT_ACCESS_W,
                             event(EVENT_HARDWARE_EXCEPTION, 14) | INTERRUPTION_ERROR_CODE),
                     ACCESS_DONE);
    assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO],
                     event(EVENT_HARDWARE_EXCEPTION, 14) | INTERRUPTION_ERROR_CODE);
    assert_int_equal(fake_vmcs[VMCS_ENTRY_EXCEPTION_ERROR_CODE], 6);
    assert_int_equal(world.vcpu->stats.spurious, 1);
    assert_int_equal(violate(PAGE_AT + PAGE, QUALIFICATION | EPT_ACCESS_W, event(EVENT_NMI, 2)),
                     ACCESS_DONE);
    assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO], event(EVENT_NMI, 2));
    world_close();
}

/* An IRET that met the page had unblocked NMIs already: block them again (SDM 27.2.3). */
static void test_nmi_unblocking(void **state)
{
    const uint64_t qualification = QUALIFICATION | EPT_ACCESS_R | EPT_VIOLATION_NMI_UNBLOCKING;

    (void)state;
    open_with_handler();
    assert_int_equal(violate(PAGE_AT, qualification, 0), ACCESS_TRAPPED);
    assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY], NMI_BLOCKED);
    area->busy = 0;
    fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
    assert_int_equal(violate(PAGE_AT + PAGE, qualification, 0),
                     ACCESS_DONE); /* a retry owes it too */
    assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY], NMI_BLOCKED);
    fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
    assert_int_equal(violate(PAGE_AT, qualification, event(EVENT_HARDWARE_EXCEPTION, 14)),
                     ACCESS_TRAPPED); /* undefined with an event in delivery */
    assert_int_equal(fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY], 0);
    world_close();
}

/* Raising a right owes no flush: the retry finds it, or a violation that is spurious. */
static void test_handler_unprotects(void **state)
{
    unsigned flushes;

    (void)state;
    open_with_handler();
    flushes = world.invepts;
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_W, 0x77), ACCESS_TRAPPED);
    assert_int_equal(*(uint8_t *)ram(PAGE_AT), 0); /* the instruction had no effect */
    area->busy = 0;
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_READ | TRAPLINE_WRITE, 0, 0),
                     0);
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_W, 0x77), ACCESS_DONE);
    assert_int_equal(*(uint8_t *)ram(PAGE_AT), 0x77);
    assert_int_equal(violate(PAGE_AT, QUALIFICATION | EPT_ACCESS_W, 0), ACCESS_DONE);
    assert_int_equal(world.vcpu->stats.spurious, 1);
    assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO], 0);
    assert_int_equal(world.invepts, flushes);
    world_close();
}

/* Without dirty flags a first write faults and is resolved; the guest must not hear of it. */
static void test_tracking_by_faults(void **state)
{
    uint64_t buffer = 0x100000;

    (void)state;
    world_open(&(struct world_options){.ram = WORLD_RAM_MAX,
                                       .features = {.page_2m = true, .exec_only = true}});
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, PAGE_AT, 4, 1, 0), 0);
    assert_int_equal(guest_access(PAGE_AT + PAGE, EPT_ACCESS_W, 1), ACCESS_DONE);
    assert_int_equal(world.vcpu->stats.tracked, 1);
    assert_int_equal(guest_access(PAGE_AT + PAGE, EPT_ACCESS_W, 2), ACCESS_DONE);
    assert_int_equal(world.vcpu->stats.tracked, 1);
    assert_int_equal(hypercall(TRAPLINE_HC_DIRTY, PAGE_AT, 4, buffer, 4), 1);
    assert_int_equal(*(uint64_t *)ram(buffer), PAGE_AT + PAGE);
    assert_int_equal(guest_access(PAGE_AT + PAGE, EPT_ACCESS_W, 3), ACCESS_DONE);
    assert_int_equal(world.vcpu->stats.tracked, 2);
    /* The write was the CPU's, of a frame for an event: that event comes again. */
    assert_int_equal(violate(PAGE_AT + 2 * PAGE, QUALIFICATION | EPT_ACCESS_W,
                             event(EVENT_EXTERNAL_INTERRUPT, 0x40)),
                     ACCESS_DONE);
    assert_int_equal(world.vcpu->stats.tracked, 3);
    assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO],
                     event(EVENT_EXTERNAL_INTERRUPT, 0x40));
    /* Protection comes before tracking. */
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, PAGE_AT, TRAPLINE_READ, 0, 0), 0);
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_W, 1), ACCESS_STOPPED);
    assert_int_equal(world.vcpu->stats.tracked, 3);
    world_close();
}

/*
 * A long PROTN takes the VMCALL's own page away before it is done. The guest's handler runs, gives
 * the page back, and may make a long call of its own: that one is not taken for the first, and the
 * first is complete when it returns.
 */
static void test_trap_within_protn(void **state)
{
    enum {
        COUNT = 3 * PROTN_CHUNK,
        OTHERS = 2 * PROTN_CHUNK
    };
    const uint64_t list = 0x100000, others = 0x140000, code = PAGE_AT;
    unsigned exits = 0;

    (void)state;
    open_with_handler();
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, code, 1, 0, 0), 0);
    for (unsigned i = 0; i < COUNT; i++)
        *(uint64_t *)ram(list + i * 8) = i == 0 ? code : 0x400000 + (uint64_t)(i % 512) * PAGE;
    for (unsigned i = 0; i < OTHERS; i++)
        *(uint64_t *)ram(others + i * 8) = 0x600000 + (uint64_t)(i % 256) * PAGE;
    while (access_of(code) == 7) {
        assert_false(hypercall_once(TRAPLINE_HC_PROTN, list, COUNT, TRAPLINE_NONE, 0));
        exits++;
    }
    assert_int_equal(exits, 4); /* three chunks are checked, one is changed */
    assert_int_equal(guest_access(code, EPT_ACCESS_X, 0), ACCESS_TRAPPED);
    area->busy = 0;
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, code, 1, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROTN, others, OTHERS, TRAPLINE_READ, 0), 0);
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(access_of(0x600000 + (uint64_t)i * PAGE), 1);
    assert_int_equal(hypercall(TRAPLINE_HC_PROTN, list + 8, COUNT - 1, TRAPLINE_NONE, 0), 0);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(access_of(0x400000 + (uint64_t)i * PAGE), 0);
    assert_int_equal(access_of(code), 7);
    assert_int_equal(hypercall(TRAPLINE_HC_PROTN, list, COUNT, TRAPLINE_NONE, 0), 0);
    assert_int_equal(access_of(code), 0);
    world_close();
}

/* Large pages that must not be executed (the iTLB multihit erratum) are split when they are. */
static void test_fetch_splits(void **state)
{
    unsigned flushes;

    (void)state;
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .features = {.page_2m = true, .accessed_dirty = true, .nx_huge = true}});
    flushes = world.invepts;
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_W, 1), ACCESS_DONE);
    assert_int_equal(world.violations, 0);
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_X, 0), ACCESS_DONE);
    assert_int_equal(world.violations, 1);
    assert_int_equal(world.invepts, flushes + 1);
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_X, 0), ACCESS_DONE);
    assert_int_equal(world.violations, 1);
    world_close();

    /* Without table memory that ends the guest, with the reason. */
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .budget = EPT_TABLES_BASE + EPT_TABLES_PER_GIB,
        .features = {.page_2m = true, .accessed_dirty = true, .nx_huge = true}});
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_X, 0), ACCESS_STOPPED);
    assert_non_null(strstr(world.guest->stop_reason, "budget"));
    world_close();
}

/* VMCALL exits at every CPL, and only CPL 0 is answered; numbers that do not exist have an error.
 */
static void test_hypercalls_in_user_mode(void **state)
{
    static struct snapshot before, after;

    (void)state;
    open_with_handler();
    snapshot_take(&before);
    for (uint64_t number = 0; number < 64; number++) {
        if (number >= TRAPLINE_HC_COUNT)
            assert_int_equal(hypercall(number, PAGE_AT, 1, 0, 0), -TRAPLINE_ENOSYS);
        fake_vmcs[VMCS_GUEST_SS_ACCESS_RIGHTS] |= CPL_3;
        assert_int_equal(hypercall(number, PAGE_AT, 1, 0, 0), -TRAPLINE_EPERM);
        fake_vmcs[VMCS_GUEST_SS_ACCESS_RIGHTS] &= ~(uint64_t)CPL_3;
    }
    assert_int_equal(hypercall(UINT64_MAX, 0, 0, 0, 0), -TRAPLINE_ENOSYS);
    assert_int_equal(hypercall(1ull << 32, 0, 0, 0, 0), -TRAPLINE_ENOSYS);
    snapshot_take(&after);
    assert_true(snapshot_same(&before, &after));
    assert_int_equal(world.vcpu->stats.refused_hypercalls, 64 + 64 - TRAPLINE_HC_COUNT + 2);
    /* Number 0 does nothing, whatever the other registers hold. */
    assert_int_equal(hypercall(0, UINT64_MAX, 1, UINT64_MAX, 1), 0);
    assert_int_equal(world.rdx, UINT64_MAX);
    world_close();
}

static void test_print(void **state)
{
    uint64_t text = BLOCK - 6;

    (void)state;
    open_with_handler();
    memcpy(ram(text), "Hello,", 6);
    memcpy(ram(BLOCK), " world", 6);
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, text, 12, 0, 0), 12);
    assert_string_equal(world.console, "Hello, world");
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, text, 0, 0, 0), 0);
    memset(ram(0x100000), 'x', 5000);
    world.console_length = 0;
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, 0x100000, 5000, 0, 0), 4096);
    assert_int_equal(world.console_length, 4096);
    world.console_length = 0;
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, PAGE_AT, 1, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, PAGE_AT - 1, 2, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, RAM_END - 1, 2, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, RAM_END, 1, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, UINT64_MAX, 1, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, UINT64_MAX - 10, UINT64_MAX, 0, 0),
                     -TRAPLINE_EFAULT);
    assert_int_equal(world.console_length, 0);
    world_close();
}

static void test_stats(void **state)
{
    uint64_t at = BLOCK - 16; /* across two blocks */
    struct trapline_stats stats;

    (void)state;
    open_with_handler();
    assert_int_equal(guest_access(PAGE_AT, EPT_ACCESS_R, 0), ACCESS_TRAPPED);
    assert_int_equal(hypercall(TRAPLINE_HC_STATS, at + 4, 0, 0, 0), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_STATS, PAGE_AT, 0, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_STATS, PAGE_AT - 8, 0, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_STATS, RAM_END - 8, 0, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_STATS, UINT64_MAX - 7, 0, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_STATS, at, 0, 0, 0), 0);
    memcpy(&stats, ram(at), 16);
    memcpy((char *)&stats + 16, ram(BLOCK), sizeof(stats) - 16);
    assert_int_equal(stats.hypercalls, 8);
    assert_int_equal(stats.exits, 9);
    assert_int_equal(stats.traps, 1);
    assert_int_equal(stats.flushes, world.invepts);
    assert_int_equal(stats.splits, 1);
    assert_int_equal(stats.table_budget, world.guest->pool.pages);
    assert_true(stats.table_pages > 0 && stats.table_pages < stats.table_budget);
    world_close();
}

static void test_exit(void **state)
{
    (void)state;
    open_with_handler();
    assert_int_equal(hypercall(TRAPLINE_HC_EXIT, (uint64_t)-5, 0, 0, 0), INT64_MAX);
    assert_int_equal(world.guest->state, GUEST_EXITED);
    assert_int_equal(world.guest->exit_code, -5);
    assert_non_null(strstr(world.console, "exit code -5"));
    world_close();
}

/* A guest alone on the console cannot print a line that passes for the hypervisor's, in however
 * many calls. */
static void test_print_does_not_forge(void **state)
{
    static const char said[] = "a trapline: b\ntrapline: end ok\ntraps\n\ntrapline\ntrapline:";
    enum {
        LENGTH = sizeof(said) - 1
    };
    char expected[256];

    (void)state;
    open_with_handler();
    assert_int_equal(guest_count, 1);
    snprintf(expected, sizeof(expected),
             "a trapline: b\n[%s] trapline: end ok\ntraps\n\ntrapline\n[%s] trapline:",
             world.guest->config->name, world.guest->config->name);
    memcpy(ram(BLOCK), said, LENGTH);
    for (unsigned cut = 0; cut <= LENGTH; cut++) {
        world.guest->line_length = 0;
        world.console_length = 0;
        hypercall(TRAPLINE_HC_PRINT, BLOCK, cut, 0, 0);
        hypercall(TRAPLINE_HC_PRINT, BLOCK + cut, LENGTH - cut, 0, 0);
        assert_string_equal(world.console, expected);
    }
    world.guest->line_length = 0;
    world.console_length = 0;
    for (unsigned i = 0; i < LENGTH; i++)
        hypercall(TRAPLINE_HC_PRINT, BLOCK + i, 1, 0, 0);
    assert_string_equal(world.console, expected);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_arguments),
        cmocka_unit_test(test_delivery),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_event_in_delivery),
        cmocka_unit_test(test_redelivery),
        cmocka_unit_test(test_nmi_unblocking),
        cmocka_unit_test(test_handler_unprotects),
        cmocka_unit_test(test_tracking_by_faults),
        cmocka_unit_test(test_trap_within_protn),
        cmocka_unit_test(test_fetch_splits),
        cmocka_unit_test(test_hypercalls_in_user_mode),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_print_does_not_forge),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_exit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
