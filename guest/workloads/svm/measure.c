#include "guest/workloads/svm/measure.h"

#include "guest/common/figures.h"
#include "guest/workloads/svm/svm.h"

enum {
    NAME_LEN = 64,
};

/* What each node tells node 0, by way of the space itself. */
struct report {
    struct svm_counts counts;
    struct svm_times times;
};

_Static_assert(sizeof(struct report) <= TRAPLINE_PAGE_SIZE, "a report has a page");

/* Of all nodes; static for its size. */
static struct totals {
    struct svm_counts counts;
    uint64_t reads, writes;
    uint64_t read[PEERS_MAX * SVM_SAMPLES], write[PEERS_MAX * SVM_SAMPLES];
} totals;

static void nobody(void)
{
}

static void no_lock(unsigned lock)
{
    (void)lock;
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + TRAPLINE_PAGE_SIZE - 1) / TRAPLINE_PAGE_SIZE * TRAPLINE_PAGE_SIZE;
}

size_t measure_bytes(const struct kernel *kernel, const struct work *work)
{
    return whole_pages(kernel->bytes(work)) + peers_count() * TRAPLINE_PAGE_SIZE;
}

/* The kernel in memory of this node's own. Returns the memory. */
static void *run_alone(const struct kernel *kernel, const struct work *work, uint64_t *time)
{
    const struct crew crew = {0, 1, nobody, no_lock, no_lock};
    void *memory = malloc(kernel->bytes(work));
    uint64_t start;

    assert(memory);
    kernel->fill(memory, work);
    start = ticks();
    kernel->run(memory, work, &crew);
    *time = ticks() - start;
    return memory;
}

static bool compare(const struct kernel *kernel, const struct work *work, const char *shared,
                    const char *alone)
{
    size_t length, at = kernel->result(work, &length);

    for (size_t i = at; i < at + length; i++) {
        if (shared[i] != alone[i]) {
            printf("svm: %s: the result is wrong, from byte %lu of %lu on\n", kernel->name,
                   (unsigned long)(i - at), (unsigned long)length);
            return false;
        }
    }
    return true;
}

static void add_counts(struct svm_counts *sum, const struct svm_counts *counts)
{
    sum->read_faults += counts->read_faults;
    sum->write_faults += counts->write_faults;
    sum->upgrades += counts->upgrades;
    sum->pages += counts->pages;
    sum->messages += counts->messages;
    sum->forwards += counts->forwards;
    sum->invalidations += counts->invalidations;
    sum->deferred += counts->deferred;
    sum->stale += counts->stale;
}

static void add_up(const char *reports)
{
    memset(&totals, 0, sizeof(totals));
    for (unsigned i = 0; i < peers_count(); i++) {
        const struct report *report = (const struct report *)(reports + i * TRAPLINE_PAGE_SIZE);

        add_counts(&totals.counts, &report->counts);
        memcpy(totals.read + totals.reads, report->times.read,
               report->times.reads * sizeof(uint64_t));
        memcpy(totals.write + totals.writes, report->times.write,
               report->times.writes * sizeof(uint64_t));
        totals.reads += report->times.reads;
        totals.writes += report->times.writes;
    }
}

static void print_figures(const struct kernel *kernel, const char *mode, uint64_t alone,
                          uint64_t together)
{
    const struct svm_counts *counts = &totals.counts;
    const struct {
        const char *what, *unit;
        double value;
    } rows[] = {
        {"alone", "tsc", (double)alone},
        {"together", "tsc", (double)together},
        {"speedup", "times", (double)alone / (double)together},
        {"read_faults", "faults", (double)counts->read_faults},
        {"write_faults", "faults", (double)counts->write_faults},
        {"upgrades", "faults", (double)counts->upgrades},
        {"pages", "pages", (double)counts->pages},
        {"messages", "messages", (double)counts->messages},
        {"forwards", "messages", (double)counts->forwards},
        {"invalidations", "pages", (double)counts->invalidations},
        {"deferred", "messages", (double)counts->deferred},
        {"stale", "pages", (double)counts->stale},
    };
    char name[NAME_LEN];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(name, sizeof(name), "svm.%s.%s", kernel->name, rows[i].what);
        figure_value(name, mode, rows[i].unit, "run", rows[i].value);
    }
    snprintf(name, sizeof(name), "svm.%s.read_fault", kernel->name);
    if (totals.reads)
        figure_series(name, mode, "tsc", "fault", totals.read, totals.reads);
    snprintf(name, sizeof(name), "svm.%s.write_fault", kernel->name);
    if (totals.writes)
        figure_series(name, mode, "tsc", "fault", totals.write, totals.writes);
    printf("svm: %s on %u nodes: speedup %.2f (%lu ticks, alone %lu); %lu read faults, %lu write "
           "faults, %lu pages, %lu invalidations, %lu messages\n",
           kernel->name, peers_count(), (double)alone / (double)together, (unsigned long)together,
           (unsigned long)alone, (unsigned long)counts->read_faults,
           (unsigned long)counts->write_faults, (unsigned long)counts->pages,
           (unsigned long)counts->invalidations, (unsigned long)counts->messages);
}

bool measure_kernel(const struct kernel *kernel, const struct work *work, const char *mode,
                    bool verify)
{
    const struct crew crew = {peers_self(), peers_count(), svm_barrier, svm_lock, svm_unlock};
    char *shared = svm_alloc(kernel->bytes(work));
    char *reports = svm_alloc(crew.count * TRAPLINE_PAGE_SIZE);
    struct report *report = (struct report *)(reports + crew.self * TRAPLINE_PAGE_SIZE);
    struct report *own = malloc(sizeof(*own));
    char *expected = NULL;
    uint64_t alone = 0, start;
    bool right = true;

    assert(shared && reports && own);
    if (crew.self == 0) {
        expected = run_alone(kernel, work, &alone);
        kernel->fill(shared, work);
    }
    svm_barrier();
    svm_counts_reset();
    svm_barrier();
    start = ticks();
    kernel->run(shared, work, &crew);
    start = ticks() - start;
    svm_counts_read(&own->counts, &own->times);
    *report = *own;
    free(own);
    svm_barrier();
    if (crew.self == 0) {
        add_up(reports);
        print_figures(kernel, mode, alone, start);
        right = !verify || compare(kernel, work, shared, expected);
        free(expected);
    }
    svm_barrier();
    return right;
}
