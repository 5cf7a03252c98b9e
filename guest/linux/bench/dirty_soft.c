/* DIRTY by soft-dirty flags: read those of the range in one call, and clear those of the process.
 */
#include <unistd.h>

#include "guest/linux/bench/dirty.h"
#include "guest/linux/pagemap.h"
#include "guest/workloads/bench/harness.h"

static int pagemap = -1, clear_refs = -1;
static uint64_t *entries;

static void end(void)
{
    close(pagemap);
    close(clear_refs);
}

static bool begin(void)
{
    pagemap = pagemap_open();
    clear_refs = clear_refs_open();
    if (soft_dirty_works(pagemap, clear_refs))
        return true;
    end();
    return false;
}

static bool track_area(char *area, size_t pages)
{
    (void)area;
    entries = malloc(pages * sizeof(*entries));
    return entries && soft_dirty_clear(clear_refs);
}

static void untrack(char *area, size_t pages)
{
    (void)area, (void)pages;
    free(entries);
}

static long fetch(char *area, size_t pages, void **list)
{
    long found = 0;

    if (!pagemap_read(pagemap, (uint64_t)area, entries, pages))
        return -1;
    for (size_t i = 0; i < pages; i++)
        if (entries[i] & PAGEMAP_SOFT_DIRTY)
            list[found++] = area + i * PAGE;
    return soft_dirty_clear(clear_refs) ? found : -1;
}

const struct dirty_way dirty_soft = {.mode = "soft-dirty",
                                     .needed = "soft-dirty flags (CONFIG_MEM_SOFT_DIRTY)",
                                     .begin = begin,
                                     .track = track_area,
                                     .fetch = fetch,
                                     .untrack = untrack,
                                     .end = end};
