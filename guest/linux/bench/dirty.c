#include "guest/linux/bench/dirty.h"

#include <trapline/vm.h>

#include "guest/linux/bench/bench.h"

static const struct dirty_way *way;

void dirty_choose(const struct dirty_way *chosen)
{
    way = chosen;
}

/*
 * The pages get into page tables here and not earlier, so that a way that works on the whole
 * process is not charged for pages that are not tracked.
 */
int track(void *page, size_t pages, int on)
{
    char *const area = page;

    if (!on) {
        way->untrack(area, pages);
        return 0;
    }
    for (size_t i = 0; i < pages; i++)
        *(volatile char *)(area + i * PAGE) = 0;
    return way->track(area, pages) ? 0 : -TRAPLINE_ENOMEM;
}

/* The buffer is always large enough for all pages. */
long dirty(void *page, size_t pages, void **buffer, size_t capacity, size_t *left)
{
    assert(capacity >= pages);
    *left = 0;
    return way->fetch(page, pages, buffer);
}
