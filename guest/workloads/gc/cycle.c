/*
 * The flip is short, because little is left to do in it: the to-space was protected when the last
 * cycle had ended and it was no more in use, as one range, while the mutators ran. So the flip
 * exchanges two numbers and forwards the roots.
 */
#include "guest/workloads/gc/cycle.h"

#include "guest/workloads/gc/checker.h"
#include "guest/workloads/gc/copy.h"
#include "guest/workloads/gc/pool.h"
#include "guest/workloads/gc/scan.h"
#include "guest/workloads/gc/stop.h"

enum {
    PERCENT = 100,
    SHARE =
        2, /* of paces at most at one allocation; what is due besides is left to the next ones */
};

void gc_retire(struct gc_mutator *mutator)
{
    struct gc_heap *const heap = mutator->heap;

    if (mutator->page != GC_NONE) {
        const uint32_t fill = (uint32_t)(mutator->next - gc_page_address(heap, mutator->page));

        heap->page[mutator->page].fill = fill;
        atomic_fetch_add(&heap->used.small_bytes, fill);
        mutator->allocated += fill;
    }
    mutator->page = GC_NONE;
    mutator->next = mutator->end = NULL;
}

static void forward_frames(struct gc_heap *heap, struct gc_worker *worker, struct gc_frame *frame)
{
    for (; frame; frame = frame->below)
        for (size_t i = 0; i < frame->count; i++)
            if (frame->slots[i])
                frame->slots[i] = gc_forward(heap, worker, frame->slots[i]);
}

/* From here on new objects are black: they and their pages are never scanned in this cycle. */
static void turn_over(struct gc_heap *heap)
{
    const uint32_t old = heap->to;

    for (unsigned i = 0; i < heap->options.mutators; i++) {
        gc_retire(&heap->mutator[i]);
        heap->mutator[i].chunk = heap->mutator[i].chunk_end = 0;
    }
    heap->to = heap->from;
    heap->from = old;
    gc_pool_reset(heap);
    atomic_store(&heap->grey_head, 0);
    atomic_store(&heap->grey_tail, 0);
    atomic_store(&heap->unscanned, 1); /* so that the cycle does not end before the last root */
    atomic_store(&heap->taken, 0);
    atomic_store(&heap->opened, 0);
    heap->cycles++;
}

/*
 * All that is owed is to be scanned by the time that the allowance is used up (Baker's k). Where
 * there are collectors, mutators leave the first half of it to them.
 */
static void set_pace(struct gc_heap *heap)
{
    const size_t owed = gc_pool_owed(heap);
    size_t allowance = gc_pool_allowance(heap);

    heap->grace = heap->options.collectors ? allowance / 2 : 0;
    allowance -= heap->grace;
    heap->pace = allowance ? (owed + allowance - 1) / allowance : owed;
}

static void collect_now(struct gc_heap *heap, struct gc_worker *worker)
{
    unsigned turns = 0;

    gc_collectors_wake(heap);
    while (gc_phase(heap) == GC_ACTIVE)
        if (!gc_scan_some(heap, worker, GC_BY_ALLOCATION))
            gc_wait_a_moment(&turns);
    gc_collectors_rest(heap);
}

static void protect_space(struct gc_heap *heap, uint32_t first)
{
    gc_must(region_protn_range(heap->region, gc_page_address(heap, first),
                               heap->options.space_pages, TRAPLINE_NONE),
            "protecting a space");
}

bool gc_cycle_begin(struct gc_mutator *mutator)
{
    struct gc_heap *const heap = mutator->heap;
    const uint64_t arrived = ticks();
    uint64_t start;

    if (!gc_stop(mutator, GC_IDLE))
        return false;
    start = heap->cycle_start = ticks();
    turn_over(heap);
    if (gc_protects(heap) && heap->options.fence)
        protect_space(heap, heap->from);
    set_pace(heap);
    atomic_store_explicit(&heap->phase, GC_ACTIVE, memory_order_release);
    forward_frames(heap, mutator->worker, heap->globals);
    for (unsigned i = 0; i < heap->options.mutators; i++)
        forward_frames(heap, mutator->worker, heap->mutator[i].frames);
    if (atomic_fetch_sub(&heap->unscanned, 1) == 1)
        gc_scan_finished(heap);
    gc_pauses_add(&heap->flips, GC_PAUSE_STOP, start);
    if (heap->options.mode == GC_STOP)
        collect_now(heap, mutator->worker);
    gc_resume(mutator);
    gc_pauses_add(&mutator->pauses, GC_PAUSE_STOP, arrived);
    return true;
}

