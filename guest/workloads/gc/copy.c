/*
 * Why an object is copied once, though handlers and collectors do it at the same time:
 *
 * Small objects. Each worker copies into a page of its own. It reads the header, copies the object
 * behind what is in its page, and then exchanges the header for the new address by compare and
 * swap. Who loses gives the bytes in its own page back (nobody has seen them) and takes the
 * winner's address. The object itself changes no more, since no mutator can reach the from-space:
 * so it does not matter that two read it at once. The winner's copy is whole before its address
 * can be read (release, acquire).
 *
 * Large objects are not copied now. Under one lock pages are taken for the object, its header is
 * written there, each page notes from where it is to be copied, and the header is exchanged. Who
 * scans such a page copies it first. So the work of one page is bounded by what its pointers lead
 * to and not by the largest object (Johnson, "Reducing the latency of a real-time garbage
 * collector", 1992, goes that way further).
 *
 * A worker's page may be taken from it between two copies, by a handler whose mutator needs it or a
 * collector that has nothing else to do. Its lock guards that: it is held for the copy of one small
 * object, so that nobody waits for longer. Only a page in state FILLING can be taken, and whoever
 * took it is its worker from then on.
 *
 * All is done at the second addresses.
 */
#include "guest/workloads/gc/copy.h"

#include "guest/workloads/gc/chaos.h"
#include "guest/workloads/gc/pool.h"

/* A page is full, or closed, and waits for who scans it. */
static void make_grey(struct gc_heap *heap, uint32_t page)
{
    const uint32_t turn = atomic_fetch_add(&heap->grey_tail, 1);

    atomic_store_explicit(&heap->page[page].state, GC_PAGE_GREY, memory_order_release);
    atomic_store_explicit(&heap->grey[turn], page + 1, memory_order_release);
}

/* Worker copies no more to its page; with its lock held. */
static void leave_page(struct gc_heap *heap, struct gc_worker *worker)
{
    const uint32_t page = atomic_load_explicit(&worker->page, memory_order_relaxed);

    if (page == GC_NONE)
        return;
    heap->page[page].fill = worker->fill;
    gc_pool_paid(heap, worker->fill);
    atomic_store_explicit(&worker->page, GC_NONE, memory_order_relaxed);
    if (gc_page_state(heap, page) == GC_PAGE_FILLING)
        make_grey(heap, page);
}

static void new_page(struct gc_heap *heap, struct gc_worker *worker)
{
    const uint32_t page = gc_pool_take_copy(heap, 1, false);

    heap->page[page].first = page;
    heap->page[page].source = GC_NONE;
    atomic_fetch_add(&heap->unscanned, 1);
    worker->fill = 0;
    atomic_store_explicit(&heap->page[page].state, GC_PAGE_FILLING, memory_order_release);
    atomic_store_explicit(&worker->page, page, memory_order_release);
}

/* Room for a copy in worker's page, or in a new one: its second address. With worker's lock held.
 */
static char *make_place(struct gc_heap *heap, struct gc_worker *worker, size_t bytes)
{
    if (atomic_load_explicit(&worker->page, memory_order_relaxed) == GC_NONE ||
        worker->fill + bytes > GC_PAGE) {
        leave_page(heap, worker);
        new_page(heap, worker);
    }
    return gc_page_alias(heap, atomic_load_explicit(&worker->page, memory_order_relaxed)) +
           worker->fill;
}

static uint64_t forward_small(struct gc_heap *heap, struct gc_worker *worker,
                              _Atomic(uint64_t) *header, uint64_t seen, size_t bytes)
{
    char *place;

    mutex_lock(&worker->lock);
    place = make_place(heap, worker, bytes);
    *(uint64_t *)place = seen;
    for (size_t i = GC_WORD; i < bytes; i += GC_WORD)
        *(uint64_t *)(place + i) = *(uint64_t *)((char *)header + i);
    gc_chaos(heap, worker);
    if (atomic_compare_exchange_strong_explicit(header, &seen,
                                                (uint64_t)(place + GC_WORD - heap->alias),
                                                memory_order_acq_rel, memory_order_acquire)) {
        worker->fill += (uint32_t)bytes;
        worker->copied += bytes;
        seen = (uint64_t)(place + GC_WORD - heap->alias);
    }
    mutex_unlock(&worker->lock);
    return seen;
}

