/*
 * The primitives over regions: the same code for each mechanism. Rows are named after it, "pt.trap"
 * for example; "ept" is what the rows of the other files measure by calling the hypervisor
 * directly, so that their difference is what the choice costs.
 */
/* The handlers and the calls that they inline keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/workloads/bench/bench.h"
#include "guest/workloads/bench/walk.h"

enum {
    PAGES = WALK_PAGES,
    REGION_PAGES = 3 * PAGES_2M, /* of the PROTN rows */
    TRACKED_PAGES = 16384,
    ROUNDS = 5000,
    VMPUP_ROUNDS = 100,
    PROTN_ROUNDS = 200,
    DIRTY_ROUNDS = 50,
    NAME_LEN = 32,
};

static struct region *region;
static char *base;
static const char *mode;
static char *permuted[REGION_PAGES];
static char *unprotected; /* appel1: the page unprotected last */
static size_t listed;     /* pages of a PROTN */
static unsigned faults_left;

/* The name of this mechanism's row, or NULL when it is not wanted. */
static const char *row(const char *what)
{
    const char *const name = bench_name("%s.%s", mode, what);

    return bench_wanted(name) ? name : NULL;
}

static bool open_region(enum region_mechanism mechanism, size_t pages)
{
    uint32_t order[REGION_PAGES];

    if (region_create(&region, pages, PAGES_2M, mechanism) != 0)
        return false;
    base = region_base(region);
    listed = pages < REGION_PAGES ? pages : REGION_PAGES;
    bench_permute(order, listed);
    for (size_t i = 0; i < listed; i++)
        permuted[i] = base + (size_t)order[i] * PAGE;
    walk_over(base);
    return true;
}

TRAP_LEAN_HANDLER static void step_over(struct trapline_fault *fault)
{
    fault->rip = (uint64_t)bench_touch_end;
}

TRAP_LEAN_HANDLER static void appel1_handler(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);

    faults_left--;
    region_prot1(region, unprotected, TRAPLINE_NONE);
    region_unprot(region, page);
    unprotected = page;
}

TRAP_LEAN_HANDLER static void appel2_handler(struct trapline_fault *fault)
{
    faults_left--;
    region_unprot(region, trap_page(fault));
}

static void do_prot1(void *page)
{
    region_prot1(region, page, TRAPLINE_NONE);
}

static void do_unprot(void *page)
{
    region_unprot(region, page);
}

static void run_appel1(void *ctx)
{
    (void)ctx;
    walk_write();
}

static void run_appel2(void *ctx)
{
    (void)ctx;
    region_protn_range(region, base, PAGES, TRAPLINE_NONE);
    walk_write();
}

static void reset_faults(void *ctx)
{
    (void)ctx;
    faults_left = PAGES;
}

static void check_faults(void *ctx)
{
    bench_expect(faults_left == 0, ctx, "there is one fault for each page");
}

static void run_vmpup(const char *what, trap_handler *handler, void (*body)(void *))
{
    const char *const title = row(what);
    const struct bench_op op = {.name = title,
                                .mode = mode,
                                .per = "fault",
                                .rounds = VMPUP_ROUNDS,
                                .ops = PAGES,
                                .before = reset_faults,
                                .run = body,
                                .after = check_faults};

    if (!title)
        return;
    region_protn_range(region, base, PAGES, TRAPLINE_NONE);
    unprotected = base + PAGES * PAGE; /* on the first fault, a page that nobody writes to */
    region_trap(handler, TRAP_LEAN);
    bench_run(&op, (void *)title);
    region_trap(NULL, 0);
    region_unprot_range(region, base, PAGES + 1);
}

static void run_single(const char *what, const char *per, void (*before)(void *),
                       void (*body)(void *), void (*after)(void *))
{
    const char *const title = row(what);
    const struct bench_op op = {.name = title,
                                .mode = mode,
                                .per = per,
                                .rounds = ROUNDS,
                                .ops = 1,
                                .before = before,
                                .run = body,
                                .after = after};

    if (title)
        bench_run(&op, base + PAGE);
}

/* One page at a time; one page stays protected, as in the rows without regions. */
static void run_singles(void)
{
    region_prot1(region, base, TRAPLINE_NONE);
    do_prot1(base + PAGE);
    bench_expect(bench_write_traps(base + PAGE), mode, "a write is delivered");
    bench_expect(bench_read_traps(base + PAGE), mode, "a read is delivered");
    region_trap(step_over, TRAP_LEAN);
    run_single("trap", "fault", NULL, bench_touch, NULL);
    region_trap(NULL, 0);
    do_unprot(base + PAGE);
    bench_expect(!bench_write_traps(base + PAGE), mode, "then a write is not delivered");
    run_single("prot1", "op", NULL, do_prot1, do_unprot);
    run_single("unprot", "op", do_prot1, do_unprot, NULL);
    do_unprot(base);
}

static void protect_list(void *ctx)
{
    (void)ctx;
    region_protn(region, (void *const *)permuted, listed, TRAPLINE_NONE);
}

