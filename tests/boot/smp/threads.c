/* Threads on vCPUs of one guest: starting, parking, locks, meetings, memory, and TRAP on all. */
#include <trapline/portable.h>

#include "threads.h"

enum {
    LOCK_ROUNDS = 3000,
    MEETINGS = 300,
    ITEMS = 2000,
    MEMORY_ROUNDS = 300,
    TRAP_ROUNDS = 300,
    FAR_TICKS = 200000,
    WAKES = 12,
    ASLEEP_TICKS = 60000, /* longer than the lead that one may have who computes */
    WAKE_TICKS = 20000,   /* a slice has 500,000 of the emulator's ticks */
};

static atomic_uint counter;

static void note_thread(void *argument)
{
    atomic_uint *const seen = argument;

    atomic_fetch_or(seen, 1u << vcpu_index());
    if (vcpu_index() != thread_self() || vcpu_index() == 0)
        atomic_fetch_or(seen, 1u << 31);
}

static void check_start(void)
{
    atomic_uint seen;

    EXPECT_EQ(vcpu_index(), 0);
    EXPECT_EQ(vcpu_count(), guest_info()->vcpus);
    EXPECT_EQ(thread_start(0, note_thread, &seen), -TRAPLINE_EINVAL);
    EXPECT_EQ(thread_start(vcpu_count(), note_thread, &seen), -TRAPLINE_EINVAL);
    EXPECT_EQ(thread_join(0), -TRAPLINE_EINVAL);
    EXPECT_EQ(thread_join(vcpu_count()), -TRAPLINE_EINVAL);
    EXPECT_EQ(thread_join(1), -TRAPLINE_ENOENT);
    for (int round = 0; round < 3; round++) {
        check_at("round %d", round);
        atomic_store(&seen, 0);
        threads_start(note_thread, &seen);
        EXPECT_EQ(thread_start(1, note_thread, &seen), -TRAPLINE_EEXIST);
        threads_join();
        EXPECT_EQ(atomic_load(&seen), (1u << vcpu_count()) - 2);
    }
}

#if !__STDC_HOSTED__
/* The hypercalls themselves, with what they refuse. */
static void check_calls(void)
{
    const uint64_t entry = (uint64_t)note_thread, bad = 1ul << 47;

    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, 0, entry, 0, 0).rax, -TRAPLINE_EEXIST);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, 1, entry, 0, 0).rax, -TRAPLINE_EEXIST);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, vcpu_count(), entry, 0, 0).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, 1ul << 32, entry, 0, 0).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, ~0ul, entry, 0, 0).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, 1, bad, 0, 0).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPARK, vcpu_count(), 0), -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPARK, 1ul << 32, 0), -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPARK, ~0ul, 0), -TRAPLINE_EINVAL);
    /* A token for oneself, two that count as one, and a park that times out. */
    hypercall2(TRAPLINE_HC_PARK, 1, 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPARK, 0, 0), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPARK, 0, 0), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_PARK, 0, 0), 1);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_PARK, 1, 0), 0);
    EXPECT_EQ(thread_unpark(vcpu_count()), -TRAPLINE_EINVAL);
}
#endif

static atomic_uint answers;

static void parker(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < MEETINGS; i++) {
        if (!thread_park(0))
            return;
        atomic_fetch_add(&answers, 1);
        thread_unpark(0);
    }
}

static void check_park(void)
{
    const unsigned others = vcpu_count() - 1;
    uint64_t start;

    check_at("a token");
    EXPECT_EQ(thread_unpark(0), 0);
    EXPECT_EQ(thread_unpark(0), 0);
    EXPECT(thread_park(0));
    check_at("a time-out");
    start = rdtsc();
    EXPECT(!thread_park(FAR_TICKS));
    EXPECT(rdtsc() - start >= FAR_TICKS);
    check_at("there and back");
    atomic_store(&answers, 0);
    threads_start(parker, NULL);
    for (unsigned round = 1; round <= MEETINGS; round++) {
        for (unsigned i = 1; i <= others; i++)
            thread_unpark(i);
        while (atomic_load(&answers) < round * others)
            thread_park(0);
    }
    threads_join();
    EXPECT_EQ(atomic_load(&answers), others * MEETINGS);
}

static struct mutex lock;
static volatile unsigned long shared[2];
static atomic_uint wrong;

static void lock_and_add(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < LOCK_ROUNDS; i++) {
        mutex_lock(&lock);
        if (shared[0] != shared[1])
            atomic_fetch_add(&wrong, 1);
        shared[0]++;
        if (i % 64 == 0)
            nap(); /* sometimes long enough for the others to park */
        shared[1]++;
        mutex_unlock(&lock);
    }
}

