#include "guest/linux/bench/protection.h"

#include <sys/mman.h>

#include "guest/workloads/bench/harness.h"
#include "guest/linux/uffd.h"

static int uffd = -1;

static bool nothing_to_begin(char *area, size_t pages)
{
    (void)area, (void)pages;
    return true;
}

static bool forbid_by_mprotect(char *page, size_t pages)
{
    return mprotect(page, pages * PAGE, PROT_NONE) == 0;
}

static bool allow_by_mprotect(char *page, size_t pages)
{
    return mprotect(page, pages * PAGE, PROT_READ | PROT_WRITE) == 0;
}

static bool begin_uffd(char *area, size_t pages)
{
    return uffd_register(uffd, (uint64_t)area, pages * PAGE, UFFDIO_REGISTER_MODE_WP);
}

static bool forbid_by_uffd(char *page, size_t pages)
{
    return uffd_write_protect(uffd, (uint64_t)page, pages * PAGE, true);
}

static bool allow_by_uffd(char *page, size_t pages)
{
    return uffd_write_protect(uffd, (uint64_t)page, pages * PAGE, false);
}

const struct protection by_mprotect = {.mode = "mprotect",
                                       .stops_reads = true,
                                       .begin = nothing_to_begin,
                                       .forbid = forbid_by_mprotect,
                                       .allow = allow_by_mprotect};
const struct protection by_uffd = {
    .mode = "uffd", .begin = begin_uffd, .forbid = forbid_by_uffd, .allow = allow_by_uffd};

const struct protection *protections[3] = {&by_mprotect};

void protections_begin(void)
{
    uffd = uffd_open(UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    if (uffd >= 0)
        protections[1] = &by_uffd;
    else
        printf("bench: rows of mode uffd left out: the kernel has no userfaultfd that "
               "write-protects and signals, or does not allow it\n");
}

void range_forbid(void *range)
{
    const struct range *const what = range;

    what->by->forbid(what->page, what->pages);
}

void range_allow(void *range)
{
    const struct range *const what = range;

    what->by->allow(what->page, what->pages);
}

void range_check(const char *row, const struct range *range, bool behind)
{
    const struct protection *const by = range->by;
    char *const first = range->page, *const middle = first + range->pages / 2 * PAGE;
    char *const last = first + (range->pages - 1) * PAGE;

    *first = *last = 0;
    bench_expect(by->forbid(first, range->pages), row, "pages can be forbidden");
    bench_expect(bench_write_traps(first), row, "a write to the first page is delivered");
    bench_expect(bench_write_traps(middle), row, "a write to the middle is delivered");
    bench_expect(bench_write_traps(last), row, "a write to the last page is delivered");
    bench_expect(bench_read_traps(last) == by->stops_reads, row,
                 by->stops_reads ? "a read is delivered" : "a read is not delivered");
    if (behind)
        bench_expect(!bench_write_traps(last + PAGE), row, "a write behind is not delivered");
    bench_expect(by->allow(first, range->pages), row, "the pages can be allowed again");
    bench_expect(*first == 0 && *last == 0, row, "the writes that were stopped had no effect");
    bench_expect(!bench_write_traps(last) && *last == 1, row, "then a write is not delivered");
}

void range_measure(const char *row, const char *mode, const struct range *range, unsigned rounds)
{
    const struct bench_op op = {.name = row,
                                .mode = mode,
                                .per = "call",
                                .rounds = rounds,
                                .ops = 1,
                                .run = range_forbid,
                                .after = range_allow};

    range_check(row, range, true);
    bench_run(&op, (void *)range);
}

static bool for_runs(const struct list *list, bool (*change)(char *page, size_t pages))
{
    bool good = true;

    for (size_t first = 0, end; first < list->count; first = end) {
        end = first + 1;
        while (end < list->count && list->pages[end] == list->pages[end - 1] + PAGE)
            end++;
        good &= change(list->pages[first], end - first);
    }
    return good;
}

void list_forbid(void *list)
{
    const struct list *const what = list;

    for_runs(what, what->by->forbid);
}

void list_allow(void *list)
{
    const struct list *const what = list;

    for_runs(what, what->by->allow);
}

void list_choose(struct list *list, size_t count, char *area, uint32_t *order, size_t pages)
{
    list->count = 0;
    bench_permute(order, pages);
    for (size_t i = 0; list->count < count; i++)
        if (order[i] % PAGES_2M != 0)
            list->pages[list->count++] = area + (size_t)order[i] * PAGE;
}

void list_check(const char *row, struct list *list)
{
    bench_expect(for_runs(list, list->by->forbid), row, "pages can be forbidden");
    for (size_t i = 0; i < list->count; i++)
        bench_expect(bench_write_traps(list->pages[i]), row,
                     "a write to a listed page is delivered");
    bench_expect(for_runs(list, list->by->allow), row, "the pages can be allowed again");
    for (size_t i = 0; i < list->count; i++)
        bench_expect(!bench_write_traps(list->pages[i]), row, "then a write is not delivered");
}
