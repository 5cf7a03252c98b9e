/*
 * The copies of pages that have no frame: compressed in the pool; or, when the pool is full the
 * oldest of it, and what does not compress to three quarters of a page, in the store below. A page
 * that was never written has none and is zero.
 *
 * A page that is brought back keeps its copy while it is not written, so that it can lose its frame
 * again for nothing; of the pool's such copies are given up first come, first served with the
 * others, but without being written to the store.
 *
 * All calls are made under the space's lock. Their addresses are frames, which do not trap.
 */
#ifndef ZPAGE_COPIES_H
#define ZPAGE_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum copy_place {
    COPY_ZERO, /* the page is zero */
    COPY_POOL,
    COPY_BACKING,
    COPY_NONE, /* the frame has the only one */
};

struct copies_counts {
    uint64_t compressed, incompressible; /* pages that went through the compressor, by its result */
    uint64_t compressed_bytes;           /* of those that were compressed */
    uint64_t backing_reads, backing_writes;
    uint64_t backing_bytes; /* of both */
};

/*
 * For pages pages, with a pool of pool_pages, 0 for no compression at all. Returns false when there
 * is no memory; why was printed.
 */
bool copies_open(size_t pages, size_t pool_pages, unsigned acceleration);
void copies_close(void);

/* The page is about to lose its frame: see to a copy. Nothing is done when it has one. */
void copies_save(size_t page, const void *frame);

/* Fill a frame from the page's copy, which stays. Returns where it was. */
enum copy_place copies_load(size_t page, void *frame);

/* The page is written: its copy is no longer one. */
void copies_drop(size_t page);

const struct copies_counts *copies_counts(void);

/* Pages whose copy is in the pool, of which have no frame; and the pool's bytes, now and at most.
 */
size_t copies_held(void);
size_t copies_pool_bytes(void);
size_t copies_pool_peak(void);

/* Whether the pool, its queue and the counts of it agree; what does not is printed. */
bool copies_check(size_t pages);

/* Begin to count anew. */
void copies_count_anew(void);

#endif
