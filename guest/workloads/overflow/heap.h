/*
 * A copying collector's heap, one for each vCPU, whose end is a page that may not be touched:
 *
 *     | objects ... next -> | guard | rest, for when the heap has to grow | backstop |   and again
 *
 * Two such spaces take turns. After a collection the heap's size follows from what is alive, so the
 * guard page goes to another place each time. The backstop is for mistakes: it is never opened.
 */
#ifndef OVERFLOW_HEAP_H
#define OVERFLOW_HEAP_H

#include <trapline/portable.h>

#include "guest/workloads/overflow/mistake.h"
#include "guest/workloads/overflow/sites.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    WORD = sizeof(uint64_t),
    ROOTS = 64,
    HEAPS_MAX = 32,
};

/* A field is a pointer to an object, NULL, or a number, whose lowest bit is set. */
struct object {
    uint64_t header; /* object_header(); or, when the object has been moved, its new address */
    uint64_t field[];
};

struct heap_options {
    enum region_mechanism mechanism;
    size_t space; /* bytes of a space, whole pages */
    bool checks;  /* each allocation compares with the limit: there are no guard pages */
    bool verify;
    enum mistake mistake;
};

struct heap_counts {
    uint64_t collections, collect_ticks;
    uint64_t guard_ticks; /* of which UNPROT and PROT1 of guard pages took */
    uint64_t traps;
    uint64_t moved; /* bytes */
};

struct space {
    char *base;
    char *guard; /* NULL = none */
};

struct heap {
    char *next, *limit; /* where the next object begins; where the guard page is */
    size_t step;        /* how far from one another large objects are touched: a page */
    uint64_t roots[ROOTS];
    struct heap_options options;
    struct heap_counts counts;
    struct region *region;
    struct space spaces[2];
    unsigned current; /* index of the space in use */
};

/*
 * Make count heaps, and the TRAP handler that knows them. Returns 0, or an error of
 * region_create(), prot1() or trap(). One set of heaps at a time.
 */
int heaps_create(unsigned count, const struct heap_options *options);
void heaps_destroy(void);

/* A vCPU's heap. */
struct heap *heap_get(unsigned index);

/* Only roots still point to objects afterwards, and there is room for bytes; or the program ends.
 */
void heap_collect(struct heap *heap, size_t bytes);

/* See that nothing is where it must not be; what is wrong ends the program. */
void heap_check(const struct heap *heap);

static inline size_t object_bytes(uint64_t fields)
{
    return (1 + fields) * WORD;
}

static inline uint64_t object_header(uint64_t fields)
{
    return fields << 1 | 1;
}

static inline uint64_t object_fields(const struct object *object)
{
    return object->header >> 1;
}

static inline uint64_t number_field(uint64_t number)
{
    return number << 1 | 1;
}

static inline uint64_t field_number(uint64_t field)
{
    return field >> 1;
}

static inline struct object *field_object(uint64_t field)
{
    return (struct object *)field;
}

/*
 * Make an object of fields fields, at least 1, whose last one is *last, which may be a root: it is
 * read after the collection, if there is one. The other fields are the caller's to write, before
 * the next object is made. checks is a constant: how overflow is noticed.
 *
 * Without checks the object's last word is written first. An object of a page at most that crosses
 * the limit has that word in the guard page, so that this one store, which has to be made anyway,
 * notices all.
 */
static inline __attribute__((always_inline)) struct object *
heap_new(struct heap *heap, unsigned fields, const uint64_t *last, bool checks)
{
    const size_t bytes = object_bytes(fields);

    for (;;) {
        struct object *const object = (struct object *)heap->next;

        if (checks) {
            if (heap->next + bytes > heap->limit)
                goto full;
            object->field[fields - 1] = *last;
        } else {
            SITE_STORE(&object->field[fields - 1], *last, full);
        }
        object->header = object_header(fields);
        heap->next += bytes;
        return object;
    full:
        heap_collect(heap, bytes);
    }
}

/*
 * Make an object of any size, all its fields value. What is larger than a page could have its last
 * word behind the guard page; so it is touched in steps of a page, in ascending order.
 */
static inline __attribute__((always_inline)) struct object *
heap_new_array(struct heap *heap, uint64_t fields, uint64_t value, bool checks)
{
    const size_t bytes = object_bytes(fields);

    for (;;) {
        struct object *const object = (struct object *)heap->next;

        if (checks) {
            if (bytes > (size_t)(heap->limit - heap->next))
                goto full;
        } else {
            for (size_t end = heap->step; end < bytes; end += heap->step)
                SITE_STORE((uint64_t *)(heap->next + end - WORD), 0, full);
            SITE_STORE(&object->field[fields - 1], value, full);
        }
        object->header = object_header(fields);
        for (uint64_t i = 0; i < fields; i++)
            object->field[i] = value;
        heap->next += bytes;
        return object;
    full:
        heap_collect(heap, bytes);
    }
}

#endif
