/*
 * A page is claimed by its state, GREY to SCANNING by compare and swap, or FILLING to SCANNING
 * under its worker's lock; so it is scanned once. It is opened when it is black, and OPEN is set
 * after that: who waits for a page in a handler finds it open.
 *
 * unscanned counts the pages between FREE and OPEN. Pages come in by copying, which is done for a
 * page that is itself counted until its scan ends. So the count is 0 once, when all is done.
 *
 * Copies go to the very page that is scanned when that is its worker's own: the scan goes on to its
 * end or until nothing is left in it. A list that is walked right after a flip is copied 100 nodes
 * a trap by that, not one.
 */
#include "guest/workloads/gc/scan.h"

#include "guest/workloads/gc/chaos.h"
#include "guest/workloads/gc/copy.h"
#include "guest/workloads/gc/pool.h"

enum {
    LOOKS = 300, /* before a park */
    PARK_TICKS = 1 << 14,
};

void gc_wait_a_moment(unsigned *turns)
{
    if (++*turns % LOOKS == 0)
        thread_park(PARK_TICKS);
    else
        __builtin_ia32_pause();
}

static void open_page(struct gc_heap *heap, uint32_t page)
{
    if (gc_protects(heap))
        gc_must(region_unprot(heap->region, gc_page_address(heap, page)), "opening a page");
    atomic_store_explicit(&heap->page[page].state, GC_PAGE_OPEN, memory_order_release);
    atomic_fetch_add(&heap->opened, 1);
    if (atomic_fetch_sub(&heap->unscanned, 1) == 1)
        gc_scan_finished(heap);
}

static void forward_word(struct gc_heap *heap, struct gc_worker *worker, void **word)
{
    if (*word)
        *word = gc_forward(heap, worker, *word);
}

/* The pointers among words first to last - 1 of an object; words are its second addresses. */
static void scan_words(struct gc_heap *heap, struct gc_worker *worker, const struct gc_type *type,
                       void **words, size_t first, size_t last)
{
    const size_t size = type->element_words;
    size_t at = first;

    for (; at < last && at < type->words; at++)
        if (type->pointers >> at & 1)
            forward_word(heap, worker, &words[at]);
    if (at >= last || !type->element_pointers)
        return;
    for (size_t in_element = (at - type->words) % size; at < last; at++) {
        if (type->element_pointers >> in_element & 1)
            forward_word(heap, worker, &words[at]);
        in_element = in_element + 1 == size ? 0 : in_element + 1;
    }
}

/* A page of a large object: copied by now, or not. */
static void scan_large(struct gc_heap *heap, struct gc_worker *worker, uint32_t number)
{
    struct gc_page *const page = &heap->page[number];
    char *const start = gc_page_alias(heap, number);
    char *const object = gc_page_alias(heap, page->first) + GC_WORD;
    const uint64_t header = *(uint64_t *)(object - GC_WORD);
    const size_t skip = number == page->first ? GC_WORD : 0;
    const size_t offset = (size_t)(start + skip - object);

    memcpy(start + skip, gc_page_alias(heap, page->source) + skip, page->fill - skip);
    page->source = GC_NONE;
    if (heap->options.mistake == GC_BREAK_CROSSING && number != page->first)
        return;
    scan_words(heap, worker, &heap->options.types[gc_header_type(header)], (void **)object,
               offset / GC_WORD, (offset + page->fill - skip) / GC_WORD);
}

/* The small objects of a page from offset on, as far as it is filled. Returns where that ended. */
static uint32_t scan_small(struct gc_heap *heap, struct gc_worker *worker, uint32_t page,
                           uint32_t offset)
{
    char *const start = gc_page_alias(heap, page);

    while (offset < gc_filled(heap, worker, page)) {
        const uint64_t header = *(uint64_t *)(start + offset);
        const struct gc_type *const type = &heap->options.types[gc_header_type(header)];
        const size_t bytes = gc_bytes(type, gc_header_elements(header));

        scan_words(heap, worker, type, (void **)(start + offset + GC_WORD), 0, bytes / GC_WORD - 1);
        gc_chaos(heap, worker);
        offset += (uint32_t)bytes;
    }
    return offset;
}