static void protect_range(void *ctx)
{
    (void)ctx;
    region_protn_range(region, base, listed, TRAPLINE_NONE);
}

static void unprotect_all(void *ctx)
{
    (void)ctx;
    region_unprot_range(region, base, region_pages(region));
}

static void run_protn(const char *kind, size_t count, void (*body)(void *))
{
    const bool range = body == protect_range;
    struct bench_op op = {.mode = mode,
                          .per = range ? "call" : "page",
                          .rounds = PROTN_ROUNDS,
                          .ops = range ? 1 : (unsigned)count,
                          .run = body,
                          .after = unprotect_all};
    char what[NAME_LEN];

    snprintf(what, sizeof(what), "protn.%s.%zu", kind, count);
    op.name = row(what);
    if (!op.name)
        return;
    listed = count;
    body(NULL);
    for (size_t i = 0; i < count; i++)
        bench_expect(bench_write_traps(range ? base + i * PAGE : permuted[i]), op.name,
                     "a write to each page is delivered");
    unprotect_all(NULL);
    bench_run(&op, NULL);
}

static void **buffer;
static size_t left;
static long found;

static void write_some(void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < TRACKED_PAGES; i += PAGES)
        *(volatile char *)(base + i * PAGE) = 1;
}

static void fetch(void *ctx)
{
    (void)ctx;
    found = region_dirty(region, base, TRACKED_PAGES, buffer, TRACKED_PAGES, &left);
}

static void check_found(void *ctx)
{
    bench_expect(found == (TRACKED_PAGES + PAGES - 1) / PAGES && left == 0, ctx,
                 "as many pages are reported as were written");
}

static void run_dirty(enum region_mechanism mechanism)
{
    const char *const title = row("dirty.16384.1");
    const struct bench_op op = {.name = title,
                                .mode = mode,
                                .per = "call",
                                .rounds = DIRTY_ROUNDS,
                                .ops = 1,
                                .before = write_some,
                                .run = fetch,
                                .after = check_found};

    if (!title)
        return;
    bench_expect(open_region(mechanism, TRACKED_PAGES), title, "there are 64 MiB of memory");
    buffer = pages_alloc(TRACKED_PAGES * sizeof(*buffer) / PAGE, 1);
    bench_expect(buffer && region_track(region, base, TRACKED_PAGES, 1) == 0, title,
                 "tracking begins");
    bench_run(&op, (void *)title);
    region_track(region, base, TRACKED_PAGES, 0);
    pages_free(buffer, TRACKED_PAGES * sizeof(*buffer) / PAGE);
    region_destroy(region);
}

static void do_map2(void *ctx)
{
    (void)ctx;
    region_map2_range(region, base, PAGES, region_alias_window(region), TRAPLINE_READ);
}

static void do_unmap2(void *ctx)
{
    (void)ctx;
    region_unmap2_range(region, region_alias_window(region), PAGES);
}

static void run_map2(void)
{
    const char *const title = row("map2.100");
    const struct bench_op op = {.name = title,
                                .mode = mode,
                                .per = "page",
                                .rounds = PROTN_ROUNDS,
                                .ops = PAGES,
                                .run = do_map2,
                                .after = do_unmap2};

    if (title)
        bench_run(&op, NULL);
}

static void run_set(void *ctx)
{
    region_set_prot(ctx, TRAPLINE_NONE);
}

static void release_set(void *ctx)
{
    region_set_prot(ctx, TRAPLINE_READ | TRAPLINE_WRITE);
}

/* A set of 100 scattered pages: one WRPKRU with keys, a PROTN of the list otherwise. */
static void run_sets(void)
{
    const char *const title = row("set.100");
    const struct bench_op op = {.name = title,
                                .mode = mode,
                                .per = "call",
                                .rounds = PROTN_ROUNDS,
                                .ops = 1,
                                .run = run_set,
                                .after = release_set};
    struct region_set *set;

    if (!title)
        return;
    bench_expect(region_set_create(&set, region, (void *const *)permuted, PAGES) == 0, title,
                 "the set can be made");
    bench_run(&op, set);
    region_set_destroy(set);
}

void bench_regions(void)
{
    for (enum region_mechanism mechanism = REGION_EPT; mechanism <= REGION_KEY; mechanism++) {
        mode = region_mechanism_name(mechanism);
        if (!open_region(mechanism, REGION_PAGES)) {
            if (bench_wanted(mode))
                printf("bench: %s.* left out: there is no such mechanism %s\n", mode,
                       vcpu_count() > 1 ? "in a guest of several vCPUs, or on this CPU"
                                        : "on this CPU");
            continue;
        }
        run_singles();
        run_vmpup("appel1", appel1_handler, run_appel1);
        run_vmpup("appel2", appel2_handler, run_appel2);
        run_protn("contig", 1, protect_range);
        run_protn("contig", 100, protect_range);
        run_protn("contig", 1024, protect_range);
        run_protn("scattered", 16, protect_list);
        run_protn("scattered", 100, protect_list);
        run_protn("scattered", 1024, protect_list);
        run_map2();
        run_sets();
        region_destroy(region);
        run_dirty(mechanism);
    }
}
