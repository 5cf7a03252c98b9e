/* DIRTY by PAGEMAP_SCAN: the written ranges are told and write-protected again in one call. */
#include <unistd.h>

#include "guest/linux/bench/dirty.h"
#include "guest/linux/pagemap.h"
#include "guest/linux/uffd.h"
#include "guest/workloads/bench/harness.h"

static int uffd = -1, pagemap = -1;
static struct scan_range *ranges;
static size_t ranges_max;

static void end(void)
{
    close(uffd);
    close(pagemap);
}

static bool begin(void)
{
    struct scan_range none;
    uint64_t start = 0;

    uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    pagemap = pagemap_open();
    if (uffd >= 0 && pagemap >= 0 && pagemap_scan(pagemap, &start, PAGE, &none, 1) >= 0)
        return true;
    end();
    return false;
}

/* Room for as many ranges as there can be, so that one call is enough. */
static bool track_area(char *area, size_t pages)
{
    ranges_max = pages / 2 + 1;
    ranges = malloc(ranges_max * sizeof(*ranges));
    return ranges && uffd_register(uffd, (uint64_t)area, pages * PAGE, UFFDIO_REGISTER_MODE_WP) &&
           uffd_write_protect(uffd, (uint64_t)area, pages * PAGE, true);
}

static void untrack(char *area, size_t pages)
{
    uffd_write_protect(uffd, (uint64_t)area, pages * PAGE, false);
    free(ranges);
}

static long fetch(char *area, size_t pages, void **list)
{
    uint64_t start = (uint64_t)area;
    const int count = pagemap_scan(pagemap, &start, start + pages * PAGE, ranges, ranges_max);
    long found = 0;

    for (int i = 0; i < count; i++)
        for (uint64_t page = ranges[i].start; page < ranges[i].end; page += PAGE)
            list[found++] = (void *)page;
    return count < 0 ? -1 : found;
}

const struct dirty_way dirty_scan = {.mode = "pagemap-scan",
                                     .needed = "PAGEMAP_SCAN (Linux 6.7)",
                                     .begin = begin,
                                     .track = track_area,
                                     .fetch = fetch,
                                     .untrack = untrack,
                                     .end = end};
