#if !__STDC_HOSTED__
/* The handler is TRAP_LEAN. */
#pragma GCC target("general-regs-only")
#endif

#include "guest/workloads/overflow/heap.h"

enum {
    GROWTH = 3,         /* a heap's size is so many times what is alive in it ... */
    SIZE_LEAST = 16,    /* ... and so many pages at least */
    END_PAGES = 2,      /* of a space: the guard, and one that verify watches */
    CANARY = 0x5c,      /* what is in that one */
    FORGETFUL = 3,      /* MISTAKE_GUARD: one collection of so many */
    SPACE_EXTRA = PAGE, /* the backstop */
};

static struct {
    struct region *region;
    char *base;
    size_t heap_bytes;
    unsigned count;
    struct heap *heaps;
} all;

static noreturn void fail(const char *what, const void *address)
{
    printf("overflow: %s at %p\n", what, address);
    exit(EXIT_FAILURE);
}

static TRAP_LEAN_HANDLER void on_trap(struct trapline_fault *fault)
{
    const uint64_t offset = fault->address - (uint64_t)all.base;
    const uint64_t recovery = site_recovery(fault->rip);

    if (offset >= all.count * all.heap_bytes || !recovery)
        fail("a forbidden access that is no allocation", (void *)fault->address);
    all.heaps[offset / all.heap_bytes].counts.traps++;
    fault->rip = recovery;
}

static void must(int result, const char *what)
{
    if (result != 0) {
        printf("overflow: %s: %s\n", what, trapline_error_name(result));
        exit(EXIT_FAILURE);
    }
}

static struct space *current_space(struct heap *heap)
{
    return &heap->spaces[heap->current];
}

/* End the space in use so many pages from its beginning. */
static void set_limit(struct heap *heap, size_t pages)
{
    struct space *const space = current_space(heap);
    const bool forgets = heap->options.mistake == MISTAKE_GUARD &&
                         heap->counts.collections % FORGETFUL == FORGETFUL - 1;

    heap->limit = space->base + pages * PAGE;
    if (!heap->options.checks) {
        space->guard = heap->limit;
        if (!forgets)
            must(region_prot1(heap->region, space->guard, TRAPLINE_NONE), "PROT1");
    }
    if (heap->options.verify)
        memset(heap->limit + PAGE, CANARY, PAGE);
}

static void open_guard(struct heap *heap)
{
    struct space *const space = current_space(heap);

    if (space->guard)
        must(region_unprot(heap->region, space->guard), "UNPROT");
    space->guard = NULL;
}

static int create_heap(struct heap *heap, char *base)
{
    heap->region = all.region;
    heap->step = heap->options.mistake == MISTAKE_TOUCH ? all.heap_bytes : PAGE;
    for (unsigned i = 0; i < 2; i++) {
        int error;

        heap->spaces[i].base = base + i * (heap->options.space + SPACE_EXTRA);
        error = region_prot1(all.region, heap->spaces[i].base + heap->options.space, TRAPLINE_NONE);
        if (error)
            return error;
    }
    heap->next = heap->spaces[0].base;
    set_limit(heap, SIZE_LEAST);
    return 0;
}

int heaps_create(unsigned count, const struct heap_options *options)
{
    int error = sites_init();

    all.heap_bytes = 2 * (options->space + SPACE_EXTRA);
    all.count = count;
    all.heaps = calloc(count, sizeof(*all.heaps));
    if (!error)
        error = all.heaps ? region_create(&all.region, count * all.heap_bytes / PAGE, 1,
                                          options->mechanism)
                          : -TRAPLINE_ENOMEM;
    if (!error) {
        all.base = region_base(all.region);
        error = region_trap(on_trap, TRAP_LEAN);
    }
    for (unsigned i = 0; i < count && !error; i++) {
        all.heaps[i].options = *options;
        error = create_heap(&all.heaps[i], all.base + i * all.heap_bytes);
    }
    if (error)
        heaps_destroy();
    return error;
}

void heaps_destroy(void)
{
    if (all.region) {
        region_trap(NULL, 0);
        region_unprot_range(all.region, all.base, region_pages(all.region));
        region_destroy(all.region);
    }
    free(all.heaps);
    all.region = NULL;
    all.heaps = NULL;
}

