#include "guest/workloads/gc/checker.h"

#include "guest/workloads/gc/pool.h"

enum {
    BITS = 64,
    OBJECT_LEAST = 2 * GC_WORD,
};

/* Bits and stack entries are by the word of the to-space, from its start, where an object begins.
 */
struct gc_checker {
    uint64_t *begins, *reached; /* bit maps: an object begins there, and was reached */
    uint32_t *stack;
    size_t depth;
    struct gc_checked found;
};

static size_t map_words(const struct gc_heap *heap)
{
    return heap->options.space_pages * GC_PAGE / GC_WORD / BITS;
}

int gc_checker_create(struct gc_heap *heap)
{
    struct gc_checker *const made = calloc(1, sizeof(*made));

    if (!made)
        return -TRAPLINE_ENOMEM;
    heap->checker = made;
    made->begins = calloc(map_words(heap), sizeof(*made->begins));
    made->reached = calloc(map_words(heap), sizeof(*made->reached));
    made->stack =
        calloc(heap->options.space_pages * (GC_PAGE / OBJECT_LEAST), sizeof(*made->stack));
    if (made->begins && made->reached && made->stack)
        return 0;
    gc_checker_destroy(heap);
    return -TRAPLINE_ENOMEM;
}

void gc_checker_destroy(struct gc_heap *heap)
{
    if (!heap->checker)
        return;
    free(heap->checker->begins);
    free(heap->checker->reached);
    free(heap->checker->stack);
    free(heap->checker);
    heap->checker = NULL;
}

static bool test_and_set(uint64_t *map, size_t at, bool set)
{
    const uint64_t bit = 1ull << at % BITS;
    const bool was = map[at / BITS] & bit;

    if (set)
        map[at / BITS] |= bit;
    return was;
}

static void fail(const struct gc_heap *heap)
{
    printf("gc: verify: so the heap is wrong after cycle %lu\n", (unsigned long)heap->cycles);
    exit(EXIT_FAILURE);
}

/* The word of the to-space that an address, a first one, is. */
static size_t word_of(const struct gc_heap *heap, const void *address)
{
    return (size_t)((const char *)address - gc_page_address(heap, heap->to)) / GC_WORD;
}

static const char *where(const struct gc_heap *heap, const void *address)
{
    if (gc_in_space(heap, heap->from, address))
        return "in the from-space";
    return gc_in_space(heap, heap->to, address) ? "not where an object begins" : "outside the heap";
}

/* The objects of a page of small ones, or the large object that begins there. Its pages. */
static uint32_t walk_page(const struct gc_heap *heap, uint32_t page)
{
    char *const start = gc_page_alias(heap, page);
    const uint32_t fill = heap->page[page].fill;
    uint32_t pages = 1;

    if (gc_page_state(heap, page) != GC_PAGE_OPEN || heap->page[page].first != page) {
        printf("gc: verify: page %u is in state %u and its object begins in page %u\n", page,
               gc_page_state(heap, page), heap->page[page].first);
        fail(heap);
    }
    for (size_t offset = 0; offset < fill;) {
        const uint64_t header = *(uint64_t *)(start + offset);
        size_t bytes;

        if (!gc_is_header(header) || gc_header_type(header) >= heap->options.type_count) {
            printf("gc: verify: 0x%lx at offset %lu of page %u is no header\n",
                   (unsigned long)header, (unsigned long)offset, page);
            fail(heap);
        }
        bytes = gc_bytes(&heap->options.types[gc_header_type(header)], gc_header_elements(header));
        test_and_set(heap->checker->begins,
                     word_of(heap, gc_page_address(heap, page) + offset + GC_WORD), true);
        if (bytes > GC_SMALL_MOST)
            pages = (uint32_t)((bytes + GC_PAGE - 1) / GC_PAGE);
        offset += bytes;
    }
    return pages;
}

/* Note where all objects begin that are in the pages in use. */
static void walk(struct gc_heap *heap)
{
    const uint32_t end = heap->to + (uint32_t)heap->options.space_pages;
    uint32_t first_free;
    const uint32_t pages_free_now = gc_pool_free(heap, &first_free);

    for (unsigned i = 0; i < heap->options.mutators; i++) {
        const struct gc_mutator *const mutator = &heap->mutator[i];

        if (mutator->page != GC_NONE)
            heap->page[mutator->page].fill =
                (uint32_t)(mutator->next - gc_page_address(heap, mutator->page));
    }
    for (uint32_t page = heap->to; page < end;)
        page += page == first_free && pages_free_now ? pages_free_now : walk_page(heap, page);
}

/* A pointer that word number of a thing called what holds. */
static void reach(struct gc_heap *heap, const void *pointer, const char *what, size_t number)
{
    struct gc_checker *const checker = heap->checker;
    size_t word;

    if (!pointer)
        return;
    word = gc_in_space(heap, heap->to, pointer) ? word_of(heap, pointer) : 0;
    if (word == 0 || (uintptr_t)pointer % GC_WORD || !test_and_set(checker->begins, word, false)) {
        printf("gc: verify: word %lu of a %s holds 0x%lx, which is %s\n", (unsigned long)number,
               what, (unsigned long)pointer, where(heap, pointer));
        fail(heap);
    }
    if (!test_and_set(checker->reached, word, true))
        checker->stack[checker->depth++] = (uint32_t)word;
}

static void reach_frames(struct gc_heap *heap, const struct gc_frame *frame)
{
    for (; frame; frame = frame->below)
        for (size_t i = 0; i < frame->count; i++)
            reach(heap, frame->slots[i], "root frame", i);
}

/* An object that was reached; its second address. */
static void check_object(struct gc_heap *heap, void **object)
{
    const uint64_t header = ((uint64_t *)object)[-1];
    const struct gc_type *const type = &heap->options.types[gc_header_type(header)];
    const size_t elements = gc_header_elements(header);
    const size_t words = type->words + elements * type->element_words;

    heap->checker->found.objects++;
    heap->checker->found.bytes += gc_bytes(type, elements);
    for (size_t i = 0; i < type->words; i++)
        if (type->pointers >> i & 1)
            reach(heap, object[i], type->name, i);
    for (size_t i = type->words; type->element_pointers && i < words; i++)
        if (type->element_pointers >> (i - type->words) % type->element_words & 1)
            reach(heap, object[i], type->name, i);
    if (type->intact && !type->intact(object, elements)) {
        printf("gc: verify: a %s of %lu elements does not hold what was written to it\n",
               type->name, (unsigned long)elements);
        fail(heap);
    }
}

void gc_check(struct gc_heap *heap)
{
    struct gc_checker *const checker = heap->checker;
    char *const start = gc_page_alias(heap, heap->to);

    memset(checker->begins, 0, map_words(heap) * sizeof(*checker->begins));
    memset(checker->reached, 0, map_words(heap) * sizeof(*checker->reached));
    checker->found.objects = checker->found.bytes = 0;
    checker->found.checks++;
    walk(heap);
    reach_frames(heap, heap->globals);
    for (unsigned i = 0; i < heap->options.mutators; i++)
        reach_frames(heap, heap->mutator[i].frames);
    while (checker->depth)
        check_object(heap, (void **)(start + (size_t)checker->stack[--checker->depth] * GC_WORD));
}

struct gc_checked gc_checker_found(const struct gc_heap *heap)
{
    return heap->checker ? heap->checker->found : (struct gc_checked){0};
}
