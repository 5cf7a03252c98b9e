/* New objects: in pages that are open from the start, and are not scanned in this cycle. */
#include "guest/workloads/gc/chaos.h"
#include "guest/workloads/gc/cycle.h"
#include "guest/workloads/gc/pool.h"

enum {
    CYCLES_TRIED = 2, /* by one request: what died during the first is found by the second */
};

/*
 * Take pages for new objects, as gc_pool_take_new() does, and open them. When the cycle ends all
 * that is free is opened; so the phase is looked at before pages are taken, because those that were
 * taken just before that end are no more among the free ones.
 */
static uint32_t take_open(struct gc_heap *heap, uint32_t wanted, bool large, uint32_t *taken)
{
    const bool forbidden = gc_protects(heap) && gc_phase(heap) == GC_ACTIVE;
    const uint32_t pages = gc_pool_take_new(heap, wanted, large, taken);
    const uint32_t first = *taken;

    for (uint32_t i = first; i < first + pages; i++) {
        heap->page[i].fill = 0;
        heap->page[i].first = i;
        heap->page[i].source = GC_NONE;
        atomic_store_explicit(&heap->page[i].state, GC_PAGE_OPEN, memory_order_release);
    }
    if (forbidden && pages)
        gc_must(region_unprot_range(heap->region, gc_page_address(heap, first), pages),
                "opening new pages");
    return pages;
}

/* Give the mutator an empty page, of its chunk or of a new one. */
static bool take_page(struct gc_mutator *mutator)
{
    struct gc_heap *const heap = mutator->heap;

    gc_retire(mutator);
    if (mutator->chunk == mutator->chunk_end) {
        const uint32_t pages = take_open(heap, GC_CHUNK, false, &mutator->chunk);

        mutator->chunk_end = mutator->chunk + pages;
        if (!pages)
            return false;
    }
    mutator->page = mutator->chunk++;
    mutator->next = memset(gc_page_address(heap, mutator->page), 0, GC_PAGE);
    mutator->end = mutator->next + GC_PAGE;
    return true;
}

/* There was no room. Returns false when there will be none: all was collected, *cycles times. */
static bool make_room(struct gc_mutator *mutator, unsigned *cycles)
{
    switch (gc_phase(mutator->heap)) {
    case GC_ACTIVE: gc_cycle_wait(mutator); break;
    case GC_ENDED: gc_cycle_turn(mutator); break;
    case GC_IDLE:
        if (*cycles == CYCLES_TRIED)
            return false;
        *cycles += gc_cycle_begin(mutator);
        break;
    }
    gc_safepoint(mutator);
    return true;
}

static bool refill(struct gc_mutator *mutator)
{
    unsigned cycles = 0;

    gc_chaos(mutator->heap, mutator->worker);
    if (mutator->chunk == mutator->chunk_end)
        gc_cycle_turn(mutator);
    gc_cycle_share(mutator, 1);
    while (!take_page(mutator))
        if (!make_room(mutator, &cycles))
            return false;
    return true;
}

static char *alloc_large(struct gc_mutator *mutator, size_t bytes)
{
    struct gc_heap *const heap = mutator->heap;
    const uint32_t pages = (uint32_t)((bytes + GC_PAGE - 1) / GC_PAGE);
    unsigned cycles = 0;
    uint32_t first;

    gc_cycle_turn(mutator);
    gc_cycle_share(mutator, pages);
    while (!take_open(heap, pages, true, &first))
        if (!make_room(mutator, &cycles))
            return NULL;
    for (uint32_t i = 0; i < pages; i++) {
        const size_t left = bytes - (size_t)i * GC_PAGE;

        heap->page[first + i].first = first;
        heap->page[first + i].fill = left < GC_PAGE ? (uint32_t)left : GC_PAGE;
    }
    mutator->allocated += bytes;
    return memset(gc_page_address(heap, first), 0, (size_t)pages * GC_PAGE);
}

static void *no_memory(const struct gc_heap *heap, const struct gc_type *type, size_t elements)
{
    printf("gc: out of memory: no room for a %s of %lu elements: after a collection %lu of the %lu "
           "KiB of a semispace were in use, and the next one has to find room for all of that\n",
           type->name, (unsigned long)elements, (unsigned long)(heap->used_at_end * GC_PAGE >> 10),
           (unsigned long)(heap->options.space_pages * GC_PAGE >> 10));
    return NULL;
}

void *gc_alloc(struct gc_mutator *mutator, unsigned type, size_t elements)
{
    struct gc_heap *const heap = mutator->heap;
    const struct gc_type *const layout = &heap->options.types[type];
    size_t bytes;
    char *place;

    assert(type < heap->options.type_count);
    if (elements > (heap->options.space_pages * GC_PAGE) / GC_WORD)
        return no_memory(heap, layout, elements);
    bytes = gc_bytes(layout, elements);
    gc_safepoint(mutator);
    if (bytes > GC_SMALL_MOST) {
        place = alloc_large(mutator, bytes);
        if (!place)
            return no_memory(heap, layout, elements);
    } else {
        if ((size_t)(mutator->end - mutator->next) < bytes && !refill(mutator))
            return no_memory(heap, layout, elements);
        place = mutator->next;
        mutator->next += bytes;
    }
    *(uint64_t *)place = gc_header(type, elements);
    return place + GC_WORD;
}

size_t gc_elements(const void *object)
{
    return gc_header_elements(((const uint64_t *)object)[-1]);
}