static void check_mutex(void)
{
    shared[0] = shared[1] = 0;
    EXPECT(mutex_try_lock(&lock));
    EXPECT(!mutex_try_lock(&lock));
    mutex_unlock(&lock);
    threads_start(lock_and_add, NULL);
    lock_and_add(NULL);
    threads_join();
    EXPECT_EQ(shared[0], (unsigned long)vcpu_count() * LOCK_ROUNDS);
    EXPECT_EQ(atomic_load(&wrong), 0);
    EXPECT(mutex_try_lock(&lock));
    mutex_unlock(&lock);
}

static struct barrier meeting;
static atomic_uint place[VCPUS_MAX], last_ones;

/* Nobody is ahead of the others by more than the meeting allows. */
static void meet(void *argument)
{
    (void)argument;
    for (unsigned i = 1; i <= MEETINGS; i++) {
        atomic_store(&place[vcpu_index()], i);
        if (i % 16 == vcpu_index())
            nap();
        if (barrier_wait(&meeting))
            atomic_fetch_add(&last_ones, 1);
        for (unsigned v = 0; v < vcpu_count(); v++) {
            const unsigned there = atomic_load(&place[v]);

            if (there != i && there != i + 1)
                atomic_fetch_add(&wrong, 1);
        }
    }
}

static void check_barrier(void)
{
    atomic_store(&wrong, 0);
    atomic_store(&last_ones, 0);
    barrier_init(&meeting, vcpu_count());
    threads_start(meet, NULL);
    meet(NULL);
    threads_join();
    EXPECT_EQ(atomic_load(&wrong), 0);
    EXPECT_EQ(atomic_load(&last_ones), MEETINGS);
}

/* A queue of one place. */
static struct condition filled, emptied;
static unsigned item, items_taken;
static unsigned long sum;
static bool closed;

static void take_items(void *argument)
{
    (void)argument;
    mutex_lock(&lock);
    for (;;) {
        while (!item && !closed)
            condition_wait(&filled, &lock);
        if (!item)
            break;
        sum += item;
        items_taken++;
        item = 0;
        condition_signal(&emptied);
    }
    mutex_unlock(&lock);
}

static void check_condition(void)
{
    condition_signal(&filled);
    condition_broadcast(&filled);
    threads_start(take_items, NULL);
    for (unsigned i = 1; i <= ITEMS; i++) {
        mutex_lock(&lock);
        while (item)
            condition_wait(&emptied, &lock);
        item = i;
        condition_signal(&filled);
        mutex_unlock(&lock);
    }
    mutex_lock(&lock);
    while (item)
        condition_wait(&emptied, &lock);
    closed = true;
    condition_broadcast(&filled);
    mutex_unlock(&lock);
    threads_join();
    EXPECT_EQ(items_taken, ITEMS);
    EXPECT_EQ(sum, (unsigned long)ITEMS * (ITEMS + 1) / 2);
}

/* Blocks and pages of all sizes, each filled with its owner's number. */
static void use_memory(void *argument)
{
    struct random random = {vcpu_index() + 1};
    unsigned char *blocks[16] = {0};
    size_t sizes[16] = {0};

    (void)argument;
    for (unsigned i = 0; i < MEMORY_ROUNDS; i++) {
        const unsigned which = random_below(&random, 16);
        const size_t count = 1 + random_below(&random, 4);
        char *const pages = pages_alloc(count, 1);

        for (size_t k = 0; k < sizes[which]; k++)
            if (blocks[which][k] != vcpu_index() + 1)
                atomic_fetch_add(&wrong, 1);
        free(blocks[which]);
        sizes[which] = 1 + random_below(&random, 2000);
        blocks[which] = malloc(sizes[which]);
        memset(blocks[which], (int)vcpu_index() + 1, sizes[which]);
        if (pages[17])
            atomic_fetch_add(&wrong, 1);
        pages[17] = 1;
        pages_free(pages, count);
        atomic_fetch_add(&counter, 1);
    }
    for (unsigned i = 0; i < 16; i++)
        free(blocks[i]);
}

static void check_memory(void)
{
    atomic_store(&wrong, 0);
    atomic_store(&counter, 0);
    threads_start(use_memory, NULL);
    use_memory(NULL);
    threads_join();
    EXPECT_EQ(atomic_load(&wrong), 0);
    EXPECT_EQ(atomic_load(&counter), vcpu_count() * MEMORY_ROUNDS);
}

/* TRAP on all at once: each has its own area, its own depth, its own stack. */
static struct region *trap_region;
static char *trap_pages;
static atomic_uint faults[VCPUS_MAX], nested[VCPUS_MAX];

static void on_fault(struct trapline_fault *fault)
{
    const unsigned self = vcpu_index();
    char *const own = trap_pages + 2 * PAGE * (size_t)self, *const page = trap_page(fault);
    char text[64];

    atomic_fetch_add(&faults[self], 1);
    if (fault->depth) {
        atomic_fetch_add(&nested[self], 1);
        if (page != own + PAGE || fault->depth != 1)
            atomic_fetch_add(&wrong, 1);
    } else {
        if (page != own || (char *)fault->rsp < (char *)&text)
            atomic_fetch_add(&wrong, 1);
        own[PAGE] = 1; /* forbidden, too */
    }
    free(malloc(100));
    snprintf(text, sizeof(text), "%u %p", self, (void *)page);
    if (region_unprot(trap_region, page))
        atomic_fetch_add(&wrong, 1);
}

