/*
 * Guests whose vCPUs race or misbehave; the argument says how. Those that may go on check that no
 * flush and no write was lost; the others must be stopped alone, with all their vCPUs.
 */
#include "except.h"
#include "threads.h"

enum {
    STORM_CALLS = 1000, /* of each vCPU */
    STORM_PAGES = PAGES_2M + 256,
    ALIAS_PAGES = 128,
    COUNT_MAX = 300, /* pages of a call */
    LIST_ENTRIES = 64,
    WATCH_ROUNDS = 30,
    COPY_PAGES = 64,
    COPY_ROUNDS = 50,
    FLOOD_CALLS = 100,
    CALLS_BEFORE_END = 60, /* that the others make before one of them ends it all */
    START_ROUNDS = 200,
    DOORBELL_VECTOR = 77,
    CODE_EXIT = 77,
    ALL = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
};

/* What one vCPU draws its calls from, and lets the hypervisor read and write. */
struct storm {
    struct random random;
    struct trapline_range ranges[LIST_ENTRIES];
    uint64_t pages[LIST_ENTRIES];
    void *dirty[COUNT_MAX];
};

static char *region;
static struct storm storms[VCPUS_MAX];
static atomic_uint calls_made, strange;
static atomic_bool stop;

/* Whatever took the right away, and in whichever view: the access may go on. */
static void let_through(struct trapline_fault *fault)
{
    hypercall2(TRAPLINE_HC_VIEW_SWITCH, 0, 0);
    unprot(trap_page(fault));
}

/* Only what the contract has is an answer. */
static void judge(int64_t answer)
{
    switch (-answer) {
    case TRAPLINE_ENOENT:
    case TRAPLINE_ENOMEM:
    case TRAPLINE_EAGAIN:
    case TRAPLINE_EFAULT:
    case TRAPLINE_EEXIST:
    case TRAPLINE_EINVAL:
    case TRAPLINE_ENOSYS:
    case TRAPLINE_EOPNOTSUPP: return;
    default:
        if (answer < 0)
            atomic_fetch_add(&strange, 1);
    }
}

/* A page of the region, which is nobody's code or stack; rarely anything above RAM. */
static uint64_t some_page(struct random *random)
{
    if (random_below(random, 24) == 0)
        return ram_size() +
               ((uint64_t)random_below(random, UINT32_MAX) << random_below(random, 32));
    return (uint64_t)region + random_below(random, STORM_PAGES) * PAGE;
}

/* How many pages from there, within the region. */
static uint64_t some_count(struct random *random, uint64_t page)
{
    const uint64_t left = ((uint64_t)region + STORM_PAGES * PAGE - page) / PAGE;

    return left > STORM_PAGES ? random_below(random, 3)
                              : 1 + random_below(random, left < COUNT_MAX ? left : COUNT_MAX);
}

static uint64_t some_alias(struct random *random)
{
    return (uint64_t)alias_window() + random_below(random, ALIAS_PAGES) * PAGE;
}

static int64_t storm_protn(struct storm *storm, bool ranges, uint64_t access)
{
    const unsigned entries = random_below(&storm->random, LIST_ENTRIES);

    for (unsigned i = 0; i < entries; i++) {
        const uint64_t page = some_page(&storm->random);

        storm->pages[i] = page;
        storm->ranges[i] =
            (struct trapline_range){.page = page, .pages = some_count(&storm->random, page)};
    }
    return hypercall(TRAPLINE_HC_PROTN, ranges ? (uint64_t)storm->ranges : (uint64_t)storm->pages,
                     entries, access | (ranges ? TRAPLINE_LIST_RANGES : 0), 0)
        .rax;
}

