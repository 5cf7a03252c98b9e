/*
 * Channels between two guests: what each call does and refuses, that a refusal changes nothing,
 * that nobody goes on with pages that were withdrawn, and what is left of a channel at each end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/channel.h"
#include "hv/flush.h"
#include "hv/interrupt.h"
#include "hv/memory.h"
#include "tests/unit/hv_world.h"

enum {
    NAME = 0x3000, /* where a guest keeps the other's name */
    SHARED = 0x5000,
    PAGES = 3,
    LEFT = 0, /* the guests */
    RIGHT = 1,
};

static const struct ept_features features = {
    .page_2m = true, .page_1g = true, .accessed_dirty = true, .exec_only = true};

static uint64_t window(unsigned page)
{
    return guests[RIGHT]->alias_base + page * (uint64_t)PAGE;
}

static void open_world(uint64_t budget)
{
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX, .budget = budget, .guests = 2, .features = features});
    world_enter(RIGHT);
    strcpy(ram(NAME), "test");
    world_enter(LEFT);
    strcpy(ram(NAME), "test-1");
}

static int64_t offer(uint64_t page, uint64_t pages, uint64_t access)
{
    return hypercall(TRAPLINE_HC_OFFER, NAME, page, pages, access);
}

static int64_t accept(uint64_t address, uint64_t pages)
{
    return hypercall(TRAPLINE_HC_ACCEPT, NAME, address, pages, 0);
}

static int64_t withdraw(uint64_t channel)
{
    return hypercall(TRAPLINE_HC_WITHDRAW, channel, 0, 0, 0);
}

static int64_t ring(uint64_t channel)
{
    return hypercall(TRAPLINE_HC_RING, channel, 0, 0, 0);
}

static int64_t listen(uint64_t channel, uint64_t vcpu, uint64_t vector)
{
    return hypercall(TRAPLINE_HC_LISTEN, channel, vcpu, vector, 0);
}

/* Whether a guest's vCPU was unparked since the last time. */
static bool rung(unsigned guest)
{
    return atomic_exchange(&guests[guest]->vcpus[0]->unparked, false);
}

/* Left offers three pages, across a block's end, and right accepts them; then it is right's turn.
 */
static void share(unsigned access)
{
    assert_int_equal(offer(BLOCK - PAGE, PAGES, access), 0);
    world_enter(RIGHT);
    assert_int_equal(accept(window(0), 100), 0);
    assert_int_equal(world.rdx, PAGES * PAGE + access);
}

static void both_see_the_same_pages(void **state)
{
    (void)state;
    open_world(0);
    share(EPT_ACCESS_RW);
    for (unsigned i = 0; i < PAGES; i++) {
        struct ept_translation here, there;

        assert_int_equal(ept_lookup(&guests[RIGHT]->ept, window(i), &here), EPT_OK);
        assert_int_equal(ept_lookup(&guests[LEFT]->ept, BLOCK - PAGE + i * (uint64_t)PAGE, &there),
                         EPT_OK);
        assert_int_equal(here.hpa, there.hpa);
        assert_int_equal(here.full, EPT_ACCESS_RW);
        assert_int_equal(here.access, EPT_ACCESS_RW);
        assert_int_equal(here.memtype, there.memtype);
    }
    assert_int_equal(guest_access(window(1), EPT_ACCESS_W, 0x77), ACCESS_DONE);
    world_enter(LEFT);
    assert_int_equal(*(uint8_t *)ram(BLOCK), 0x77);
    assert_true(rung(LEFT)); /* by the acceptance */
    world_close();
}

static void fewer_pages_than_offered(void **state)
{
    (void)state;
    open_world(0);
    assert_int_equal(offer(SHARED, 8, EPT_ACCESS_R), 0);
    assert_int_equal(offer(2 * SHARED, 1, EPT_ACCESS_RX), 1);
    world_enter(RIGHT);
    assert_int_equal(accept(window(4), 2), 0);
    assert_int_equal(world.rdx, 2 * PAGE + EPT_ACCESS_R);
    assert_int_equal(guest_access(window(5), EPT_ACCESS_R, 0), ACCESS_DONE);
    assert_int_equal(access_of(window(6)), 0);
    assert_int_equal(accept(window(6), 1), 1); /* the next one in order */
    assert_int_equal(world.rdx, PAGE + EPT_ACCESS_RX);
    assert_int_equal(accept(window(7), 1), -TRAPLINE_EAGAIN);
    world_close();
}

