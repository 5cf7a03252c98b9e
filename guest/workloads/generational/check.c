#include "guest/workloads/generational/check.h"

enum {
    POISON = 0xa5,
    WORD = sizeof(uint64_t),
};

/* Where objects begin: a bit for each word of the half in use. */
struct starts {
    const struct heap *heap;
    const char *base;
    uint64_t *bits;
};

static void set_start(struct starts *starts, const void *object)
{
    const uint64_t word = (uint64_t)((const char *)object - starts->base) / WORD;

    starts->bits[word / 64] |= 1ull << word % 64;
}

static bool is_start(const struct starts *starts, const void *object)
{
    const uint64_t offset = (uint64_t)((const char *)object - starts->base);

    return offset < (uint64_t)(starts->heap->top - starts->base) && offset % WORD == 0 &&
           starts->bits[offset / WORD / 64] >> offset / WORD % 64 & 1;
}

static noreturn void wrong(const struct heap *heap, const void *where, const char *what)
{
    printf("generational: after collection %lu: at %p: %s\n", heap->counts.minors, where, what);
    exit(EXIT_FAILURE);
}

static void check_object(struct heap *heap, const struct object *object)
{
    const uint64_t fields = object->header >> FIELDS_SHIFT;

    if (object->header & FORWARDED || fields > heap->options.old / WORD ||
        (const char *)&object->field[fields] > heap->top)
        wrong(heap, object, "no object is there");
    if (object->check != object_check(object->value, fields))
        wrong(heap, object, "the object's contents have changed");
    heap->counts.checked++;
}

static void check_pointer(const struct starts *starts, struct object *const *slot)
{
    if (!*slot || is_start(starts, *slot))
        return;
    wrong(starts->heap, slot,
          heap_is_young(starts->heap, *slot)
              ? "an old object points to a young one that was freed: its page was not remembered"
              : "a pointer leads to no object");
}

void check_heap(struct heap *heap)
{
    struct starts starts = {.heap = heap, .base = heap->half[heap->current]};

    starts.bits = calloc(heap->options.old / WORD / 64 + 1, sizeof(*starts.bits));
    assert(starts.bits);
    for (const char *at = starts.base; at < heap->top;) {
        const struct object *const object = (const struct object *)at;

        check_object(heap, object);
        set_start(&starts, object);
        at += object_bytes(object->header >> FIELDS_SHIFT);
    }
    for (const char *at = starts.base; at < heap->top;) {
        const struct object *const object = (const struct object *)at;
        const uint64_t fields = object->header >> FIELDS_SHIFT;

        for (uint64_t i = 0; i < fields; i++)
            check_pointer(&starts, &object->field[i]);
        at += object_bytes(fields);
    }
    for (unsigned i = 0; i < heap->options.mutators; i++)
        for (unsigned j = 0; j < ROOTS; j++)
            check_pointer(&starts, &heap->mutators[i].roots[j]);
    free(starts.bits);
    memset(heap->base, POISON, heap->options.nursery);
}