static int64_t storm_call(struct storm *storm)
{
    struct random *const random = &storm->random;
    const uint64_t page = some_page(random), count = some_count(random, page);
    const uint64_t access = random_below(random, 8), view = random_below(random, 4);

    switch (random_below(random, 16)) {
    case 0:
    case 1: return hypercall2(TRAPLINE_HC_PROT1, page, access);
    case 2: return storm_protn(storm, false, access);
    case 3: return storm_protn(storm, true, access);
    case 4: return hypercall2(TRAPLINE_HC_UNPROT, page, count);
    case 5: return hypercall(TRAPLINE_HC_MAP2, page, count, some_alias(random), access).rax;
    case 6: return hypercall2(TRAPLINE_HC_UNMAP2, some_alias(random), count % 16);
    case 7:
    case 8:
        return hypercall(TRAPLINE_HC_DIRTY, page, count, (uint64_t)storm->dirty,
                         random_below(random, COUNT_MAX))
            .rax;
    case 9: return hypercall(TRAPLINE_HC_TRACK, page, count, random_below(random, 3), 0).rax;
    case 10:
        return random_below(random, 8) ? hypercall2(TRAPLINE_HC_VIEW_SWITCH, view, 0)
                                       : hypercall2(TRAPLINE_HC_VIEW_CREATE, 0, 0);
    case 11: return hypercall(TRAPLINE_HC_VIEW_PROT, page, count, access, view).rax;
    case 12:
        return random_below(random, 8) ? hypercall2(TRAPLINE_HC_UNPARK, view, 0)
                                       : hypercall2(TRAPLINE_HC_VIEW_DESTROY, view, 0);
    default: /* writes in between fill the TLBs */
        for (unsigned i = 0; i < 16; i++)
            ((volatile char *)region)[random_below(random, STORM_PAGES) * PAGE] = 1;
        return 0;
    }
}

static void storm(void *argument)
{
    struct storm *const own = &storms[vcpu_index()];

    (void)argument;
    own->random.state = vcpu_index() + 1;
    for (unsigned i = 0; i < STORM_CALLS && !atomic_load(&stop); i++) {
        judge(storm_call(own));
        atomic_fetch_add(&calls_made, 1);
    }
    hypercall2(TRAPLINE_HC_VIEW_SWITCH, 0, 0);
}

static void begin_storm(void)
{
    region = need_pages(STORM_PAGES, PAGES_2M);
    trap(let_through, 0);
}

/* Take everything back that a storm may have left. */
static void clear_up(void)
{
    for (unsigned i = 0; i < ALIAS_PAGES + COUNT_MAX; i++)
        unmap2((char *)alias_window() + i * PAGE);
    EXPECT_EQ(unprot_range(region, STORM_PAGES), 0);
    EXPECT_EQ(track(region, STORM_PAGES, 0), 0);
}

static void check_storm(void)
{
    begin_storm();
    threads_start(storm, NULL);
    storm(NULL);
    threads_join();
    EXPECT_EQ(atomic_load(&strange), 0);
    clear_up();
    trap(NULL, 0);
    for (unsigned i = 0; i < STORM_PAGES; i++)
        region[i * PAGE] = 2;
}

static volatile uint64_t *watched;

static void hammer(void *argument)
{
    (void)argument;
    while (!atomic_load(&stop)) {
        for (unsigned i = 0; i < 32; i++)
            (*watched)++;
    }
}

static void retry_later(struct trapline_fault *fault)
{
    (void)fault;
    for (unsigned i = 0; i < 100; i++)
        __asm__ volatile("pause");
}

/* After PROT1 came back nobody's write reaches the page, however fast the others write. */
static void check_watch(void)
{
    watched = (uint64_t *)need_pages(1, 1);
    trap(retry_later, 0);
    atomic_store(&stop, false);
    threads_start(hammer, NULL);
    for (unsigned round = 0; round < WATCH_ROUNDS; round++) {
        uint64_t before;

        check_at("round %u", round);
        EXPECT_EQ(prot1((void *)watched, TRAPLINE_READ), 0);
        before = *watched;
        for (unsigned i = 0; i < 500; i++)
            EXPECT_EQ(*watched, before);
        EXPECT_EQ(unprot((void *)watched), 0);
        for (unsigned i = 0; i < 1000 && *watched == before; i++)
            nap();
        EXPECT(*watched != before);
    }
    atomic_store(&stop, true);
    threads_join();
    trap(NULL, 0);
}

static volatile uint64_t *copied;

/* Each vCPU writes words of its own in all pages. */
static void scribble(void *argument)
{
    struct random random = {vcpu_index()};

    (void)argument;
    while (!atomic_load(&stop))
        copied[random_below(&random, COPY_PAGES) * (PAGE / 8) + vcpu_index()]++;
}