static void offers_that_are_refused(void **state)
{
    static const struct {
        uint64_t page, pages, access;
        int64_t error;
    } cases[] = {
        {SHARED + 1, 1, 1, -TRAPLINE_EINVAL},
        {SHARED, 0, 1, -TRAPLINE_EINVAL},
        {SHARED, TRAPLINE_CHANNEL_PAGES + 1, 1, -TRAPLINE_EINVAL},
        {SHARED, 1ull << 52, 1, -TRAPLINE_EINVAL},
        {SHARED, UINT64_MAX, 1, -TRAPLINE_EINVAL},
        {SHARED, 1, 0, -TRAPLINE_EINVAL},
        {SHARED, 1, 2, -TRAPLINE_EINVAL},
        {SHARED, 1, 4, -TRAPLINE_EINVAL},
        {SHARED, 1, 8, -TRAPLINE_EINVAL},
        {SHARED, 1, 1ull << 32 | 1, -TRAPLINE_EINVAL},
        {WORLD_RAM_MAX, 1, 1, -TRAPLINE_ENOENT},
        {WORLD_RAM_MAX - PAGE, 2, 1, -TRAPLINE_ENOENT},
        {1ull << 30, 1, 1, -TRAPLINE_ENOENT},
        {~0xfffull, 1, 1, -TRAPLINE_ENOENT},
    };
    struct snapshot before, after;

    (void)state;
    open_world(0);
    snapshot_take(&before);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(offer(cases[i].page, cases[i].pages, cases[i].access), cases[i].error);
    strcpy(ram(NAME), "test");
    assert_int_equal(offer(SHARED, 1, 1), -TRAPLINE_EINVAL); /* its own name */
    strcpy(ram(NAME), "test-");
    assert_int_equal(offer(SHARED, 1, 1), -TRAPLINE_ENOENT);
    strcpy(ram(NAME), "test-11");
    assert_int_equal(offer(SHARED, 1, 1), -TRAPLINE_ENOENT);
    memset(ram(NAME), 'x', TRAPLINE_NAME_LEN);
    assert_int_equal(offer(SHARED, 1, 1), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_OFFER, WORLD_RAM_MAX - 8, SHARED, 1, 1),
                     -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_OFFER, UINT64_MAX - 8, SHARED, 1, 1), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, NAME, EPT_ACCESS_NONE, 0, 0), 0);
    assert_int_equal(offer(SHARED, 1, 1), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, NAME, 1, 0, 0), 0);
    snapshot_take(&after);
    strcpy(ram(NAME), "test-1");
    for (unsigned i = 0; i < TRAPLINE_CHANNELS; i++)
        assert_int_equal(offer(SHARED, 1, 1), i);
    assert_int_equal(offer(SHARED, 1, 1), -TRAPLINE_ENOMEM);
    assert_int_equal(withdraw(7), 0);
    assert_int_equal(offer(SHARED, 1, 1), 7);
    world_close();
}

static void acceptances_that_are_refused(void **state)
{
    struct snapshot before, after;

    (void)state;
    open_world(0);
    world_enter(RIGHT);
    assert_int_equal(accept(window(0), 1), -TRAPLINE_EAGAIN);
    world_enter(LEFT);
    assert_int_equal(offer(SHARED, PAGES, EPT_ACCESS_RW), 0);
    assert_int_equal(accept(window(0), 1), -TRAPLINE_EAGAIN); /* its own offer */
    world_enter(RIGHT);
    assert_int_equal(hypercall(TRAPLINE_HC_MAP2, SHARED, 1, window(2), EPT_ACCESS_R), 0);
    snapshot_take(&before);
    assert_int_equal(accept(window(0), PAGES), -TRAPLINE_EEXIST);
    assert_int_equal(accept(window(0) + 8, 1), -TRAPLINE_EINVAL);
    assert_int_equal(accept(window(0), 0), -TRAPLINE_EINVAL);
    assert_int_equal(accept(window(0), UINT64_MAX), -TRAPLINE_EINVAL);
    assert_int_equal(accept(SHARED, 1), -TRAPLINE_EINVAL);
    assert_int_equal(accept(window(0) - PAGE, 1), -TRAPLINE_EINVAL);
    assert_int_equal(accept(guests[RIGHT]->alias_base + guests[RIGHT]->alias_size - PAGE, 2),
                     -TRAPLINE_EINVAL);
    assert_int_equal(accept(~0xfffull, 1), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_ACCEPT, WORLD_RAM_MAX, window(0), 1, 0),
                     -TRAPLINE_EFAULT);
    snapshot_take(&after);
    assert_true(snapshot_same(&before, &after));
    assert_int_equal(accept(window(0), 2), 0); /* which is free */
    world_close();
}