/* A page that was grey and is claimed. */
static void scan_claimed(struct gc_heap *heap, struct gc_worker *worker, uint32_t page,
                         enum gc_who who)
{
    gc_chaos(heap, worker);
    if (heap->options.mistake != GC_BREAK_BARRIER || who != GC_BY_HANDLER) {
        if (heap->page[page].source != GC_NONE)
            scan_large(heap, worker, page);
        else
            scan_small(heap, worker, page, 0);
    }
    worker->scanned[who]++;
    open_page(heap, page);
}

static bool claim(struct gc_heap *heap, uint32_t page)
{
    unsigned state = GC_PAGE_GREY;

    return atomic_compare_exchange_strong(&heap->page[page].state, &state, GC_PAGE_SCANNING);
}

/* The next page in the order of becoming grey that nobody has claimed, claimed. */
static bool next_grey(struct gc_heap *heap, uint32_t *page)
{
    uint32_t head = atomic_load(&heap->grey_head);

    while (head < atomic_load(&heap->grey_tail)) {
        const uint32_t entry = atomic_load_explicit(&heap->grey[head], memory_order_acquire);

        if (entry == 0)
            return false; /* its turn was taken but the number is yet to come */
        if (!atomic_compare_exchange_weak(&heap->grey_head, &head, head + 1))
            continue;
        *page = entry - 1;
        if (claim(heap, *page))
            return true;
        head = atomic_load(&heap->grey_head);
    }
    return false;
}

/*
 * A page that worker has adopted. A collector that comes to its end looks for other pages to fill
 * it from; a handler does so only when no space may be wasted.
 */
static void scan_adopted(struct gc_heap *heap, struct gc_worker *worker, uint32_t page,
                         enum gc_who who)
{
    uint32_t offset = 0, other;

    if (heap->options.mistake == GC_BREAK_BARRIER && who == GC_BY_HANDLER)
        offset = gc_filled(heap, worker, page);
    for (;;) {
        offset = scan_small(heap, worker, page, offset);
        if (atomic_load_explicit(&worker->page, memory_order_relaxed) != page)
            break;
        if ((who == GC_BY_HANDLER && gc_pool_spares(heap)) || !next_grey(heap, &other)) {
            gc_close(heap, worker, page);
            break;
        }
        scan_claimed(heap, worker, other, who);
    }
    worker->scanned[who]++;
    open_page(heap, page);
}

/* A page that is being filled: worker's own, or any other worker's. */
static bool adopt_some(struct gc_heap *heap, struct gc_worker *worker, uint32_t *page)
{
    const unsigned workers = heap->options.mutators + heap->options.collectors;
    const unsigned own = (unsigned)(worker - heap->worker);

    for (unsigned i = 0; i < workers; i++) {
        *page = atomic_load_explicit(&heap->worker[(own + i) % workers].page, memory_order_acquire);
        if (*page != GC_NONE && gc_page_state(heap, *page) == GC_PAGE_FILLING &&
            gc_adopt(heap, worker, *page))
            return true;
    }
    return false;
}

bool gc_scan_some(struct gc_heap *heap, struct gc_worker *worker, enum gc_who who)
{
    uint32_t page;

    if (next_grey(heap, &page))
        scan_claimed(heap, worker, page, who);
    else if (adopt_some(heap, worker, &page))
        scan_adopted(heap, worker, page, who);
    else
        return false;
    return true;
}

void gc_scan_page(struct gc_heap *heap, struct gc_worker *worker, uint32_t page)
{
    unsigned turns = 0;

    for (;;) {
        switch (gc_page_state(heap, page)) {
        case GC_PAGE_OPEN: return;
        case GC_PAGE_GREY:
            if (claim(heap, page)) {
                scan_claimed(heap, worker, page, GC_BY_HANDLER);
                return;
            }
            break;
        case GC_PAGE_FILLING:
            if (gc_adopt(heap, worker, page)) {
                scan_adopted(heap, worker, page, GC_BY_HANDLER);
                return;
            }
            gc_wait_a_moment(&turns); /* its worker is just about to leave it */
            break;
        default: gc_wait_a_moment(&turns); break;
        }
    }
}
