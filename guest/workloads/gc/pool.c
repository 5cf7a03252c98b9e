/*
 * One word holds where the copies end (low half) and where the new objects begin (high half), both
 * counted from the to-space's first page; what lies between is free.
 *
 * A cycle must never find that the to-space is full. What it may have to copy is known at the flip:
 * all that was in use. A page of small objects holds GC_PACKED bytes at least, so bytes copied one
 * by one into pages need owed_bytes / GC_PACKED pages at most. New objects get a page only if
 *  - what is owed still has room in this to-space, and
 *  - all that is in use then, and owed, can be copied by the next cycle as well.
 * What is taken for copies is counted as used before it is taken off what is owed, so that a look
 * from elsewhere never sees too little.
 */
#include "guest/workloads/gc/pool.h"

enum {
    HALF = 32,
    WORKER_SLACK = 2, /* pages of each worker that are not full when the cycle ends */
};

static uint32_t copies_end(uint64_t pool)
{
    return (uint32_t)pool;
}

static uint32_t new_begin(uint64_t pool)
{
    return (uint32_t)(pool >> HALF);
}

void gc_pool_reset(struct gc_heap *heap)
{
    struct gc_account *const used = &heap->used;

    atomic_store(&used->owed_bytes, atomic_load(&used->small_bytes));
    atomic_store(&used->owed_large_pages, atomic_load(&used->large_pages));
    atomic_store(&used->small_bytes, 0);
    atomic_store(&used->small_pages, 0);
    atomic_store(&used->large_pages, 0);
    atomic_store(&heap->pool, (uint64_t)heap->options.space_pages << HALF);
}

static size_t slack(const struct gc_heap *heap)
{
    return (size_t)WORKER_SLACK * (heap->options.mutators + heap->options.collectors);
}

static size_t owed_small_pages(const struct gc_heap *heap)
{
    return (atomic_load(&heap->used.owed_bytes) + GC_PACKED - 1) / GC_PACKED;
}

/* Pages that the next cycle may need, with so many more in use now. */
static size_t next_need(const struct gc_heap *heap, size_t small, size_t large)
{
    const struct gc_account *const used = &heap->used;
    const size_t owed_large = atomic_load(&used->owed_large_pages);
    const size_t owed_small = owed_small_pages(heap);

    small += atomic_load(&used->small_pages) + owed_small;
    large += atomic_load(&used->large_pages) + owed_large;
    return (small * GC_PAGE + GC_PACKED - 1) / GC_PACKED + large + slack(heap);
}

static bool has_room(const struct gc_heap *heap, size_t pages, bool large)
{
    const size_t kept = gc_phase(heap) == GC_ACTIVE ? gc_pool_owed(heap) + slack(heap) : 0;
    uint32_t first;

    return gc_pool_free(heap, &first) >= pages + kept &&
           next_need(heap, large ? 0 : pages, large ? pages : 0) <= heap->options.space_pages;
}

uint32_t gc_pool_take_copy(struct gc_heap *heap, uint32_t pages, bool large)
{
    uint64_t pool = atomic_load(&heap->pool);

    atomic_fetch_add(large ? &heap->used.large_pages : &heap->used.small_pages, pages);
    do {
        if (new_begin(pool) - copies_end(pool) < pages) {
            printf("gc: out of memory: no page is left to copy to; give a larger heap\n");
            exit(EXIT_FAILURE);
        }
    } while (!atomic_compare_exchange_weak(&heap->pool, &pool, pool + pages));
    if (large)
        atomic_fetch_sub(&heap->used.owed_large_pages, pages);
    return heap->to + copies_end(pool);
}

uint32_t gc_pool_take_new(struct gc_heap *heap, uint32_t pages, bool large, uint32_t *first)
{
    uint64_t pool;

    mutex_lock(&heap->pool_lock);
    while (pages && !has_room(heap, pages, large))
        pages = large ? 0 : pages / 2;
    if (pages)
        atomic_fetch_add(large ? &heap->used.large_pages : &heap->used.small_pages, pages);
    pool = atomic_load(&heap->pool);
    do {
        if (new_begin(pool) - copies_end(pool) < pages)
            pages = 0;
    } while (!atomic_compare_exchange_weak(&heap->pool, &pool, pool - ((uint64_t)pages << HALF)));
    mutex_unlock(&heap->pool_lock);
    *first = heap->to + new_begin(pool) - pages;
    return pages;
}

bool gc_pool_spares(struct gc_heap *heap)
{
    return has_room(heap, 1, false);
}

void gc_pool_paid(struct gc_heap *heap, uint32_t bytes)
{
    atomic_fetch_add(&heap->used.small_bytes, bytes);
    atomic_fetch_sub(&heap->used.owed_bytes, bytes);
}

void gc_pool_settle(struct gc_heap *heap)
{
    atomic_store(&heap->used.owed_bytes, 0);
    atomic_store(&heap->used.owed_large_pages, 0);
}

uint32_t gc_pool_free(const struct gc_heap *heap, uint32_t *first)
{
    const uint64_t pool = atomic_load(&heap->pool);

    *first = heap->to + copies_end(pool);
    return new_begin(pool) - copies_end(pool);
}

size_t gc_pool_owed(const struct gc_heap *heap)
{
    return atomic_load(&heap->used.owed_large_pages) + owed_small_pages(heap);
}

size_t gc_pool_used(const struct gc_heap *heap)
{
    uint32_t first;

    return heap->options.space_pages - gc_pool_free(heap, &first);
}

size_t gc_pool_allowance(const struct gc_heap *heap)
{
    const size_t kept = gc_pool_owed(heap) + slack(heap);
    const size_t need = next_need(heap, 0, 0), all = heap->options.space_pages;
    uint32_t first;
    const size_t empty = gc_pool_free(heap, &first);
    const size_t now = empty > kept ? empty - kept : 0;
    const size_t later = all > need ? (all - need) * GC_PACKED / GC_PAGE : 0;

    return now < later ? now : later;
}