static void copy_dirty(uint64_t *copy)
{
    static void *pages[COPY_PAGES];
    size_t left = 0;
    const long count = dirty((void *)copied, COPY_PAGES, pages, COPY_PAGES, &left);

    EXPECT(count >= 0);
    EXPECT_EQ(left, 0);
    for (long i = 0; i < count; i++) {
        const size_t at = (size_t)((uint64_t *)pages[i] - (uint64_t *)copied);

        for (unsigned word = 0; word < VCPUS_MAX; word++)
            copy[at + word] = copied[at + word];
    }
}

/* A copy that is kept by copying what DIRTY reports misses no write. */
static void check_copy(void)
{
    uint64_t *const copy = (uint64_t *)need_pages(COPY_PAGES, 1);

    copied = (uint64_t *)need_pages(COPY_PAGES, 1);
    memset((void *)copied, 0, COPY_PAGES * PAGE);
    memset(copy, 0, COPY_PAGES * PAGE);
    EXPECT_EQ(track((void *)copied, COPY_PAGES, 1), 0);
    atomic_store(&stop, false);
    threads_start(scribble, NULL);
    for (unsigned round = 0; round < COPY_ROUNDS; round++)
        copy_dirty(copy);
    atomic_store(&stop, true);
    threads_join();
    copy_dirty(copy);
    EXPECT_EQ(memcmp(copy, (void *)copied, COPY_PAGES * PAGE), 0);
    EXPECT_EQ(track((void *)copied, COPY_PAGES, 0), 0);
}

static void on_doorbell(unsigned vector)
{
    (void)vector;
}

static void flood(void *argument)
{
    (void)argument;
    interrupts_on();
    for (unsigned i = 0; i < FLOOD_CALLS; i++) {
        const unsigned other = i % vcpu_count();

        hypercall2(TRAPLINE_HC_UNPARK, other, 0);
        judge(hypercall2(TRAPLINE_HC_DOORBELL, other, i % 4 ? DOORBELL_VECTOR : i % 16));
        hypercall2(TRAPLINE_HC_PARK, 1 + i % 64, 0);
    }
    interrupts_off();
}

static void check_flood(void)
{
    for (unsigned vector = INTERRUPT_FIRST; vector <= INTERRUPT_LAST; vector++)
        interrupt_handle(vector, on_doorbell);
    threads_start(flood, NULL);
    flood(NULL);
    threads_join();
    EXPECT_EQ(atomic_load(&strange), 0);
}

static atomic_uint entered, races_won;

/* The entry of vCPUs that were started by hand: no stack, no runtime. */
extern const char raw_entry[];
__asm__(".text\n"
        "raw_entry:\n\t"
        "lock incl (%rdi)\n"
        "1:\tpause\n\t"
        "jmp 1b\n");

static void start_last(void *argument)
{
    const unsigned last = vcpu_count() - 1;

    (void)argument;
    for (unsigned i = 0; i < START_ROUNDS; i++) {
        const int64_t answer =
            hypercall(TRAPLINE_HC_VCPU_START, last, (uint64_t)raw_entry, ~0ul, (uint64_t)&entered)
                .rax;

        if (answer == 0)
            atomic_fetch_add(&races_won, 1);
        else if (answer != -TRAPLINE_EEXIST)
            atomic_fetch_add(&strange, 1);
    }
}

/* Several vCPUs start the same one, and one of them does; it loops for ever. */
static void check_start(void)
{
    const uint64_t entry = (uint64_t)raw_entry;
    const unsigned last = vcpu_count() - 1;

    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, last + 1, entry, 0, 0).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, ~0ul, entry, 0, 0).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, 1ul << 32, entry, 0, 0).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, last, 1ul << 47, 0, 0).rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(hypercall(TRAPLINE_HC_VCPU_START, 0, entry, 0, 0).rax, -TRAPLINE_EEXIST);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_UNPARK, last, 0), 0);
    for (unsigned i = 1; i < last; i++)
        EXPECT_EQ(thread_start(i, start_last, NULL), 0);
    start_last(NULL);
    for (unsigned i = 1; i < last; i++)
        EXPECT_EQ(thread_join(i), 0);
    EXPECT_EQ(atomic_load(&races_won), 1);
    EXPECT_EQ(atomic_load(&strange), 0);
    WAIT_UNTIL(atomic_load(&entered) == 1);
}