/* Where tables are short, an acceptance fails as a whole, and succeeds when there are some again.
 */
static void no_tables(void **state)
{
    uint64_t least, refused = 0;

    (void)state;
    open_world(0);
    least = guests[RIGHT]->pool.used;
    world_close();
    for (uint64_t budget = least; budget < least + 16; budget++) {
        struct snapshot before, after;
        int64_t result;

        open_world(budget);
        assert_int_equal(offer(BLOCK - PAGE, PAGES, EPT_ACCESS_RW), 0);
        world_enter(RIGHT);
        check_cache();
        snapshot_take(&before);
        result = accept(window(0), PAGES);
        if (result) {
            assert_int_equal(result, -TRAPLINE_ENOMEM);
            snapshot_take(&after);
            assert_true(snapshot_same(&before, &after));
            assert_int_equal(ring(0), -TRAPLINE_ENOENT);
            refused++;
        }
        world_close();
        if (result == 0) {
            assert_true(refused > 0);
            return;
        }
    }
    fail_msg("no budget is enough");
}

/* The pages are the acceptor's to protect, and nothing else. */
static void what_can_be_done_with_the_pages(void **state)
{
    struct trapline_range *range;

    (void)state;
    open_world(0);
    share(EPT_ACCESS_RW);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, 0x7000, 0, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PRINT, window(0), 4, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_STATS, window(0), 0, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, window(0), 0, 0, 0), -TRAPLINE_ENOENT);
    assert_int_equal(hypercall(TRAPLINE_HC_PROTN, window(0), 1, 0, 0), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_OFFER, NAME, window(0), 1, 1), -TRAPLINE_ENOENT);
    assert_int_equal(hypercall(TRAPLINE_HC_OFFER, window(0), SHARED, 1, 1), -TRAPLINE_EFAULT);
    assert_int_equal(hypercall(TRAPLINE_HC_MAP2, window(2), 1, window(8), 1), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_MAP2, window(2), 2, window(8), 1), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_MAP2, SHARED, 1, window(2), 1), -TRAPLINE_EEXIST);
    assert_int_equal(hypercall(TRAPLINE_HC_UNMAP2, window(2), 1, 0, 0), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, window(2), 1, 1, 0), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, window(2), 1, 0, 0), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_DIRTY, window(2), 1, 0x9000, 1), -TRAPLINE_EINVAL);

    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, window(1), EPT_ACCESS_R, 0, 0), 0);
    assert_int_equal(guest_access(window(1), EPT_ACCESS_W, 1), ACCESS_TRAPPED);
    guests[RIGHT]->vcpus[0]->trap_area->busy = 0;
    assert_int_equal(access_of(window(0)), EPT_ACCESS_RW);
    range = ram(0x8000);
    *range = (struct trapline_range){window(0), PAGES};
    assert_int_equal(
        hypercall(TRAPLINE_HC_PROTN, 0x8000, 1, TRAPLINE_LIST_RANGES | EPT_ACCESS_NONE, 0), 0);
    assert_int_equal(access_of(window(2)), EPT_ACCESS_NONE);
    assert_int_equal(hypercall(TRAPLINE_HC_UNPROT, window(0), PAGES, 0, 0), 0);
    assert_int_equal(access_of(window(1)), EPT_ACCESS_RW);

    /* The offerer's are its own. */
    world_enter(LEFT);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, BLOCK, EPT_ACCESS_NONE, 0, 0), 0);
    world_enter(RIGHT);
    assert_int_equal(guest_access(window(1), EPT_ACCESS_W, 2), ACCESS_DONE);
    world_close();
}

/* DIRTY would not see what the other side writes. */
static void tracking(void **state)
{
    (void)state;
    open_world(0);
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, SHARED, 2, 1, 0), 0);
    assert_int_equal(offer(SHARED - PAGE, 2, EPT_ACCESS_RW), -TRAPLINE_EINVAL);
    assert_int_equal(offer(SHARED - PAGE, 1, EPT_ACCESS_RW), 0);
    assert_int_equal(offer(SHARED, 1, EPT_ACCESS_RX), 1);
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, SHARED - PAGE, 1, 1, 0), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, SHARED - 2 * PAGE, 9, 1, 0), -TRAPLINE_EINVAL);
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, SHARED, 1, 0, 0), 0);
    assert_int_equal(withdraw(0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, SHARED - PAGE, 1, 1, 0), 0);
    world_close();
}

