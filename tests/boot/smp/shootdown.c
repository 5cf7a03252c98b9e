/*
 * Rights that one vCPU takes away while others use them: when the call has returned none completes
 * a forbidden access, DIRTY misses no write, and no more interrupts are sent than must be.
 */
#include <trapline/portable.h>

#include "threads.h"

enum {
    ROUNDS = 40,
    WATCH_TICKS = 4000, /* how long a counter is watched that must not move */
    SHARED_PAGES = 64,
    DIRTY_PAGES = 48,
    DIRTY_ROUNDS = 60,
    CALLER_ROUNDS = 150,
    LIST = 700,
    SPARE_PAGES = 3 * PAGES_2M,
    ACCESS_RW = TRAPLINE_READ | TRAPLINE_WRITE,
};

static atomic_bool stop, hold;
static atomic_uint wrong, ready;
static atomic_uint trapped[VCPUS_MAX];
static bool own_cpus; /* each vCPU has a CPU for itself */
static struct region *region;
static char *target; /* the page, or the first of the pages, that is fought for */
static volatile uint64_t *alias;

/* An access to the target stays here while `hold` says so; what else is forbidden is wrong. */
static void on_fault(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);

    if (page < target || page >= target + SHARED_PAGES * PAGE)
        atomic_fetch_add(&wrong, 1);
    atomic_fetch_add(&trapped[vcpu_index()], 1);
    while (atomic_load(&hold))
        nap();
}

/* The TSC gets on by WATCH_TICKS, with turns for all vCPUs of this CPU. */
static void watch(void)
{
    const uint64_t start = rdtsc();

    nap();
    while (rdtsc() - start < WATCH_TICKS)
        __builtin_ia32_pause();
}

static void begin(thread_function *function, trap_handler *handler)
{
    atomic_store(&stop, false);
    atomic_store(&hold, false);
    atomic_store(&wrong, 0);
    atomic_store(&ready, 0);
    for (unsigned v = 0; v < VCPUS_MAX; v++)
        atomic_store(&trapped[v], 0);
    trap(handler, 0);
    threads_start(function, NULL);
}

static void end(void)
{
    atomic_store(&stop, true);
    threads_join();
    trap(NULL, 0);
    EXPECT_EQ(atomic_load(&wrong), 0);
}

static bool all_trapped(unsigned more_than[VCPUS_MAX])
{
    for (unsigned v = 1; v < vcpu_count(); v++)
        if (atomic_load(&trapped[v]) <= more_than[v])
            return false;
    return true;
}

static void note_trapped(unsigned counts[VCPUS_MAX])
{
    for (unsigned v = 1; v < vcpu_count(); v++)
        counts[v] = atomic_load(&trapped[v]);
}

/* Each vCPU has a counter in the page, and adds to it, while others look. */
static uint64_t counter(unsigned vcpu)
{
    return __atomic_load_n((uint64_t *)target + vcpu, __ATOMIC_RELAXED);
}

