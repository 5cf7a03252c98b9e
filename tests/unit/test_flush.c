/*
 * The shootdown of hv/flush.c with threads as CPUs and signals as NMIs, on the memory order of the
 * CPU that runs the tests. Each thread has a TLB of one page; what the protocol promises is that a
 * page is not written to after a call that took that right away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "hv/cpu.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/raised.h"
#include "hv/vcpu.h"

enum {
    CPUS = 4,
    VCPUS = 5,              /* the last CPU has two in turn */
    GUEST_WRITES = 1500000, /* at most, between two exits */
    NMIS_MIN = 3,
    RUN_MS = 3000,
    DEADLOCK_SECONDS = 100,
    SHOOTDOWNS_MIN = 2,
};

struct vmx_setup vmx_setup;
uint64_t fake_vmcs[FAKE_VMCS_FIELDS];
unsigned fake_vmwrites;

static struct guest guest;
static struct vcpu vcpus[VCPUS];
static struct cpu test_cpus[CPUS];
static pthread_t threads[CPUS];
static pthread_barrier_t begin, end;

static atomic_bool writable, forbidden, stop;
static atomic_uint wrong, shootdowns, own_shootdowns, nmis, writes;
static unsigned raises; /* under the lock */

/* What belongs to a CPU, and is only used by its thread and that thread's signal handler. */
struct local {
    struct cpu *cpu;
    uint64_t random;
    volatile bool tlb;
    volatile sig_atomic_t in_access; /* an access is one instruction: NMIs come before or after */
    volatile sig_atomic_t nmi_held;
};
static _Thread_local struct local local;

void fake_invept(enum invept_type type, uint64_t eptp)
{
    (void)type;
    (void)eptp;
    local.tlb = false;
}

void fake_invvpid(enum invvpid_type type, uint16_t vpid)
{
    (void)type;
    (void)vpid;
}

void raised_forget(struct guest *of)
{
    (void)of;
}

/* The fast way does all there is to do where no table waits for the flush. */
void ept_flushed(struct ept *ept)
{
    ept->flush_owed = false;
}

void cpu_kick(struct cpu *cpu)
{
    pthread_kill(threads[cpu - test_cpus], SIGUSR1);
}

static void handle_nmi(void)
{
    atomic_fetch_add(&nmis, 1);
    if (local.cpu->current)
        flush_catch_up(local.cpu->current);
}

static void on_signal(int number)
{
    (void)number;
    if (local.in_access)
        local.nmi_held = 1;
    else
        handle_nmi();
}

static unsigned below(unsigned limit)
{
    local.random = local.random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((local.random >> 33) % limit);
}

static void load(struct vcpu *vcpu)
{
    local.cpu->current = vcpu;
    atomic_store(&vcpu->loaded, true);
    flush_catch_up(vcpu);
}

static void unload(struct vcpu *vcpu)
{
    atomic_store(&vcpu->loaded, false);
}

