/*
 * The paged address space: pages addresses of which as many as there are frames are in memory. The
 * frames are a region; the addresses lie in the region's alias window, and a page that is in memory
 * is an alias of its frame. One space at a time.
 */
#ifndef ZPAGE_SPACE_H
#define ZPAGE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/region.h>

struct space_settings {
    enum region_mechanism mechanism;
    size_t pages, frames; /* frames: at least 2, at most pages */
    size_t pool_pages;    /* besides the frames; 0 = pages without a frame are not compressed */
    size_t lead;          /* frames whose pages are watched for accesses; 1 to frames */
    size_t batch;         /* pages that PROTN takes at a time; 1 to lead, at most SPACE_BATCH_MAX */
    unsigned acceleration;
    bool lose_writes; /* a mistake on purpose: see page_write() */
};

enum {
    SPACE_BATCH_MAX = 256,
};

/*
 * Make a space of zero pages and register the TRAP handler. Returns its first address, or NULL when
 * it cannot be made; why was printed.
 */
char *space_open(const struct space_settings *settings);

/* No thread uses the space any more. */
void space_close(void);

/* Pages that were brought to memory since space_open() or space_count_anew(). */
uint64_t space_loads(void);

/* Pages whose contents are in memory now, in frames or in the pool. */
size_t space_held(void);

/* Begin to count anew, here, in copies.h and in samples.h. */
void space_count_anew(void);

#endif