static void count_on(uint64_t *own)
{
    __atomic_store_n(own, __atomic_load_n(own, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static void hammer_writes(void *argument)
{
    uint64_t *const own = (uint64_t *)target + vcpu_index();

    (void)argument;
    while (!atomic_load(&stop))
        count_on(own);
}

static int lower_page(unsigned round)
{
    switch (round % 3) {
    case 0: return region_prot1(region, target, TRAPLINE_READ);
    case 1: {
        void *pages[2] = {target, target + PAGE};
        return region_protn(region, pages, 2, TRAPLINE_READ);
    }
    default: return region_protn_range(region, target, SHARED_PAGES, TRAPLINE_READ);
    }
}

static void check_writes(void)
{
    begin(hammer_writes, on_fault);
    for (unsigned round = 0; round < ROUNDS && check_good(); round++) {
        uint64_t then[VCPUS_MAX];
        unsigned before[VCPUS_MAX];

        check_at("round %u", round);
        note_trapped(before);
        for (unsigned v = 1; v < vcpu_count(); v++) {
            then[v] = counter(v);
            WAIT_UNTIL(counter(v) > then[v] + round);
        }
        atomic_store(&hold, true);
        EXPECT_EQ(lower_page(round), 0);
        for (unsigned v = 1; v < vcpu_count(); v++)
            then[v] = counter(v);
        watch();
        for (unsigned v = 1; v < vcpu_count(); v++)
            EXPECT_EQ(counter(v), then[v]);
        WAIT_UNTIL(all_trapped(before));
        for (unsigned v = 1; v < vcpu_count(); v++)
            EXPECT_EQ(counter(v), then[v]);
        EXPECT_EQ(region_unprot_range(region, target, SHARED_PAGES), 0);
        atomic_store(&hold, false);
    }
    end();
}

/* What the page says; copies[] is where the others leave it. */
static _Atomic uint64_t copies[VCPUS_MAX];

static void hammer_reads(void *argument)
{
    (void)argument;
    while (!atomic_load(&stop))
        atomic_store(&copies[vcpu_index()], *(volatile uint64_t *)target);
}

static void wait_for_copies(uint64_t value)
{
    for (unsigned v = 1; v < vcpu_count(); v++)
        WAIT_UNTIL(atomic_load(&copies[v]) == value);
}

static void expect_no_copy(uint64_t value)
{
    for (unsigned v = 1; v < vcpu_count(); v++)
        EXPECT(atomic_load(&copies[v]) != value);
}

/* With reading taken away the page changes through its alias, and nobody may read the new value. */
static void check_reads(void)
{
    uint64_t value = 1;

    *(volatile uint64_t *)target = value;
    begin(hammer_reads, on_fault);
    for (unsigned round = 0; round < ROUNDS && check_good(); round++) {
        unsigned before[VCPUS_MAX];

        check_at("round %u", round);
        note_trapped(before);
        wait_for_copies(value);
        atomic_store(&hold, true);
        EXPECT_EQ(region_prot1(region, target, TRAPLINE_NONE), 0);
        *alias = ++value;
        watch();
        expect_no_copy(value);
        WAIT_UNTIL(all_trapped(before));
        expect_no_copy(value);
        EXPECT_EQ(region_unprot_range(region, target, 1), 0);
        atomic_store(&hold, false);
    }
    wait_for_copies(value);
    end();
}

/* A function of the target: mov eax, imm32; ret. */
static void write_function(uint32_t value)
{
    *(volatile uint64_t *)target = 0xb8 | (uint64_t)value << 8 | 0xc3ull << 40;
}

static void hammer_calls(void *argument)
{
    uint32_t (*const function)(void) = (uint32_t(*)(void))(uintptr_t)target;

    (void)argument;
    while (!atomic_load(&stop))
        atomic_store(&copies[vcpu_index()], function());
}

/* The same with execution, and code that changes by plain writes: one store, so never torn. */
static void check_execution(void)
{
    uint32_t value = 1;

    if (!(region_rights(region) & TRAPLINE_EXEC))
        return;
    write_function(value);
    begin(hammer_calls, on_fault);
    for (unsigned round = 0; round < ROUNDS && check_good(); round++) {
        unsigned before[VCPUS_MAX];

        check_at("round %u", round);
        note_trapped(before);
        wait_for_copies(value);
        atomic_store(&hold, true);
        EXPECT_EQ(region_prot1(region, target, ACCESS_RW), 0);
        write_function(++value);
        watch();
        expect_no_copy(value);
        WAIT_UNTIL(all_trapped(before));
        EXPECT_EQ(region_unprot_range(region, target, 1), 0);
        atomic_store(&hold, false);
    }
    wait_for_copies(value);
    end();
}

/* One store through the alias for each round, and no use of it in between. */
static atomic_uint order, done;

static void store_on_order(void *argument)
{
    unsigned seen = 0;

    (void)argument;
    while (!atomic_load(&stop)) {
        if (atomic_load(&order) == seen) {
            __builtin_ia32_pause();
            continue;
        }
        seen++;
        alias[vcpu_index()] = seen;
        atomic_fetch_add(&done, 1);
    }
}

/* The alias goes to another page; a translation of old would write to the page that it had. */
static void check_unmap(void)
{
    volatile uint64_t *const pages[2] = {(volatile uint64_t *)target,
                                         (volatile uint64_t *)(target + PAGE)};
    const unsigned others = vcpu_count() - 1;

    memset(target, 0, 2 * PAGE);
    atomic_store(&order, 0);
    atomic_store(&done, 0);
    begin(store_on_order, on_fault);
    for (unsigned round = 1; round <= ROUNDS && check_good(); round++) {
        check_at("round %u", round);
        EXPECT_EQ(region_unmap2(region, (void *)alias), 0);
        EXPECT_EQ(region_map2(region, (void *)pages[round % 2], (void *)alias, ACCESS_RW), 0);
        atomic_store(&order, round);
        WAIT_UNTIL(atomic_load(&done) == round * others);
        for (unsigned v = 1; v < vcpu_count(); v++) {
            EXPECT_EQ(pages[round % 2][v], round);
            EXPECT_EQ(pages[(round + 1) % 2][v], round - 1);
        }
    }
    end();
    EXPECT_EQ(region_unmap2(region, (void *)alias), 0);
    EXPECT_EQ(region_map2(region, target, (void *)alias, ACCESS_RW), 0);
}

static void store_always(void *argument)
{
    (void)argument;
    for (uint64_t value = 1; !atomic_load(&stop); value++)
        alias[vcpu_index()] = value;
}

/*
 * The alias moves under the stores: none of them finds no page there, and none goes to the old page
 * any more once the call has returned and they were seen on the new one.
 */
static void check_remap(void)
{
    volatile uint64_t *const pages[2] = {(volatile uint64_t *)target,
                                         (volatile uint64_t *)(target + PAGE)};

    memset(target, 0, 2 * PAGE);
    begin(store_always, on_fault);
    for (unsigned round = 1; round <= ROUNDS && check_good(); round++) {
        volatile uint64_t *const new = pages[round % 2], *const old = pages[(round + 1) % 2];
        uint64_t at_old[VCPUS_MAX], at_new[VCPUS_MAX];

        check_at("round %u", round);
        for (unsigned v = 1; v < vcpu_count(); v++)
            at_new[v] = new[v];
        EXPECT_EQ(region_remap2(region, (void *)new, (void *)alias, ACCESS_RW), 0);
        for (unsigned v = 1; v < vcpu_count(); v++)
            at_old[v] = old[v];
        for (unsigned v = 1; v < vcpu_count(); v++) {
            WAIT_UNTIL(new[v] != at_new[v]);
            EXPECT_EQ(old[v], at_old[v]);
        }
    }
    end();
    EXPECT_EQ(region_remap2(region, target, (void *)alias, ACCESS_RW), 0);
}

/* Writes to all pages in a sequence of each vCPU's own. */
static void write_everywhere(void *argument)
{
    struct random random = {vcpu_index()};

    (void)argument;
    while (!atomic_load(&stop)) {
        char *const page = target + (size_t)random_below(&random, DIRTY_PAGES) * PAGE;

        count_on((uint64_t *)page + vcpu_index());
        atomic_fetch_add(&done, 1);
        for (unsigned pause = random_below(&random, 30); pause; pause--)
            __builtin_ia32_pause();
    }
}

/* The page may be written meanwhile. */
static void copy_page(char *to, char *from)
{
    for (size_t i = 0; i < PAGE; i += sizeof(uint64_t))
        *(uint64_t *)(to + i) = __atomic_load_n((uint64_t *)(from + i), __ATOMIC_RELAXED);
}

/* What DIRTY reports is copied; when all have stopped, the copy is what the pages are. */
static void check_dirty(void)
{
    char *const copy = need_pages(DIRTY_PAGES, 1);
    void *pages[DIRTY_PAGES];
    uint64_t reported = 0;

    memset(target, 0, DIRTY_PAGES * PAGE);
    EXPECT_EQ(region_track(region, target, DIRTY_PAGES, 1), 0);
    atomic_store(&done, 0);
    begin(write_everywhere, on_fault);
    for (unsigned round = 0; round <= DIRTY_ROUNDS; round++) {
        size_t left = 1;

        WAIT_UNTIL(atomic_load(&done) > round * DIRTY_PAGES);
        if (round == DIRTY_ROUNDS)
            end();
        while (left) {
            const long count = region_dirty(region, target, DIRTY_PAGES, pages,
                                            round % 2 ? DIRTY_PAGES : 7, &left);

            EXPECT(count >= 0);
            reported += (uint64_t)count;
            for (long i = 0; i < count; i++)
                copy_page(copy + ((char *)pages[i] - target), pages[i]);
            if (round < DIRTY_ROUNDS)
                break;
        }
    }
    EXPECT(reported > DIRTY_PAGES / 2);
    for (size_t i = 0; i < DIRTY_PAGES; i++) {
        check_at("page %zu", i);
        EXPECT(memcmp(copy + i * PAGE, target + i * PAGE, PAGE) == 0);
    }
    EXPECT_EQ(region_track(region, target, DIRTY_PAGES, 0), 0);
    pages_free(copy, DIRTY_PAGES);
}

/*
 * All vCPUs call at once. Each has pages of its own, at a distance of the number of vCPUs, so that
 * all meet in the same tables; beside them pages that anybody lowers and raises.
 */
static char *field;

static void caller_fault(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);

    atomic_fetch_add(&trapped[vcpu_index()], 1);
    if (region_unprot(region, page))
        atomic_fetch_add(&wrong, 1);
}

static void call_at_random(void *argument)
{
    const unsigned self = vcpu_index(), count = vcpu_count();
    struct random random = {self + 100};
    unsigned expected = 0;

    (void)argument;
    atomic_fetch_add(&ready, 1);
    for (unsigned i = 0; i < CALLER_ROUNDS; i++) {
        char *const own =
            field + ((size_t)random_below(&random, 2 * PAGES_2M / count) * count + self) * PAGE;
        char *const any = field + (2 * PAGES_2M + random_below(&random, 400)) * PAGE;
        int result = 0;

        switch (random_below(&random, 4)) {
        case 0:
            result = region_protn_range(region, any, 1 + random_below(&random, 100), TRAPLINE_READ);
            break;
        case 1: result = region_unprot_range(region, any, 1 + random_below(&random, 100)); break;
        default: break;
        }
        if (result || region_prot1(region, own, TRAPLINE_READ))
            atomic_fetch_add(&wrong, 1);
        *(volatile char *)own = 1; /* traps, whatever the others do */
        expected++;
        *(volatile char *)own = 2;
    }
    if (atomic_load(&trapped[self]) != expected)
        atomic_fetch_add(&wrong, 1);
}

static void check_callers(void)
{
    begin(call_at_random, caller_fault);
    call_at_random(NULL);
    end();
    EXPECT_EQ(region_unprot_range(region, field, SPARE_PAGES), 0);
}

/* A call's interrupts: at most one for each vCPU that runs in the guest. */
static void spin(void *argument)
{
    (void)argument;
    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&stop))
        __builtin_ia32_pause();
}

