/*
 * An allocator that finds stray accesses: one block of so many gets a page of its own between two
 * pages that may not be touched.
 *
 *     | guard |........ block| guard |block ........| guard |  freed   | guard |
 *
 * A block lies at its page's end, or at its beginning; what is left of the page is filled with a
 * pattern, which is looked at when the block is freed. A freed block's page may not be touched
 * until it is needed again: a quarter of the pages, those freed last, always rest. All other blocks
 * are malloc()'s. One thread at a time.
 */
#ifndef OVERFLOW_REDZONES_H
#define OVERFLOW_REDZONES_H

#include <trapline/portable.h>

#include "guest/workloads/overflow/mistake.h"

enum stray_kind {
    STRAY_BEYOND, /* behind a block's end */
    STRAY_BEFORE, /* before its first byte */
    STRAY_FREED,  /* in a block that was freed */
};

/* What is known of a stray access. */
struct stray {
    enum stray_kind kind;
    bool write;
    uint64_t address;
    uint64_t rip;                 /* the instruction; 0 when it was noticed by the pattern */
    uint64_t block, size, number; /* the block's first byte, its bytes, how many were made before */
    /* Bytes from the block's last byte, or back from its first one, 1 for those next to it; of a
     * freed block from its first byte on, 0 for that. */
    uint64_t distance;
};

/*
 * Who is told. Returns where the program goes on, or 0 to have the stray access printed and the
 * program ended. Called in the TRAP handler (then with rip), or by redzones_free().
 */
typedef uint64_t stray_handler(const struct stray *stray);

/*
 * slots: pages for such blocks; three quarters of them can be in use at once. sample: one block of
 * so many has them; 0 = none. Returns 0, -ENOMEM or what the region's calls return.
 */
int redzones_init(enum region_mechanism mechanism, size_t slots, uint64_t sample,
                  stray_handler *handler, enum mistake mistake);
void redzones_end(void);

/* As malloc() and free(), but for size 0, which is refused. */
void *redzones_alloc(size_t size);
void redzones_free(void *block);

/* Whether a block has guard pages. */
bool redzones_guards(const void *block);

void stray_print(const struct stray *stray);

#endif