/* When the offerer's call returns, the other CPU has dropped what it had cached: one NMI. */
static void withdrawn_while_the_acceptor_runs(void **state)
{
    (void)state;
    open_world(0);
    share(EPT_ACCESS_RW);
    world_run_elsewhere(RIGHT);
    check_cache();
    world_enter(LEFT);
    (void)rung(RIGHT);
    assert_int_equal(withdraw(0), 0); /* which looks at both caches */
    assert_int_equal(world.kicks, 1);
    assert_true(rung(RIGHT));
    assert_int_equal(withdraw(0), -TRAPLINE_ENOENT);
    world_close();
}

/* A vCPU that is not loaded is left alone, and flushes before it runs again. */
static void withdrawn_while_the_acceptor_waits(void **state)
{
    struct vcpu *right;

    (void)state;
    open_world(0);
    share(EPT_ACCESS_RW);
    right = world.vcpu;
    flush_catch_up(right);
    world_enter(LEFT);
    assert_int_equal(withdraw(0), 0);
    assert_int_equal(world.kicks, 0);
    assert_true(atomic_load(&right->seen_gen) < atomic_load(&guests[RIGHT]->flush_gen));
    world_enter(RIGHT);
    flush_catch_up(right);
    check_cache();
    world_close();
}

static void an_access_to_what_is_gone(void **state)
{
    (void)state;
    open_world(0);
    share(EPT_ACCESS_RW);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, 0x7000, 0, 0, 0), 0);
    world_enter(LEFT);
    assert_int_equal(withdraw(0), 0);
    world_enter(RIGHT);
    flush_catch_up(world.vcpu);
    assert_int_equal(guest_access(window(2), EPT_ACCESS_W, 1), ACCESS_TRAPPED);
    assert_int_equal(world.vcpu->trap_area->qualification & (TRAPLINE_Q_GONE | EPT_ACCESS_RWX),
                     TRAPLINE_Q_GONE | EPT_ACCESS_W);
    assert_int_equal(world.vcpu->trap_area->physical, window(2));
    world.vcpu->trap_area->busy = 0;
    assert_int_equal(ring(0), -TRAPLINE_EPIPE);
    assert_int_equal(listen(0, 0, 0), -TRAPLINE_EPIPE);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, window(1), 0, 0, 0), -TRAPLINE_ENOENT);
    /* The address can be used again; the number when it is given back. */
    assert_int_equal(hypercall(TRAPLINE_HC_MAP2, SHARED, 1, window(1), EPT_ACCESS_R), 0);
    assert_int_equal(guest_access(window(1), EPT_ACCESS_R, 0), ACCESS_DONE);
    assert_int_equal(withdraw(0), 0);
    assert_int_equal(withdraw(0), -TRAPLINE_ENOENT);
    assert_int_equal(guest_access(window(2), EPT_ACCESS_R, 1), ACCESS_STOPPED);
    world_close();
}

static void an_access_to_what_is_gone_without_a_handler(void **state)
{
    (void)state;
    open_world(0);
    share(EPT_ACCESS_R);
    world_enter(LEFT);
    assert_int_equal(withdraw(0), 0);
    world_enter(RIGHT);
    flush_catch_up(world.vcpu);
    assert_int_equal(guest_access(window(0), EPT_ACCESS_R, 0), ACCESS_STOPPED);
    world_close();
}

static void withdrawn_by_the_acceptor(void **state)
{
    (void)state;
    open_world(0);
    share(EPT_ACCESS_RW);
    (void)rung(LEFT);
    assert_int_equal(withdraw(0), 0); /* and its own cache was looked at */
    assert_true(rung(LEFT));
    assert_int_equal(access_of(window(0)), 0);
    assert_int_equal(ring(0), -TRAPLINE_ENOENT);
    world_enter(LEFT);
    assert_int_equal(ring(0), -TRAPLINE_EPIPE);
    assert_int_equal(withdraw(0), 0);
    assert_int_equal(ring(0), -TRAPLINE_ENOENT);
    share(EPT_ACCESS_R);
    world_close();
}