/*
 * Whoever opened the last page does this, beside the mutators: what is free of the to-space is
 * opened at once, so that new pages cost no call until the next flip, and the from-space becomes
 * the next to-space.
 */
void gc_scan_finished(struct gc_heap *heap)
{
    const uint32_t tail = atomic_load(&heap->grey_tail);
    const uint32_t old = heap->from;
    uint32_t first;
    const uint32_t pages = gc_pool_free(heap, &first);

    gc_pool_settle(heap);
    if (gc_protects(heap) && pages)
        gc_must(region_unprot_range(heap->region, gc_page_address(heap, first), pages),
                "opening what is free");
    for (uint32_t i = 0; i < tail; i++)
        atomic_store_explicit(&heap->grey[i], 0, memory_order_relaxed);
    for (uint32_t i = old; i < old + heap->options.space_pages; i++)
        atomic_store_explicit(&heap->page[i].state, GC_PAGE_FREE, memory_order_relaxed);
    if (gc_protects(heap))
        protect_space(heap, old);
    heap->used_at_end = gc_pool_used(heap);
    heap->cycle_ticks += ticks() - heap->cycle_start;
    atomic_store_explicit(&heap->phase, heap->options.verify ? GC_ENDED : GC_IDLE,
                          memory_order_release);
}

/* Pages in use from which on a cycle begins: at least halfway from the last one's end to full. */
static size_t begin_at(const struct gc_heap *heap)
{
    const size_t all = heap->options.space_pages;
    const size_t half = (heap->used_at_end + all) / 2;
    const size_t share = all * heap->options.trigger / PERCENT;

    return half > share && heap->used_at_end >= share ? half : share;
}

void gc_cycle_turn(struct gc_mutator *mutator)
{
    struct gc_heap *const heap = mutator->heap;

    if (gc_phase(heap) == GC_ENDED && gc_stop(mutator, GC_ENDED)) {
        gc_check(heap);
        atomic_store_explicit(&heap->phase, GC_IDLE, memory_order_release);
        gc_resume(mutator);
    }
    if (gc_phase(heap) == GC_IDLE && gc_pool_used(heap) >= begin_at(heap))
        gc_cycle_begin(mutator);
}

void gc_cycle_share(struct gc_mutator *mutator, uint32_t pages)
{
    struct gc_heap *const heap = mutator->heap;
    uint64_t start;
    size_t taken, due;

    if (gc_phase(heap) != GC_ACTIVE)
        return;
    taken = atomic_fetch_add(&heap->taken, pages) + pages;
    due = taken > heap->grace ? heap->pace * (taken - heap->grace) : 0;
    if (atomic_load(&heap->opened) >= due)
        return;
    start = ticks();
    for (size_t left = SHARE * heap->pace; left && atomic_load(&heap->opened) < due; left--)
        if (!gc_scan_some(heap, mutator->worker, GC_BY_ALLOCATION))
            break;
    gc_pauses_add(&mutator->pauses, GC_PAUSE_PACE, start);
}

void gc_cycle_wait(struct gc_mutator *mutator)
{
    struct gc_heap *const heap = mutator->heap;
    const uint64_t start = ticks();
    unsigned turns = 0;

    if (gc_phase(heap) != GC_ACTIVE)
        return;
    mutator->stalls++;
    while (gc_phase(heap) == GC_ACTIVE)
        if (!gc_scan_some(heap, mutator->worker, GC_BY_ALLOCATION))
            gc_wait_a_moment(&turns);
    gc_pauses_add(&mutator->pauses, GC_PAUSE_STALL, start);
}

void gc_collect(struct gc_mutator *mutator)
{
    struct gc_heap *const heap = mutator->heap;

    for (;;) {
        gc_safepoint(mutator);
        gc_cycle_wait(mutator);
        if (gc_phase(heap) == GC_ENDED)
            gc_cycle_turn(mutator);
        else if (gc_cycle_begin(mutator))
            break;
    }
    gc_cycle_wait(mutator);
    gc_cycle_turn(mutator);
}
