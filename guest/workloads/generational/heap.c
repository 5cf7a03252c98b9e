#include "guest/workloads/generational/heap.h"

#include "guest/workloads/generational/check.h"
#include "guest/workloads/generational/remember.h"

enum {
    WORD = sizeof(uint64_t),
    PIECES = 8, /* of the nursery, for each mutator on the average */
};

/* Nobody has a piece of the nursery, which is empty. */
static void take_nursery_back(struct heap *heap)
{
    for (unsigned i = 0; i < heap->options.mutators; i++)
        heap->mutators[i].next = heap->mutators[i].end = heap->base;
    atomic_store(&heap->dealt, 0);
}

/* Give a mutator a piece of the nursery of at least bytes, if there is one. */
static bool take_piece(struct mutator *mutator, size_t bytes)
{
    struct heap *const heap = mutator->heap;
    const size_t usual = heap->options.nursery / heap->options.mutators / PIECES;
    const size_t size = (bytes > usual ? bytes : usual) / WORD * WORD;
    const size_t at = atomic_fetch_add(&heap->dealt, size);

    if (at + size > heap->options.nursery)
        return false;
    mutator->next = heap->base + at;
    mutator->end = mutator->next + size;
    return true;
}

static int allocate(struct heap *heap)
{
    const struct heap_options *const options = &heap->options;
    const size_t pages = (options->nursery + 2 * options->old) / PAGE;
    int error = region_create(&heap->region, pages, 1, options->mechanism);

    if (error)
        return error;
    heap->base = region_base(heap->region);
    heap->half[0] = heap->base + options->nursery;
    heap->half[1] = heap->half[0] + options->old;
    heap->top = heap->half[0];
    heap->cover = calloc(pages * PAGE_CARDS, sizeof(*heap->cover));
    heap->counts.minor_ticks = calloc(MINORS_KEPT, sizeof(*heap->counts.minor_ticks));
    return heap->cover && heap->counts.minor_ticks ? remember_create(heap) : -TRAPLINE_ENOMEM;
}

int heap_create(struct heap **result, const struct heap_options *options)
{
    struct heap *const heap = calloc(1, sizeof(*heap));
    int error;

    if (!heap)
        return -TRAPLINE_ENOMEM;
    heap->options = *options;
    error = allocate(heap);
    if (error) {
        heap_destroy(heap);
        return error;
    }
    for (unsigned i = 0; i < options->mutators; i++)
        heap->mutators[i].heap = heap;
    barrier_init(&heap->meeting, options->mutators);
    take_nursery_back(heap);
    *result = heap;
    return 0;
}

void heap_destroy(struct heap *heap)
{
    remember_destroy(heap);
    if (heap->region) {
        region_unprot_range(heap->region, heap->base, region_pages(heap->region));
        region_destroy(heap->region);
    }
    free(heap->cover);
    free(heap->counts.minor_ticks);
    free(heap);
}

static char *space_end(const struct heap *heap)
{
    return heap->half[heap->current] + heap->options.old;
}

/* An object was put at the old generation's end. */
static void take(struct heap *heap, size_t bytes)
{
    char *const object = heap->top;
    uint64_t card = heap_card(heap, object + CARD - 1);

    heap->top += bytes;
    for (; heap->base + card * CARD < heap->top; card++)
        heap->cover[card] = (uint32_t)((uint64_t)(object - heap->base) / WORD);
}

struct object *heap_new_old(struct heap *heap, uint64_t fields, uint64_t value)
{
    struct object *const object = (struct object *)heap->top;
    const size_t bytes = object_bytes(fields);

    /* What a minor collection needs at most stays free. */
    if ((size_t)(space_end(heap) - heap->top) < bytes + heap->options.nursery)
        return NULL;
    object->header = fields << FIELDS_SHIFT;
    object->value = value;
    object->check = object_check(value, fields);
    for (uint64_t i = 0; i < fields; i++)
        object->field[i] = NULL;
    take(heap, bytes);
    return object;
}

/* Move an object to the old generation's end unless it was; returns its new place. */
static struct object *move(struct heap *heap, struct object *object)
{
    struct object *const to = (struct object *)heap->top;
    size_t bytes;

    if (object->header & FORWARDED)
        return (struct object *)(object->header & ~(uint64_t)FORWARDED);
    bytes = object_bytes(object->header >> FIELDS_SHIFT);
    for (size_t i = 0; i < bytes / WORD; i++)
        ((uint64_t *)to)[i] = ((const uint64_t *)object)[i];
    object->header = (uint64_t)to | FORWARDED;
    take(heap, bytes);
    return to;
}

