/* The heap: made, given back, and who uses it. */
#include "guest/workloads/gc/heap.h"

#include "guest/workloads/gc/barrier.h"
#include "guest/workloads/gc/checker.h"
#include "guest/workloads/gc/collector.h"
#include "guest/workloads/gc/cycle.h"
#include "guest/workloads/gc/pool.h"

enum {
    ALIGN_PAGES = 512,        /* of the region: a large page, which one entry protects */
    MUTATOR_PAUSES = 1 << 15, /* places in the log of each */
    FLIPS = 1 << 12,
};

void gc_must(int result, const char *what)
{
    if (result == 0)
        return;
    printf("gc: %s: %s\n", what, trapline_error_name(result));
    exit(EXIT_FAILURE);
}

static bool valid(const struct gc_options *options)
{
    const unsigned threads = options->mutators + options->collectors;

    if (options->space_pages < GC_SPACE_LEAST || options->space_pages > GC_SPACE_MOST ||
        options->mutators == 0 || threads > vcpu_count() || threads > GC_WORKERS ||
        options->trigger == 0 || options->trigger > 100 || options->type_count == 0 ||
        options->type_count > GC_TYPES_MOST)
        return false;
    for (unsigned i = 0; i < options->type_count; i++)
        if (options->types[i].words > GC_LAYOUT_WORDS ||
            options->types[i].element_words > GC_LAYOUT_WORDS ||
            (options->types[i].element_pointers && !options->types[i].element_words))
            return false;
    return true;
}

static bool make_tables(struct gc_heap *heap)
{
    const struct gc_options *const options = &heap->options;
    const unsigned threads = options->mutators + options->collectors;
    bool good;

    heap->page = calloc(2 * options->space_pages, sizeof(*heap->page));
    heap->grey = calloc(options->space_pages, sizeof(*heap->grey));
    heap->worker = aligned_alloc(GC_CACHE_LINE, threads * sizeof(*heap->worker));
    heap->mutator = calloc(options->mutators, sizeof(*heap->mutator));
    good = heap->page && heap->grey && heap->worker && heap->mutator &&
           gc_pauses_create(&heap->flips, FLIPS);
    if (!good)
        return false;
    memset(heap->worker, 0, threads * sizeof(*heap->worker));
    for (unsigned i = 0; i < threads; i++) {
        atomic_store(&heap->worker[i].page, GC_NONE);
        heap->worker[i].random = options->chaos + i;
    }
    for (unsigned i = 0; i < options->mutators; i++) {
        heap->mutator[i].heap = heap;
        heap->mutator[i].worker = &heap->worker[i];
        heap->mutator[i].page = GC_NONE;
        good = good && gc_pauses_create(&heap->mutator[i].pauses, MUTATOR_PAUSES);
    }
    return good;
}

/* Both spaces, their second addresses, and the protection of the one that is not in use. */
static int make_spaces(struct gc_heap *heap)
{
    const size_t pages = 2 * heap->options.space_pages;
    char *alias;
    int result;

    result = region_create(&heap->region, pages, ALIGN_PAGES, heap->options.mechanism);
    if (result != 0)
        return result;
    heap->base = region_base(heap->region);
    alias = region_alias_window(heap->region);
    result =
        region_map2_range(heap->region, heap->base, pages, alias, TRAPLINE_READ | TRAPLINE_WRITE);
    if (result != 0)
        return result;
    heap->alias = (ptrdiff_t)((uintptr_t)alias - (uintptr_t)heap->base);
    heap->from = (uint32_t)heap->options.space_pages;
    heap->to = 0;
    gc_pool_reset(heap);
    if (gc_protects(heap))
        result = region_protn_range(heap->region, gc_page_address(heap, heap->from),
                                    heap->options.space_pages, TRAPLINE_NONE);
    return result;
}

static void give_back(struct gc_heap *heap)
{
    if (heap->alias)
        gc_must(region_unmap2_range(heap->region, heap->base + heap->alias,
                                    2 * heap->options.space_pages),
                "taking the second mapping away");
    if (heap->region)
        region_destroy(heap->region);
    gc_checker_destroy(heap);
    for (unsigned i = 0; heap->mutator && i < heap->options.mutators; i++)
        gc_pauses_destroy(&heap->mutator[i].pauses);
    gc_pauses_destroy(&heap->flips);
    free(heap->mutator);
    free(heap->worker);
    free(heap->grey);
    free(heap->page);
    free(heap);
}

int gc_create(struct gc_heap **heap, const struct gc_options *options)
{
    struct gc_heap *made;
    int result;

    if (!valid(options))
        return -TRAPLINE_EINVAL;
    made = aligned_alloc(GC_CACHE_LINE, sizeof(*made));
    if (!made)
        return -TRAPLINE_ENOMEM;
    memset(made, 0, sizeof(*made));
    made->options = *options;
    result = make_tables(made) ? 0 : -TRAPLINE_ENOMEM;
    if (result == 0 && options->verify)
        result = gc_checker_create(made);
    if (result == 0)
        result = make_spaces(made);
    if (result == 0)
        result = gc_barrier_start(made);
    if (result == 0)
        result = gc_collectors_start(made);
    if (result != 0) {
        give_back(made);
        return result;
    }
    *heap = made;
    return 0;
}

void gc_destroy(struct gc_heap *heap)
{
    gc_collectors_end(heap);
    gc_barrier_end();
    give_back(heap);
}

struct gc_mutator *gc_attach(struct gc_heap *heap)
{
    struct gc_mutator *const mutator = &heap->mutator[thread_self()];

    gc_back(mutator);
    return mutator;
}

void gc_detach(struct gc_mutator *mutator)
{
    gc_retire(mutator);
    gc_away(mutator);
}

void gc_globals(struct gc_heap *heap, struct gc_frame *frame)
{
    frame->below = heap->globals;
    heap->globals = frame;
}

void gc_enter(struct gc_mutator *mutator, struct gc_frame *frame)
{
    frame->below = mutator->frames;
    mutator->frames = frame;
}

void gc_leave(struct gc_mutator *mutator)
{
    mutator->frames = mutator->frames->below;
}