struct heap *heap_get(unsigned index)
{
    return &all.heaps[index];
}

static struct object *move(struct heap *heap, struct object *object)
{
    struct object *const to = (struct object *)heap->next;
    size_t words;

    if (!(object->header & 1))
        return (struct object *)object->header;
    words = 1 + object_fields(object);
    for (size_t i = 0; i < words; i++)
        ((uint64_t *)to)[i] = ((const uint64_t *)object)[i];
    object->header = (uint64_t)to;
    heap->next += words * WORD;
    return to;
}

static void move_field(struct heap *heap, uint64_t *field, const struct space *from)
{
    if (*field - (uint64_t)from->base < heap->options.space && !(*field & 1))
        *field = (uint64_t)move(heap, field_object(*field));
}

static void move_all(struct heap *heap, const struct space *from)
{
    char *scan = heap->next;

    for (unsigned i = 0; i < ROOTS; i++)
        move_field(heap, &heap->roots[i], from);
    while (scan < heap->next) {
        struct object *const object = (struct object *)scan;
        const uint64_t fields = object_fields(object);

        for (uint64_t i = 0; i < fields; i++)
            move_field(heap, &object->field[i], from);
        scan += object_bytes(fields);
    }
}

/* Pages that the heap should have when live bytes are in use and bytes are wanted. */
static size_t size_for(const struct heap *heap, size_t live, size_t bytes)
{
    const size_t least = (live + bytes + PAGE - 1) / PAGE;
    const size_t most = heap->options.space / PAGE - END_PAGES;
    size_t pages = (live * GROWTH + bytes) / PAGE;

    if (least > most) {
        printf("overflow: out of memory: %lu bytes are in use, %lu more are wanted\n",
               (uint64_t)live, (uint64_t)bytes);
        exit(EXIT_FAILURE);
    }
    if (pages < SIZE_LEAST)
        pages = SIZE_LEAST;
    if (pages < least)
        pages = least;
    return pages < most ? pages : most;
}

/* What heap_collect() is about: the space's turn ends, and the other one's begins. */
static void change_spaces(struct heap *heap, size_t bytes)
{
    const struct space *const from = current_space(heap);
    const uint64_t start = ticks();
    uint64_t opened, moved;
    size_t live;

    heap->current ^= 1;
    heap->next = current_space(heap)->base;
    open_guard(heap);
    opened = ticks();
    move_all(heap, from);
    live = (size_t)(heap->next - current_space(heap)->base);
    moved = ticks();
    set_limit(heap, size_for(heap, live, bytes));
    heap->counts.guard_ticks += opened - start + (ticks() - moved);
    heap->counts.moved += live;
    heap->counts.collections++;
}

void heap_collect(struct heap *heap, size_t bytes)
{
    const uint64_t start = ticks();

    if (heap->options.verify)
        heap_check(heap);
    change_spaces(heap, bytes);
    if (heap->options.verify)
        heap_check(heap);
    heap->counts.collect_ticks += ticks() - start;
}

/* Every object from the space's beginning to next is one, and so is what its fields lead to. */
static void check_objects(const struct heap *heap, const char *base)
{
    for (const char *at = base; at < heap->next;) {
        const struct object *const object = (const struct object *)at;
        const uint64_t fields = object_fields(object);

        if (!(object->header & 1) || fields > (uint64_t)(heap->next - at) / WORD)
            fail("no object is", object);
        for (uint64_t i = 0; i < fields; i++) {
            const uint64_t field = object->field[i];

            if (field & 1 || !field)
                continue;
            if (field - (uint64_t)base >= (uint64_t)(heap->next - base) ||
                !(field_object(field)->header & 1))
                fail("a pointer that leads to no object is", &object->field[i]);
        }
        at += object_bytes(fields);
    }
}

void heap_check(const struct heap *heap)
{
    const char *const base = heap->spaces[heap->current].base;

    if (heap->next > heap->limit)
        fail("objects were made beyond the limit, which was", heap->limit);
    for (size_t i = 0; i < PAGE; i++)
        if (heap->limit[PAGE + i] != CANARY)
            fail("the canary behind the guard page was overwritten", &heap->limit[PAGE + i]);
    check_objects(heap, base);
}