static void rings(void **state)
{
    (void)state;
    open_world(0);
    world_enter(RIGHT);
    assert_int_equal(listen(TRAPLINE_CHANNEL_OFFERS, 1, 0), -TRAPLINE_EINVAL);
    assert_int_equal(listen(TRAPLINE_CHANNEL_OFFERS, 0, 15), -TRAPLINE_EINVAL);
    assert_int_equal(listen(TRAPLINE_CHANNEL_OFFERS, 0, 256), -TRAPLINE_EINVAL);
    assert_int_equal(listen(TRAPLINE_CHANNELS, 0, 0), -TRAPLINE_ENOENT);
    assert_int_equal(ring(UINT64_MAX), -TRAPLINE_ENOENT);
    world_enter(LEFT);
    assert_int_equal(offer(SHARED, 1, EPT_ACCESS_R), 0);
    assert_false(rung(RIGHT)); /* nobody listens */
    assert_int_equal(ring(0), -TRAPLINE_EAGAIN);
    assert_int_equal(withdraw(0), 0);
    world_enter(RIGHT);
    assert_int_equal(listen(TRAPLINE_CHANNEL_OFFERS, 0, 0), 0);
    world_enter(LEFT);
    assert_int_equal(offer(SHARED, 1, EPT_ACCESS_R), 0);
    assert_true(rung(RIGHT));
    assert_int_equal(listen(0, 0, 0x41), 0);
    world_enter(RIGHT);
    assert_int_equal(accept(window(0), 1), 0);
    assert_true(rung(LEFT));
    assert_int_equal(ring(0), 0);
    assert_true(rung(LEFT));
    assert_false(rung(RIGHT));
    assert_true(vapic_collect(&guests[LEFT]->vcpus[0]->vapic));
    assert_int_equal(vapic_requested(&guests[LEFT]->vcpus[0]->vapic), 0x41);
    world_enter(LEFT);
    assert_int_equal(ring(0), 0);
    assert_true(rung(RIGHT));
    world_close();
}

/* A guest ends: its channels close, offers to it wait for its next run or are dropped. */
static void ends(void **state)
{
    (void)state;
    open_world(0);
    share(EPT_ACCESS_RW);
    assert_int_equal(offer(SHARED, 1, EPT_ACCESS_R), 1); /* right's, to left */
    world_enter(LEFT);
    assert_int_equal(offer(SHARED, 1, EPT_ACCESS_R), 1);
    world_run_elsewhere(RIGHT);
    channel_guest_ends(guests[LEFT]);
    assert_int_equal(world.kicks, 1);
    world.guest = guests[RIGHT];
    check_cache();
    assert_int_equal(access_of(window(0)), 0);
    world_enter(RIGHT);
    assert_int_equal(ring(0), -TRAPLINE_EPIPE);
    assert_int_equal(ring(1), -TRAPLINE_EAGAIN);              /* left may run again and accept it */
    assert_int_equal(accept(window(9), 1), -TRAPLINE_EAGAIN); /* what it offered is gone */
    channel_guest_is_over(guests[LEFT]);
    assert_int_equal(ring(1), -TRAPLINE_EPIPE);
    assert_int_equal(withdraw(1), 0);
    assert_int_equal(offer(SHARED, 1, EPT_ACCESS_R), -TRAPLINE_EPIPE);
    world_close();
}

static void the_acceptor_ends(void **state)
{
    (void)state;
    open_world(0);
    share(EPT_ACCESS_RW);
    (void)rung(LEFT);
    channel_guest_ends(guests[RIGHT]);
    assert_true(rung(LEFT));
    world_enter(LEFT);
    assert_int_equal(ring(0), -TRAPLINE_EPIPE);
    assert_int_equal(withdraw(0), 0);
    assert_int_equal(offer(SHARED, 1, EPT_ACCESS_R), 0); /* it may run again */
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_see_the_same_pages),
        cmocka_unit_test(fewer_pages_than_offered),
        cmocka_unit_test(offers_that_are_refused),
        cmocka_unit_test(acceptances_that_are_refused),
        cmocka_unit_test(no_tables),
        cmocka_unit_test(what_can_be_done_with_the_pages),
        cmocka_unit_test(tracking),
        cmocka_unit_test(withdrawn_while_the_acceptor_runs),
        cmocka_unit_test(withdrawn_while_the_acceptor_waits),
        cmocka_unit_test(an_access_to_what_is_gone),
        cmocka_unit_test(an_access_to_what_is_gone_without_a_handler),
        cmocka_unit_test(withdrawn_by_the_acceptor),
        cmocka_unit_test(rings),
        cmocka_unit_test(ends),
        cmocka_unit_test(the_acceptor_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