static struct trapline_stats before_call;

static void count_from_here(void)
{
    stats(&before_call);
}

static uint64_t ipis_since(void)
{
    struct trapline_stats now;

    stats(&now);
    return now.ipis - before_call.ipis;
}

static void check_interrupts(void)
{
    const unsigned others = vcpu_count() - 1;
    static void *list[LIST];
    uint64_t sent;

    for (size_t i = 0; i < LIST; i++)
        list[i] = field + i * 2 * PAGE;
    EXPECT_EQ(region_prot1(region, field, TRAPLINE_READ), 0); /* its 2 MiB are split */
    begin(spin, on_fault);
    WAIT_UNTIL(atomic_load(&ready) == others);

    check_at("PROT1");
    count_from_here();
    EXPECT_EQ(region_prot1(region, field + PAGE, TRAPLINE_READ), 0);
    sent = ipis_since();
    EXPECT(own_cpus ? sent == others : sent <= others);
    check_at("PROTN of a range");
    count_from_here();
    EXPECT_EQ(region_protn_range(region, field + 2 * PAGE, 1000, TRAPLINE_READ), 0);
    sent = ipis_since();
    EXPECT(own_cpus ? sent == others : sent <= others);
    check_at("PROTN of a list");
    EXPECT_EQ(region_unprot_range(region, field, SPARE_PAGES), 0);
    EXPECT_EQ(region_protn(region, list, LIST, TRAPLINE_READ), 0);
    EXPECT_EQ(region_unprot_range(region, field + PAGE, SPARE_PAGES - 1), 0);
    count_from_here();
    EXPECT_EQ(region_protn(region, list, LIST, TRAPLINE_READ), 0);
    EXPECT(ipis_since() <= others);
    check_at("UNPROT");
    count_from_here();
    for (unsigned i = 1; i < 100; i++)
        EXPECT_EQ(region_unprot(region, field + i * 2 * PAGE), 0);
    EXPECT_EQ(region_unprot_range(region, field + 300 * PAGE, 100), 0);
    EXPECT_EQ(ipis_since(), 0);
    end();

    check_at("the others are parked");
    EXPECT_EQ(region_unprot_range(region, field, SPARE_PAGES), 0);
    for (unsigned i = 0; i < 20; i++)
        nap();
    count_from_here();
    EXPECT_EQ(region_prot1(region, field, TRAPLINE_READ), 0);
    EXPECT_EQ(region_protn(region, list, LIST, TRAPLINE_NONE), 0);
    EXPECT_EQ(ipis_since(), 0);
    EXPECT_EQ(region_unprot_range(region, field, SPARE_PAGES), 0);
}