static uint64_t place_large(struct gc_heap *heap, struct gc_worker *worker,
                            _Atomic(uint64_t) *header, uint64_t seen, size_t bytes)
{
    const uint32_t pages = (uint32_t)((bytes + GC_PAGE - 1) / GC_PAGE);
    const uint32_t source = (uint32_t)gc_page_of(heap, (char *)header - heap->alias);
    const uint32_t first = gc_pool_take_copy(heap, pages, true);

    atomic_fetch_add(&heap->unscanned, pages);
    *(uint64_t *)gc_page_alias(heap, first) = seen;
    for (uint32_t i = 0; i < pages; i++) {
        struct gc_page *const page = &heap->page[first + i];
        const size_t left = bytes - (size_t)i * GC_PAGE;

        page->fill = left < GC_PAGE ? (uint32_t)left : GC_PAGE;
        page->first = first;
        page->source = source + i;
    }
    seen = (uint64_t)(gc_page_address(heap, first) + GC_WORD);
    for (uint32_t i = 0; i < pages; i++)
        make_grey(heap, first + i);
    atomic_store_explicit(header, seen, memory_order_release);
    worker->copied += bytes;
    return seen;
}

static uint64_t forward_large(struct gc_heap *heap, struct gc_worker *worker,
                              _Atomic(uint64_t) *header, size_t bytes)
{
    uint64_t seen;

    mutex_lock(&heap->large_lock);
    seen = atomic_load_explicit(header, memory_order_acquire);
    gc_chaos(heap, worker);
    if (!gc_is_forwarded(seen))
        seen = place_large(heap, worker, header, seen, bytes);
    mutex_unlock(&heap->large_lock);
    return seen;
}

void *gc_forward(struct gc_heap *heap, struct gc_worker *worker, void *object)
{
    _Atomic(uint64_t) *const header = gc_header_of(gc_alias(heap, object));
    uint64_t seen;
    size_t bytes;

    if (!gc_in_space(heap, heap->from, object))
        return object;
    seen = atomic_load_explicit(header, memory_order_acquire);
    if (gc_is_forwarded(seen))
        return (void *)seen;
    bytes = gc_bytes(&heap->options.types[gc_header_type(seen)], gc_header_elements(seen));
    gc_chaos(heap, worker);
    return (void *)(bytes > GC_SMALL_MOST ? forward_large(heap, worker, header, bytes)
                                          : forward_small(heap, worker, header, seen, bytes));
}

static struct gc_worker *worker_of(struct gc_heap *heap, uint32_t page)
{
    const unsigned workers = heap->options.mutators + heap->options.collectors;

    for (unsigned i = 0; i < workers; i++)
        if (atomic_load_explicit(&heap->worker[i].page, memory_order_acquire) == page)
            return &heap->worker[i];
    return NULL;
}

bool gc_adopt(struct gc_heap *heap, struct gc_worker *worker, uint32_t page)
{
    struct gc_worker *const owner = worker_of(heap, page);
    uint32_t fill;
    bool found;

    if (!owner)
        return false;
    mutex_lock(&owner->lock);
    found = atomic_load_explicit(&owner->page, memory_order_relaxed) == page &&
            gc_page_state(heap, page) == GC_PAGE_FILLING;
    if (found) {
        fill = owner->fill;
        atomic_store_explicit(&heap->page[page].state, GC_PAGE_SCANNING, memory_order_release);
        atomic_store_explicit(&owner->page, GC_NONE, memory_order_relaxed);
    }
    mutex_unlock(&owner->lock);
    if (!found)
        return false;
    mutex_lock(&worker->lock);
    leave_page(heap, worker);
    worker->fill = fill;
    atomic_store_explicit(&worker->page, page, memory_order_relaxed);
    mutex_unlock(&worker->lock);
    return true;
}

uint32_t gc_filled(struct gc_heap *heap, struct gc_worker *worker, uint32_t page)
{
    /* A page in state SCANNING is not taken away, so its own worker needs no lock. */
    return atomic_load_explicit(&worker->page, memory_order_relaxed) == page
               ? worker->fill
               : heap->page[page].fill;
}

bool gc_close(struct gc_heap *heap, struct gc_worker *worker, uint32_t page)
{
    bool open;

    mutex_lock(&worker->lock);
    open = atomic_load_explicit(&worker->page, memory_order_relaxed) == page;
    if (open)
        leave_page(heap, worker);
    mutex_unlock(&worker->lock);
    return open;
}
