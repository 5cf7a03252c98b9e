/*
 * The heap's inside. Two semispaces lie in one region; all of it is mapped a second time, by MAP2,
 * with full access. Mutators use the first addresses, everything here the second.
 *
 * Pages of the to-space: copies fill it from its first page upwards, new objects from its last page
 * downwards. An object of up to GC_SMALL_MOST bytes lies within a page. A larger one has pages of
 * its own, and first is the crossing map: it leads from any of them to the object's header.
 */
#ifndef GC_HEAP_H
#define GC_HEAP_H

#include "guest/workloads/gc/gc.h"

#include "guest/workloads/gc/object.h"
#include "guest/workloads/gc/pauses.h"

enum {
    GC_PAGE = TRAPLINE_PAGE_SIZE,
    GC_SMALL_MOST = GC_PAGE / 8, /* bytes of an object that shares pages, its header included */
    GC_PACKED = GC_PAGE - GC_SMALL_MOST + GC_WORD, /* bytes that a page of such surely holds */
    GC_WORKERS = 32,
    GC_CHUNK = 8, /* pages that a mutator takes at once */
    GC_CACHE_LINE = 64,
};

#define GC_NONE UINT32_MAX

enum gc_page_state {
    GC_PAGE_FREE,
    GC_PAGE_FILLING,  /* a worker copies objects to it; forbidden to mutators */
    GC_PAGE_GREY,     /* to be scanned; forbidden, too */
    GC_PAGE_SCANNING, /* somebody claimed it and is at it */
    GC_PAGE_OPEN,     /* scanned, or full of new objects */
};

struct gc_page {
    atomic_uint state;
    uint32_t fill;   /* bytes in use, but of a page that is being filled: see its worker */
    uint32_t first;  /* the page in which the object that covers the first byte begins */
    uint32_t source; /* of a large object: the from-space page to be copied yet, or GC_NONE */
};

enum gc_phase {
    GC_IDLE,
    GC_ACTIVE, /* some of the to-space is unscanned */
    GC_ENDED,  /* all is scanned, and the verifier has yet to look */
};

/* On whose time a page is scanned. */
enum gc_who {
    GC_BY_HANDLER,
    GC_BY_COLLECTOR,
    GC_BY_ALLOCATION,
    GC_WHO
};

/* Whoever copies objects: each thread has one, which is that of its handler as well. */
struct gc_worker {
    _Alignas(GC_CACHE_LINE) struct mutex lock; /* of page and fill */
    atomic_uint page;                          /* it copies there now, or GC_NONE */
    uint32_t fill;
    uint64_t random; /* of chaos */
    uint64_t copied; /* bytes */
    uint64_t scanned[GC_WHO];
};

struct gc_mutator {
    struct gc_heap *heap;
    struct gc_worker *worker;
    char *next, *end; /* what is left of its page */
    uint32_t page, chunk, chunk_end;
    struct gc_frame *frames;
    uint64_t allocated; /* bytes */
    uint64_t stalls;    /* waits for the end of a cycle, because there was no room */
    struct gc_pauses pauses;
};

/* What is in use of the to-space, and what the cycle may still have to copy there. */
struct gc_account {
    atomic_size_t small_pages, large_pages;
    atomic_size_t small_bytes; /* in pages that are full or closed */
    atomic_size_t owed_bytes, owed_large_pages;
};

struct gc_heap {
    struct gc_options options;
    struct region *region;
    char *base;           /* of the region */
    ptrdiff_t alias;      /* from an address to its second one */
    uint32_t from, to;    /* the first pages of the two; changed while all stand */
    struct gc_page *page; /* of both */
    struct gc_worker *worker;
    struct gc_mutator *mutator;
    struct gc_frame *globals;
    struct gc_checker *checker;

    _Alignas(GC_CACHE_LINE) atomic_ulong pool; /* see pool.c */
    struct gc_account used;
    struct mutex pool_lock, large_lock;

    atomic_uint *grey; /* page numbers plus 1 in the order of becoming grey, each once a cycle */
    _Alignas(GC_CACHE_LINE) atomic_uint grey_head, grey_tail;
    _Alignas(GC_CACHE_LINE) atomic_uint unscanned; /* pages between FREE and OPEN */
    atomic_uint phase;

    struct mutex lock;       /* of what follows */
    atomic_bool stop_wanted; /* also looked at without it */
    unsigned running, busy;  /* mutators that do not stand; collectors at work */
    bool quit;               /* the collectors are to end */
    struct condition all_stand, go_on, work;

    size_t used_at_end;          /* pages, when the latest cycle ended */
    size_t pace;                 /* pages to scan for each new page, */
    size_t grace;                /* but for so many first ones */
    atomic_size_t taken, opened; /* in this cycle: new pages, and pages scanned */
    uint64_t cycles, cycle_start;
    uint64_t cycle_ticks; /* from flips to the ends of their cycles */
    struct gc_pauses flips;
};

static inline void *gc_alias(const struct gc_heap *heap, const void *address)
{
    return (char *)address + heap->alias;
}

static inline char *gc_page_address(const struct gc_heap *heap, uint32_t page)
{
    return heap->base + (size_t)page * GC_PAGE;
}

static inline char *gc_page_alias(const struct gc_heap *heap, uint32_t page)
{
    return gc_page_address(heap, page) + heap->alias;
}

/* The page of an address of the heap; other addresses give a number that is no page's. */
static inline size_t gc_page_of(const struct gc_heap *heap, const void *address)
{
    return ((uintptr_t)address - (uintptr_t)heap->base) / GC_PAGE;
}

static inline bool gc_in_space(const struct gc_heap *heap, uint32_t first, const void *address)
{
    return (uintptr_t)address - (uintptr_t)gc_page_address(heap, first) <
           heap->options.space_pages * GC_PAGE;
}

static inline enum gc_phase gc_phase(const struct gc_heap *heap)
{
    return (enum gc_phase)atomic_load_explicit(&heap->phase, memory_order_acquire);
}

static inline unsigned gc_page_state(const struct gc_heap *heap, uint32_t page)
{
    return atomic_load_explicit(&heap->page[page].state, memory_order_acquire);
}

static inline bool gc_protects(const struct gc_heap *heap)
{
    return heap->options.mode == GC_CONCURRENT;
}

/* A call of region.h that must not fail, or the end of the program. */
void gc_must(int result, const char *what);

#endif