/*
 * A page raised by another vCPU is written by those that know it as not writable: no handler is
 * called, by whatever way the access is delivered.
 */
static void write_when_raised(void *argument)
{
    unsigned seen = 0;

    (void)argument;
    while (!atomic_load(&stop)) {
        (void)*(volatile uint64_t *)target; /* the translation is known */
        if (atomic_load(&order) == seen)
            continue;
        seen++;
        ((volatile uint64_t *)target)[vcpu_index()] = seen;
        atomic_fetch_add(&done, 1);
    }
}

static void check_raise(void)
{
    const unsigned others = vcpu_count() - 1;

    atomic_store(&order, 0);
    atomic_store(&done, 0);
    begin(write_when_raised, on_fault);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        EXPECT_EQ(region_prot1(region, target, TRAPLINE_READ), 0);
        watch();
        EXPECT_EQ(region_unprot(region, target), 0);
        atomic_store(&order, round);
        WAIT_UNTIL(atomic_load(&done) == round * others);
    }
    end();
    for (unsigned v = 1; v < vcpu_count(); v++)
        EXPECT_EQ(atomic_load(&trapped[v]), 0);
}

#if !__STDC_HOSTED__
/* With all bits of raised[] set every fault may be stale: each is delivered, and once. */
static void check_filter(void)
{
    memset(trap_area()->raised, 0xff, sizeof(trap_area()->raised));
    atomic_store(&trapped[0], 0);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        static const unsigned flags[] = {0, TRAP_GENERAL_REGS};

        trap(caller_fault, flags[round % 2]);
        EXPECT_EQ(region_prot1(region, target, TRAPLINE_READ), 0);
        memset(trap_area()->raised, 0xff, sizeof(trap_area()->raised));
        *(volatile char *)target = 1;
        EXPECT_EQ(atomic_load(&trapped[0]), round);
    }
    trap(NULL, 0);
    memset(trap_area()->raised, 0, sizeof(trap_area()->raised));
}
#endif

