/* Finding out what was written: see region_dirty.c. */
#ifndef GUEST_LINUX_REGION_DIRTY_H
#define GUEST_LINUX_REGION_DIRTY_H

#include "guest/linux/region.h"

/*
 * A way. Calls return 0 or -ENOMEM. Where harvest is NULL writes to pages that are clean are
 * forbidden, and the fault notes them.
 */
struct dirty_way {
    const char *name; /* in TRAPLINE_DIRTY */

    /* Find out whether it works in this process, at the first use; NULL: it does. */
    bool (*begin)(void);

    /* Before the first page of a region is tracked; NULL: there is nothing to do. */
    int (*arm)(struct region *region);

    /* Slots of the window got new mappings, which nobody uses yet; may be NULL. */
    int (*mapped)(struct region *region, size_t slot, size_t count);

    /* Call region_written() for the pages of the slots that were written since the last time. */
    int (*harvest)(struct region *region, size_t slot, size_t count);
    bool of_all; /* one harvest is of all slots of all regions */
};

extern const struct dirty_way dirty_scan, dirty_soft, dirty_protect;

/* The way for a region. */
const struct dirty_way *dirty_way_of(const struct region *region);

/* A page was written; noted if it is tracked. */
void region_written(struct region *region, size_t page);

/* region_apply() for pages and all of their aliases. */
int region_apply_everywhere(struct region *region, size_t page, size_t pages);

#endif
