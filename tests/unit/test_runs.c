/*
 * A guest that runs several times: each run begins like the first, on translation caches that hold
 * nothing of the run before, and what was counted is summed up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/channel.h"
#include "hv/disk.h"
#include "hv/flush.h"
#include "hv/memory.h"
#include "hv/policy_msr.h"
#include "hv/vmx_setup.h"
#include "tests/unit/hv_world.h"

enum {
    RUNS = 3,
    ADDRESS = 0x5000,
    CALLS = 4,
};

/* What the CPU does when the guest's only vCPU leaves it after the end. */
static void leave(void)
{
    unsigned invepts = world.invepts;

    vcpu_unload(world.vcpu);
    /* INVEPT for its EPTP drops guest-physical and combined mappings of every VPID (SDM 28.3.3.1).
     */
    assert_int_equal(world.invepts, invepts + 1);
    channel_guest_ends(world.guest);
    guest_release(world.guest);
}

static void one_run(int64_t code)
{
    struct guest *guest = world.guest;

    assert_int_equal(guest->state, GUEST_RUNNING);
    assert_int_equal(*(uint64_t *)ram(ADDRESS), 0);
    assert_int_equal(access_of(ADDRESS), EPT_ACCESS_RWX);
    assert_null(world.vcpu->trap_area);
    assert_int_equal(vcpu_vmcalls(world.vcpu), 0);
    /* The first load flushes whatever this CPU may hold under an EPTP that was used before. */
    assert_true(atomic_load(&world.vcpu->seen_gen) < atomic_load(&guest->flush_gen));
    flush_catch_up(world.vcpu);
    check_cache();

    assert_int_equal(guest_access(ADDRESS, EPT_ACCESS_W, 0x55), ACCESS_DONE);
    assert_int_equal(hypercall(TRAPLINE_HC_TRAP, 0x7000, 0, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_PROT1, ADDRESS, EPT_ACCESS_NONE, 0, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_TRACK, ADDRESS, 1, 1, 0), 0);
    assert_int_equal(hypercall(TRAPLINE_HC_NOP, 0, 0, 0, 0), 0);
    guest_exit(guest, code);
    assert_int_equal(guest->state, GUEST_EXITED);
    leave();
}

static void runs(void **state)
{
    struct trapline_stats sum = {0};
    struct vcpu *vcpu;
    struct cpu *cpu;

    (void)state;
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .repeat = RUNS,
        .features = {.page_2m = true, .page_1g = true, .accessed_dirty = true, .exec_only = true},
    });
    vcpu = world.vcpu;
    cpu = vcpu->cpu;
    one_run(0);
    assert_null(strstr(world.console, "exit code")); /* one line for all of them at the end */
    assert_true(guest_run_again(world.guest));
    assert_ptr_equal(world.guest->vcpus[0], vcpu);
    assert_ptr_equal(vcpu->cpu, cpu);
    vcpu->slice_end = UINT64_MAX;
    one_run(7);
    assert_non_null(strstr(world.console, "guest test: exit code 7"));
    assert_true(guest_run_again(world.guest));
    vcpu->slice_end = UINT64_MAX;
    one_run(0);
    assert_non_null(strstr(world.console, "guest test: exit code 0"));
    assert_false(guest_run_again(world.guest));
    assert_int_equal(world.guest->runs, RUNS);
    assert_int_equal(world.guest->failures, 1);
    vcpu_sum_stats(vcpu, &sum);
    assert_int_equal(sum.hypercalls, RUNS * CALLS);
    assert_true(world.guest->ept.stats.splits >= RUNS);
    world_close();
}

static void a_run_that_the_machine_has_no_memory_for(void **state)
{
    (void)state;
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .repeat = 2,
        .features = {.page_2m = true, .page_1g = true, .accessed_dirty = true, .exec_only = true},
    });
    one_run(0);
    world.out_of_memory = true;
    assert_false(guest_run_again(world.guest));
    assert_int_equal(world.guest->state, GUEST_STOPPED);
    assert_int_equal(world.guest->failures, 1);
    assert_non_null(strstr(world.console, "stopped: run 2 could not begin"));
    world_close();
}

/* Each run of a guest with a disk has an I/O bitmap of its own; nobody else passes any port. */
static void the_ports_of_a_disk(void **state)
{
    static uint8_t shared[PAGE];
    const struct trapline_info *info;

    (void)state;
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .guests = 2,
        .repeat = 2,
        .disk = HANDOVER_DISK_ATA1,
        .features = {.page_2m = true, .page_1g = true, .accessed_dirty = true, .exec_only = true},
    });
    policy_io_bitmap(shared);
    vmx_setup.io_bitmap = virt_to_phys(shared);
    for (unsigned run = 0; run < 2; run++) {
        uint64_t own = disk_io_bitmap_a(guests[0]);
        const uint8_t *bitmap = phys_to_virt(own);

        assert_int_not_equal(own, vmx_setup.io_bitmap);
        assert_int_equal(bitmap[0x170 / 8], 0);
        assert_int_equal(bitmap[0x376 / 8], 0xff & ~(1u << 0x376 % 8));
        assert_int_equal(bitmap[0x1f0 / 8], 0xff);
        info = ram(WORLD_RAM_MAX - GUEST_BOOT_AREA);
        assert_int_equal(info->disk_ports, 0x170);
        assert_int_equal(info->disk_control, 0x376);

        assert_int_equal(disk_io_bitmap_a(guests[1]), vmx_setup.io_bitmap);
        info = guest_ram(guests[1], WORLD_RAM_MAX - GUEST_BOOT_AREA);
        assert_int_equal(info->disk_ports, 0);
        assert_int_equal(info->disk_control, 0);

        guest_exit(guests[0], 0);
        leave();
        assert_int_equal(guests[0]->ports, 0);
        assert_int_equal(guest_run_again(guests[0]), run == 0);
    }
    world_close(); /* where what was not given back is found */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs),
        cmocka_unit_test(the_ports_of_a_disk),
        cmocka_unit_test(a_run_that_the_machine_has_no_memory_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