static const struct check checks[] = {
    {"shootdown: no write after PROT", check_writes},
    {"shootdown: no read after PROT", check_reads},
    {"shootdown: no execution after PROT", check_execution},
    {"shootdown: no translation of an alias that is gone", check_unmap},
    {"shootdown: an alias that moves under stores", check_remap},
    {"shootdown: no write that DIRTY misses", check_dirty},
    {"shootdown: all vCPUs call at once", check_callers},
    {"shootdown: interrupts sent", check_interrupts},
    {"shootdown: a page raised elsewhere", check_raise},
#if !__STDC_HOSTED__
    /* Last: of the trap area alone, so for the hypervisor's tables only. */
    {"shootdown: accesses that may be stale are delivered once", check_filter},
#endif
};

/* Arguments: own, when each vCPU has a CPU for itself; the name of a mechanism. */
int main(int argc, char **argv)
{
    enum region_mechanism mechanism = REGION_DEFAULT;
    int result;

    for (int i = 1; i < argc; i++) {
        own_cpus |= strcmp(argv[i], "own") == 0;
        for (unsigned m = 0; m < REGION_MECHANISMS; m++)
            if (strcmp(argv[i], region_mechanism_name((enum region_mechanism)m)) == 0)
                mechanism = (enum region_mechanism)m;
    }
    result = region_create(&region, SPARE_PAGES + SHARED_PAGES, PAGES_2M, mechanism);
    if (result != 0) {
        printf("shootdown: %s: %s\n", region_mechanism_name(mechanism),
               trapline_error_name(result));
        return result == -TRAPLINE_EOPNOTSUPP ? EXIT_LACKING : EXIT_FAILURE;
    }
    field = region_base(region);
    target = field + SPARE_PAGES * PAGE;
    alias = region_alias_window(region);
    if (region_map2(region, target, (void *)alias, ACCESS_RW))
        return EXIT_FAILURE;
    return run_checks(checks, COUNT(checks) - (mechanism == REGION_PT));
}