static void trap_often(void *argument)
{
    volatile char *const own = trap_pages + 2 * PAGE * (size_t)vcpu_index();

    (void)argument;
    for (unsigned i = 0; i < TRAP_ROUNDS; i++) {
        double exact = vcpu_index() + 0.5;

        if (region_prot1(trap_region, (void *)own, TRAPLINE_READ) ||
            region_prot1(trap_region, (void *)(own + PAGE), TRAPLINE_NONE))
            atomic_fetch_add(&wrong, 1);
        __asm__ volatile("" : "+x"(exact));
        own[5] = (char)i;
        __asm__ volatile("" : "+x"(exact));
        if (exact != vcpu_index() + 0.5 || own[5] != (char)i)
            atomic_fetch_add(&wrong, 1);
    }
}

static void check_trap(void)
{
    EXPECT_EQ(region_create(&trap_region, 2 * vcpu_count(), 1, REGION_DEFAULT), 0);
    trap_pages = region_base(trap_region);
    atomic_store(&wrong, 0);
    trap(on_fault, 0);
    threads_start(trap_often, NULL);
    trap_often(NULL);
    threads_join();
    trap(NULL, 0);
    EXPECT_EQ(atomic_load(&wrong), 0);
    for (unsigned v = 0; v < vcpu_count(); v++) {
        check_at("vCPU %u", v);
        EXPECT_EQ(atomic_load(&faults[v]), 2 * TRAP_ROUNDS);
        EXPECT_EQ(atomic_load(&nested[v]), TRAP_ROUNDS);
    }
    region_destroy(trap_region);
}

/* Lines of several vCPUs stay whole: the test's expectations look at them. */
static void print_lines(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < 5; i++)
        printf("line %u of vCPU %u: %s\n", i, vcpu_index(), "abcdefghijklmnopqrstuvwxyz");
}

static void check_print(void)
{
    threads_start(print_lines, NULL);
    print_lines(NULL);
    threads_join();
}

#if !__STDC_HOSTED__
static _Atomic uint64_t woke_at;
static atomic_bool sleeper_ready;

static void note_waking(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < WAKES; i++) {
        atomic_store(&sleeper_ready, true);
        while (!thread_park(0))
            ;
        atomic_store(&woke_at, rdtsc());
    }
}

static void compute(void *argument)
{
    const atomic_bool *const stop = argument;

    while (!atomic_load(stop))
        __builtin_ia32_pause();
}

/*
 * Who was asleep has its CPU soon after it is woken, though others compute there all the time: the
 * last vCPU sleeps, all the others compute, the one that wakes it among them.
 */
static void check_wake(void)
{
    const unsigned sleeper = vcpu_count() - 1;
    atomic_bool stop = false;

    atomic_store(&sleeper_ready, false);
    EXPECT_EQ(thread_start(sleeper, note_waking, NULL), 0);
    for (unsigned v = 1; v < sleeper; v++)
        EXPECT_EQ(thread_start(v, compute, &stop), 0);
    for (unsigned i = 0; i < WAKES; i++) {
        uint64_t start;

        check_at("wake %u", i);
        WAIT_UNTIL(atomic_exchange(&sleeper_ready, false));
        for (start = rdtsc(); rdtsc() - start < ASLEEP_TICKS;)
            __builtin_ia32_pause();
        atomic_store(&woke_at, 0);
        start = rdtsc();
        EXPECT_EQ(thread_unpark(sleeper), 0);
        while (!atomic_load(&woke_at) && rdtsc() - start < 2 * WAKE_TICKS)
            __builtin_ia32_pause();
        EXPECT(atomic_load(&woke_at) && atomic_load(&woke_at) - start < WAKE_TICKS);
        WAIT_UNTIL(atomic_load(&woke_at));
    }
    atomic_store(&stop, true);
    threads_join();
}
#endif

static const struct check checks[] = {
    {"threads: start and join, and what they refuse", check_start},
#if !__STDC_HOSTED__
    {"threads: the hypercalls' errors, tokens, time-out", check_calls},
#endif
    {"threads: park and unpark", check_park},
    {"threads: a mutex", check_mutex},
    {"threads: a barrier", check_barrier},
    {"threads: conditions", check_condition},
    {"threads: malloc and pages_alloc on all", check_memory},
    {"threads: TRAP on all at once, nested", check_trap},
    {"threads: printf on all at once", check_print},
#if !__STDC_HOSTED__
    {"threads: who is woken runs soon", check_wake},
#endif
};

int main(void)
{
    return RUN_CHECKS(checks);
}
