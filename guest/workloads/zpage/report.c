#include "guest/workloads/zpage/report.h"

#include <trapline/portable.h>

#include "guest/common/figures.h"
#include "guest/workloads/zpage/backing.h"
#include "guest/workloads/zpage/copies.h"
#include "guest/workloads/zpage/samples.h"
#include "guest/workloads/zpage/space.h"

static const struct {
    enum sample_kind kind;
    const char *name, *per;
} series[] = {
    {SAMPLE_POOL, "zpage.fault.pool", "fault"},     {SAMPLE_BACKING, "zpage.fault.store", "fault"},
    {SAMPLE_TOUCH, "zpage.fault.watched", "fault"}, {SAMPLE_WRITE, "zpage.fault.write", "fault"},
    {SAMPLE_COMPRESS, "zpage.compress", "page"},    {SAMPLE_EXPAND, "zpage.expand", "page"},
};

static double quotient(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static double percent(uint64_t a, uint64_t b)
{
    return 100 * quotient(a, b);
}

static void print_compression(const char *mode)
{
    const struct copies_counts *const counts = copies_counts();
    const uint64_t tried = counts->compressed + counts->incompressible;

    if (tried == 0)
        return;
    /* What is not worth it counts as it is. */
    figure_value("zpage.ratio", mode, "factor", "run",
                 quotient(tried * TRAPLINE_PAGE_SIZE,
                          counts->compressed_bytes + counts->incompressible * TRAPLINE_PAGE_SIZE));
    figure_value("zpage.incompressible", mode, "percent", "run",
                 percent(counts->incompressible, tried));
    figure_value("zpage.pool", mode, "bytes", "run", (double)copies_pool_bytes());
    figure_value("zpage.pool.most", mode, "bytes", "run", (double)copies_pool_peak());
}

void report_print(const char *mode, const struct report *run)
{
    const struct copies_counts *const counts = copies_counts();

    for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++) {
        size_t count;
        uint64_t *const values = samples_kept(series[i].kind, &count);

        if (count)
            figure_series(series[i].name, mode, "tsc", series[i].per, values, count);
    }
    print_compression(mode);
    figure_value("zpage.hits", mode, "percent", "run", 100 - percent(run->loads, run->accesses));
    figure_value("zpage.held", mode, "pages", "run", (double)space_held());
    figure_value("zpage.store.reads", mode, "pages", "run", (double)counts->backing_reads);
    figure_value("zpage.store.writes", mode, "pages", "run", (double)counts->backing_writes);
    figure_value("zpage.store.bytes", mode, "bytes", "run", (double)counts->backing_bytes);
    figure_value("zpage.rate", mode, "1/Gtick", "run", 1e9 * quotient(run->accesses, run->ticks));
    printf(
        "zpage: %s: %lu accesses, %lu faults that brought a page, %lu to or from the store (%s), "
        "%lu Mticks\n",
        mode, run->accesses, run->loads, run->transfers, backing_name(), run->ticks / 1000000);
}

void report_compare(const struct report *compressed, const struct report *plain)
{
    const uint64_t saved = plain->transfers - compressed->transfers;
    const uint64_t more = compressed->ticks - plain->ticks;

    if (plain->transfers <= compressed->transfers)
        printf("zpage: compression saves no transfer to or from the store here\n");
    else if (compressed->ticks <= plain->ticks)
        printf("zpage: compression saves %lu of %lu transfers to or from the store, and time\n",
               saved, plain->transfers);
    else {
        figure_value("zpage.break_even", "baseline", "tsc", "page", quotient(more, saved));
        printf("zpage: compression saves %lu of %lu transfers to or from the store: it is worth it "
               "where one takes more than %lu ticks longer than here\n",
               saved, plain->transfers, more / saved);
    }
}