void heap_scan(struct heap *heap, char *from, char *to)
{
    struct object *object =
        (struct object *)(heap->base + (uint64_t)heap->cover[heap_card(heap, from)] * WORD);

    while ((char *)object < to) {
        const uint64_t fields = object->header >> FIELDS_SHIFT;
        struct object **slot = object->field, **end = &object->field[fields];

        object = (struct object *)end;
        if ((char *)slot < from)
            slot = (struct object **)from;
        if ((char *)end > to)
            end = (struct object **)to;
        for (; slot < end; slot++)
            if (*slot && heap_is_young(heap, *slot))
                *slot = move(heap, *slot);
    }
}

/* The moved objects from scan on: what they point to moves, too. in: what moves at all. */
static void move_rest(struct heap *heap, char *scan, const char *in, size_t bytes)
{
    while (scan < heap->top) {
        struct object *const object = (struct object *)scan;
        const uint64_t fields = object->header >> FIELDS_SHIFT;

        for (uint64_t i = 0; i < fields; i++)
            if ((uint64_t)((char *)object->field[i] - in) < bytes)
                object->field[i] = move(heap, object->field[i]);
        scan += object_bytes(fields);
    }
}

static void move_roots(struct heap *heap, const char *in, size_t bytes)
{
    for (unsigned i = 0; i < heap->options.mutators; i++) {
        for (unsigned j = 0; j < ROOTS; j++) {
            struct object **const root = &heap->mutators[i].roots[j];

            if ((uint64_t)((char *)*root - in) < bytes)
                *root = move(heap, *root);
        }
    }
}

static void collect_minor(struct heap *heap)
{
    char *const scan = heap->top;

    move_roots(heap, heap->base, heap->options.nursery);
    remember_visit(heap, scan);
    move_rest(heap, scan, heap->base, heap->options.nursery);
    heap->counts.promoted += (uint64_t)(heap->top - scan);
}

/* The nursery is empty. */
static void collect_major(struct heap *heap)
{
    char *const from = heap->half[heap->current];

    remember_suspend(heap);
    heap->current ^= 1;
    heap->top = heap->half[heap->current];
    move_roots(heap, from, heap->options.old);
    move_rest(heap, heap->half[heap->current], from, heap->options.old);
    remember_resume(heap);
    heap->counts.majors++;
    if ((size_t)(space_end(heap) - heap->top) < heap->options.nursery) {
        printf("generational: out of memory: %lu bytes of old objects are in use\n",
               (uint64_t)(heap->top - heap->half[heap->current]));
        exit(EXIT_FAILURE);
    }
}

void heap_collect(struct heap *heap)
{
    const uint64_t start = ticks();
    uint64_t end;
    bool full;

    collect_minor(heap);
    full = (size_t)(space_end(heap) - heap->top) < heap->options.nursery;
    if (!full)
        remember_restart(heap);
    end = ticks();
    if (heap->counts.minors < MINORS_KEPT)
        heap->counts.minor_ticks[heap->counts.minors] = end - start;
    heap->counts.minors++;
    if (full) {
        collect_major(heap);
        heap->counts.major_ticks += ticks() - end;
    }
    take_nursery_back(heap);
    if (heap->options.verify)
        check_heap(heap);
}

/* All mutators come here; the last of them collects if that is wanted. */
static void meet(struct heap *heap)
{
    if (barrier_wait(&heap->meeting)) {
        if (atomic_load(&heap->stop))
            heap_collect(heap);
        atomic_store(&heap->stop, false);
        heap->over = atomic_load(&heap->done) == heap->options.mutators;
    }
    barrier_wait(&heap->meeting);
}

void heap_refill(struct mutator *mutator, size_t bytes)
{
    struct heap *const heap = mutator->heap;

    if (bytes > heap->options.nursery) {
        printf("generational: the nursery is smaller than %lu bytes\n", (uint64_t)bytes);
        exit(EXIT_FAILURE);
    }
    for (;;) {
        if (!atomic_load(&heap->stop)) {
            if ((size_t)(mutator->end - mutator->next) >= bytes || take_piece(mutator, bytes))
                return;
            atomic_store(&heap->stop, true);
        }
        meet(heap);
    }
}

void heap_done(struct mutator *mutator)
{
    atomic_fetch_add(&mutator->heap->done, 1);
    do
        meet(mutator->heap);
    while (!mutator->heap->over);
}