static void loop(void *argument)
{
    (void)argument;
    for (;;)
        __asm__ volatile("");
}

/* A vCPU that never exits by itself does not hold up the others' calls. */
static void check_shoot_loops(void)
{
    char *const page = need_pages(1, 1);

    for (unsigned i = 1; i < vcpu_count() - 1; i++)
        EXPECT_EQ(thread_start(i, loop, NULL), 0);
    for (unsigned i = 0; i < 100; i++) {
        EXPECT_EQ(prot1(page, TRAPLINE_READ), 0);
        EXPECT_EQ(unprot(page), 0);
    }
}

static const struct check race[] = {
    {"storm of calls", check_storm},
    {"no write after PROT1", check_watch},
    {"no write that DIRTY misses", check_copy},
};
static const struct check floods[] = {{"parks, unparks and doorbells", check_flood}};
static const struct check starts[] = {
    {"one of many starts", check_start},
    {"shootdown of vCPUs that loop", check_shoot_loops},
};

/* From here on the guest does not survive. */

static void storm_around(thread_function *function)
{
    begin_storm();
    for (unsigned i = 2; i < vcpu_count(); i++)
        thread_start(i, storm, NULL);
    thread_start(1, function, NULL);
    storm(NULL);
    thread_join(1);
}

static void crash_soon(void *argument)
{
    const struct descriptor_table none = {0, 0};

    (void)argument;
    WAIT_UNTIL(atomic_load(&calls_made) > CALLS_BEFORE_END);
    __asm__ volatile("lidt %0\n\tud2" : : "m"(none));
}

static void protn_for_ever(void *argument)
{
    (void)argument;
    for (;;) {
        protn_range((void *)BYTES_2M, ram_size() / PAGE - PAGES_2M, ALL);
        atomic_fetch_add(&calls_made, 1);
    }
}

static void park_for_ever(void *argument)
{
    (void)argument;
    for (;;)
        thread_park(0);
}

/* EXIT with one vCPU in long calls, one parked and one in a loop. */
static void exit_amid(void)
{
    thread_start(1, protn_for_ever, NULL);
    thread_start(2, park_for_ever, NULL);
    thread_start(3, loop, NULL);
    WAIT_UNTIL(atomic_load(&calls_made) > 3);
    hypercall2(TRAPLINE_HC_EXIT, CODE_EXIT, 0);
}

/* All exit at once, each with a code of its own; one of them counts. */
static void exit_together(void *argument)
{
    (void)argument;
    atomic_fetch_add(&calls_made, 1);
    while (atomic_load(&calls_made) < vcpu_count())
        __asm__ volatile("pause");
    hypercall2(TRAPLINE_HC_EXIT, CODE_EXIT, 0);
}

static void start_nowhere(void)
{
    hypercall(TRAPLINE_HC_VCPU_START, 1, (uint64_t)alias_window(), 0, 0);
    park_for_ever(NULL);
}

int main(int argc, char **argv)
{
    const char *const way = argc == 2 ? argv[1] : "";

    if (strcmp(way, "race") == 0)
        return RUN_CHECKS(race);
    if (strcmp(way, "flood") == 0)
        return RUN_CHECKS(floods);
    if (strcmp(way, "starts") == 0)
        return RUN_CHECKS(starts);
    if (strcmp(way, "crash") == 0)
        storm_around(crash_soon);
    if (strcmp(way, "loops") == 0) {
        threads_start(loop, NULL);
        loop(NULL);
    }
    if (strcmp(way, "exit") == 0)
        exit_amid();
    if (strcmp(way, "exit-together") == 0) {
        threads_start(exit_together, NULL);
        exit_together(NULL);
    }
    if (strcmp(way, "nowhere") == 0)
        start_nowhere();
    printf("not ok %s: still running\n", way);
    return EXIT_FAILURE;
}