/* A write by the guest: through the TLB, else by a walk; returns false when it faults. */
static bool write_page(void)
{
    bool allowed;

    local.in_access = 1;
    if (!local.tlb)
        local.tlb = atomic_load(&writable);
    allowed = local.tlb;
    if (allowed) {
        atomic_fetch_add(&writes, 1);
        if (atomic_load(&forbidden))
            atomic_fetch_add(&wrong, 1);
    }
    local.in_access = 0;
    if (local.nmi_held) {
        sigset_t nmi, before;

        /* The handler blocks NMIs as its delivery would have. */
        sigemptyset(&nmi);
        sigaddset(&nmi, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &nmi, &before);
        local.nmi_held = 0;
        handle_nmi();
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return allowed;
}

static void prot(struct vcpu *vcpu)
{
    guest_lock(vcpu);
    atomic_store_explicit(&writable, false, memory_order_relaxed);
    guest.ept.flush_owed = true;
    flush_ept(vcpu);
    atomic_store(&forbidden, true);
    guest_unlock(vcpu);
    atomic_fetch_add(&shootdowns, 1);
}

/* The guest takes the right away in its own tables, and has it forgotten by SHOOTDOWN. */
static void prot_own_tables(struct vcpu *vcpu)
{
    unsigned before;

    guest_lock(vcpu);
    atomic_store_explicit(&writable, false, memory_order_relaxed);
    before = raises;
    guest_unlock(vcpu);
    local.tlb = false;
    flush_call(vcpu, NULL);
    guest_lock(vcpu);
    if (raises == before)
        atomic_store(&forbidden, true);
    guest_unlock(vcpu);
    atomic_fetch_add(&own_shootdowns, 1);
}

static void unprot(struct vcpu *vcpu)
{
    guest_lock(vcpu);
    raises++;
    atomic_store(&forbidden, false);
    atomic_store_explicit(&writable, true, memory_order_relaxed);
    guest_unlock(vcpu);
}

static void run_guest(struct vcpu *vcpu)
{
    for (unsigned i = below(GUEST_WRITES); i && !atomic_load(&stop); i--) {
        if (!write_page() && below(GUEST_WRITES) == 0) { /* some look why, under the lock */
            guest_lock(vcpu);
            guest_unlock(vcpu);
        }
    }
}

static void *run_cpu(void *argument)
{
    const unsigned index = (unsigned)(uintptr_t)argument;
    struct vcpu *vcpu = &vcpus[index];

    local = (struct local){.cpu = &test_cpus[index], .random = index + 1};
    pthread_barrier_wait(&begin);
    load(vcpu);
    while (!atomic_load(&stop)) {
        run_guest(vcpu);
        switch (below(8)) {
        case 0: prot(vcpu); break;
        case 1:
        case 2: unprot(vcpu); break;
        case 3: prot_own_tables(vcpu); break;
        case 4:
            unload(vcpu);
            if (index == CPUS - 1)
                vcpu = vcpu == &vcpus[CPUS - 1] ? &vcpus[CPUS] : &vcpus[CPUS - 1];
            load(vcpu);
            break;
        default: break;
        }
    }
    unload(vcpu);
    local.cpu->current = NULL;
    pthread_barrier_wait(&end); /* nobody sends NMIs to a thread that is gone */
    return NULL;
}

static void set_up(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigaction(SIGUSR1, &action, NULL);
    atomic_store(&guest.flush_gen, 1);
    guest.vcpu_count = guest.vcpus_started = VCPUS;
    guest.leaf_barred = LEAF_BAR_VCPUS;
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i].guest = &guest;
        vcpus[i].cpu = &test_cpus[i < CPUS ? i : CPUS - 1];
        vcpus[i].index = i;
        guest.vcpus[i] = &vcpus[i];
    }
    pthread_barrier_init(&begin, NULL, CPUS);
    pthread_barrier_init(&end, NULL, CPUS);
}

static void test_no_write_after_the_right_is_gone(void **state)
{
    const struct timespec time = {.tv_sec = RUN_MS / 1000, .tv_nsec = RUN_MS % 1000 * 1000000};

    (void)state;
    set_up();
    alarm(DEADLOCK_SECONDS);
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_cpu, (void *)(uintptr_t)i), 0);
    nanosleep(&time, NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);
    alarm(0);
    print_message("%u shootdowns, %u NMIs, %u writes\n", atomic_load(&shootdowns),
                  atomic_load(&nmis), atomic_load(&writes));
    assert_int_equal(atomic_load(&wrong), 0);
    assert_true(atomic_load(&shootdowns) >= SHOOTDOWNS_MIN);
    assert_true(atomic_load(&own_shootdowns) >= SHOOTDOWNS_MIN);
    assert_true(atomic_load(&nmis) >= NMIS_MIN);
    assert_true(atomic_load(&writes) > 0);
    assert_int_equal(atomic_load(&guest.lock.held), 0);
    assert_int_equal(atomic_load(&guest.lock.head), atomic_load(&guest.lock.tail));
}

/* Of two that wait, the one that came first gets the lock first. */
static struct spinlock ordered;
static atomic_uint order;

static void *wait_in_order(void *argument)
{
    const unsigned place = (unsigned)(uintptr_t)argument;

    spin_lock(&ordered);
    if (atomic_fetch_add(&order, 1) != place)
        atomic_fetch_add(&wrong, 1);
    spin_unlock(&ordered);
    return NULL;
}

static void test_the_lock_is_given_in_order(void **state)
{
    pthread_t waiters[CPUS];

    (void)state;
    atomic_store(&wrong, 0);
    spin_lock(&ordered);
    for (unsigned i = 0; i < CPUS; i++) {
        assert_int_equal(pthread_create(&waiters[i], NULL, wait_in_order, (void *)(uintptr_t)i), 0);
        while (atomic_load(&ordered.tail) != i + 1)
            sched_yield();
    }
    assert_false(spin_try_turn(&ordered));
    spin_unlock(&ordered);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(waiters[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(atomic_load(&order), CPUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_lock_is_given_in_order),
        cmocka_unit_test(test_no_write_after_the_right_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
