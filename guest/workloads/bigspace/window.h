/*
 * A window of addresses onto a space: programs follow 32-bit references in it by an addition,
 * though the space's addresses are longer. Swizzling at page-fault time (Wilson 1991; Wilson and
 * Kakkad 1992, the Texas store):
 *
 *   free      a place that stands for no page of the space
 *   reserved  a place that stands for a page to which there are references in the window, access
 *             NONE. A touch traps: the page is brought in, and each 64-bit address in it becomes a
 *             reference, for which the target's page is given a place, reserved, if it has none
 *   clean     the page is here, access READ; a write traps
 *   dirty     it was written, all access
 *
 * So a program never meets an address that is not swizzled, and checks nothing. Places are aliases;
 * the pages that are here lie in the frames of a region, of which there are fewer: a place that is
 * reserved takes no memory.
 *
 * When frames run out, the pages that came first leave: dirty ones are written back, their
 * references made addresses again; their places are reserved. When places run out, those to which
 * no page here and no root refers are free again, if need be after more pages have left.
 *
 * One thread uses a window, and a program has one window at a time.
 */
#ifndef BIGSPACE_WINDOW_H
#define BIGSPACE_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest/workloads/bigspace/space.h"

enum {
    WINDOW_ROOTS = 64,
    WINDOW_PAGES_MOST = 1 << 20, /* all that 32-bit references reach */
    WINDOW_NEVER = 0,            /* the place that stays free, so that no reference is 0 */
};

enum place_state {
    PLACE_FREE,
    PLACE_RESERVED,
    PLACE_CLEAN,
    PLACE_DIRTY,
};

struct place {
    uint64_t page;  /* of the space */
    uint32_t next;  /* with the same hash; 0 = none */
    uint32_t frame; /* of a page that is here */
    uint8_t state;  /* enum place_state */
    bool reachable; /* from roots or pages that are here */
};

struct window_counts {
    uint64_t loads, load_ticks;       /* pages brought in; in the handler, evictions left out */
    uint64_t swizzled, swizzle_ticks; /* references */
    uint64_t reserved;                /* places that were given to pages */
    uint64_t writes;                  /* traps of writes to clean pages */
    uint64_t evictions, evict_ticks;  /* pages that left */
    uint64_t written_back;
    uint64_t searches; /* for places that nothing refers to */
};

struct window {
    struct region *region; /* the frames */
    char *base;            /* of the places */
    size_t mapped;         /* places that are aliases yet */
    struct space *space;
    size_t places, frames;
    struct place *place;
    uint32_t *buckets; /* heads of lists of places, by their page's hash; 0 = none */
    size_t mask;       /* of the buckets' indices */
    uint32_t *unused;  /* a stack of free places */
    size_t unused_count;
    uint32_t *unused_frames; /* a stack, too */
    size_t unused_frame_count;
    uint32_t *queue; /* places whose page is here, a ring, in the order in which they came */
    size_t queue_first, queue_count;
    void **leaving; /* places to be protected together */
    bool check;     /* each page that was brought in is compared with what it is in the space */
    bool
        forget; /* a mistake on purpose: now and then a page has a reference that is not swizzled */
    struct window_counts counts;
    /* The references that the program holds while it touches objects: see window_root(). */
    volatile uint32_t roots[WINDOW_ROOTS];
};

struct window_options {
    enum region_mechanism mechanism;
    uint64_t pages;  /* of addresses: places; at least 2, at most WINDOW_PAGES_MOST */
    uint64_t frames; /* at least 2 */
    bool check, forget;
};

/* Returns 0; -EINVAL when the mechanism has not so many aliases; -ENOMEM. */
int window_open(struct window *window, struct space *space, const struct window_options *options);

/* Write back what is dirty; then forget all. */
void window_close(struct window *window);

/* The reference for an address of the space; it is good while a root has it or a page here does. */
uint32_t window_reference(struct window *window, uint64_t address);

/* What a reference refers to; touching it may trap. */
static inline struct object32 *window_object(const struct window *window, uint32_t reference)
{
    return (struct object32 *)(window->base + reference);
}

/*
 * What a program read from an object and means to follow goes to a root before it touches another
 * page: the handler looks there for places that must stay. The fence keeps the compiler, which
 * knows nothing of the handler, from touching first.
 */
static inline void window_root(struct window *window, unsigned root, uint32_t reference)
{
    window->roots[root] = reference;
    atomic_signal_fence(memory_order_seq_cst);
}

/* Where a page that is here lies, always accessible. */
static inline struct page32 *window_contents(const struct window *window, uint32_t place)
{
    return (struct page32 *)((char *)region_base(window->region) +
                             (size_t)window->place[place].frame * PAGE);
}

/* For window_room.c. */
uint32_t window_place_of(const struct window *window, uint64_t page);
noreturn void window_fail(const char *what, uint64_t which);

/*
 * Make so many places free, or end the program: the window is too small. Place keep stays as it is;
 * it may be WINDOW_NEVER.
 */
void window_make_room(struct window *window, size_t places, uint32_t keep);

/* Make a frame free. */
void window_make_frame(struct window *window);

/* All pages leave. */
void window_empty(struct window *window);

#endif
