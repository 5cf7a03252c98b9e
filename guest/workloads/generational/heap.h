/*
 * A heap of two generations, in one region:
 *
 *     | nursery | old, one half | old, the other half |
 *
 * Objects are made in the nursery, by each mutator in a piece of its own at a time. A minor
 * collection moves all that is reachable there to the end of the old generation. A major one, when
 * the rest of the old generation is smaller than the nursery, moves what is reachable to the other
 * half.
 *
 * Pointers from old objects to young ones are roots of a minor collection. Where they may be is
 * what remember.h finds out.
 */
#ifndef GENERATIONAL_HEAP_H
#define GENERATIONAL_HEAP_H

#include <trapline/portable.h>

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    CARD_SHIFT = 9, /* 512 bytes, as usual */
    CARD = 1 << CARD_SHIFT,
    PAGE_CARDS = PAGE / CARD,
    ROOTS = 4, /* of a mutator */
    MUTATORS_MAX = 32,
};

enum barrier_kind {
    BARRIER_TRAP,  /* old pages are write-protected; the first write to one traps */
    BARRIER_DIRTY, /* old pages are tracked */
    BARRIER_CARD,  /* each store marks a byte: no primitive is used */
    BARRIERS,
};

/* An object that has been moved has its new address, and FORWARDED, in place of the header. */
enum {
    FORWARDED = 1,
    FIELDS_SHIFT = 1,
};

struct object {
    uint64_t header; /* how many fields, << FIELDS_SHIFT */
    uint64_t value;  /* never changes */
    uint64_t check;  /* object_check() */
    struct object *field[];
};

struct heap;

/* Who makes objects. */
struct mutator {
    struct heap *heap;
    char *next, *end; /* of its piece of the nursery; all of it is used up before the next one */
    struct object *roots[ROOTS];
    uint64_t card_base; /* where the mark of the card of address 0 would be */
    uint64_t stores;    /* of pointers that may be to young objects */
};

struct heap_options {
    enum region_mechanism mechanism;
    enum barrier_kind barrier;
    size_t nursery, old; /* bytes: of the nursery; of a half of the old generation */
    unsigned mutators;
    bool verify;
    bool forgets; /* the seeded mistake: some of what was written is not remembered */
};

/* What collections did; times in ticks. */
struct heap_counts {
    uint64_t minors, majors;
    uint64_t *minor_ticks; /* of the first MINORS_KEPT of them */
    uint64_t major_ticks;
    uint64_t scanned;  /* bytes of old objects looked through for pointers to young ones */
    uint64_t promoted; /* bytes */
    uint64_t traps;    /* before the last collection */
    uint64_t checked;  /* objects, by the verifier */
};

enum {
    MINORS_KEPT = 4096,
};

struct remembered;

struct heap {
    struct heap_options options;
    struct region *region;
    char *base;
    char *half[2];
    unsigned current; /* which half is in use */
    char *top;        /* the end of the old objects */
    /* For each card of the region, where the object lies that its first byte belongs to: words
     * from base. */
    uint32_t *cover;
    struct remembered *remembered;
    struct mutator mutators[MUTATORS_MAX];
    struct heap_counts counts;
    atomic_ulong dealt; /* bytes of the nursery that belong to mutators */
    atomic_bool stop;   /* a mutator wants a collection */
    atomic_uint done;   /* mutators that need no more */
    bool over;          /* all are done */
    struct barrier meeting;
};

/*
 * Make a heap with options->mutators mutators. Returns 0, -ENOMEM or what the region's calls
 * return. One heap at a time: a TRAP handler is the whole program's.
 */
int heap_create(struct heap **heap, const struct heap_options *options);
void heap_destroy(struct heap *heap);

/*
 * Make an object in the old generation, all of its fields NULL, before the first collection.
 * Returns NULL when there is no room.
 */
struct object *heap_new_old(struct heap *heap, uint64_t fields, uint64_t value);

/*
 * The part of heap_reserve() that takes another piece of the nursery or, when there is none, meets
 * the other mutators to collect. Afterwards, only the roots still are pointers to objects.
 */
void heap_refill(struct mutator *mutator, size_t bytes);

/* The mutator needs no more: help the others to collect until all have come here. */
void heap_done(struct mutator *mutator);

/* A minor collection, and a major one if it is time, while no mutator runs. */
void heap_collect(struct heap *heap);

static inline size_t object_bytes(uint64_t fields)
{
    return sizeof(struct object) + fields * sizeof(struct object *);
}

static inline uint64_t object_check(uint64_t value, uint64_t fields)
{
    return (value ^ fields << 48) * 0x9e3779b97f4a7c15ull;
}

/* See that the next objects, of bytes in all, can be made without a collection. */
static inline void heap_reserve(struct mutator *mutator, size_t bytes)
{
    if ((size_t)(mutator->end - mutator->next) < bytes ||
        atomic_load_explicit(&mutator->heap->stop, memory_order_relaxed))
        heap_refill(mutator, bytes);
}

/* Make an object for which there is room; its fields are NULL. */
static inline struct object *heap_new(struct mutator *mutator, unsigned fields, uint64_t value)
{
    struct object *const object = (struct object *)mutator->next;

    object->header = (uint64_t)fields << FIELDS_SHIFT;
    object->value = value;
    object->check = object_check(value, fields);
    for (unsigned i = 0; i < fields; i++)
        object->field[i] = NULL;
    mutator->next += object_bytes(fields);
    return object;
}

/*
 * Every store of a pointer to an object that may be old. marks, a constant, says whether the store
 * is compiled with the marking of its card; programs are compiled both ways: see program.h.
 */
static inline void heap_store(struct mutator *mutator, struct object *object, uint64_t field,
                              struct object *value, bool marks)
{
    struct object **const slot = &object->field[field];

    *slot = value;
    /* Several mutators may mark a card at once. */
    if (marks)
        atomic_store_explicit((atomic_uchar *)(mutator->card_base + ((uint64_t)slot >> CARD_SHIFT)),
                              1, memory_order_relaxed);
}

/* What the parts of the heap have to do with one another. */

/* Look through the fields that lie in a range of old memory, from a card's first byte on. */
void heap_scan(struct heap *heap, char *from, char *to);

static inline bool heap_is_young(const struct heap *heap, const void *address)
{
    return (uint64_t)((const char *)address - heap->base) < heap->options.nursery;
}

static inline uint64_t heap_card(const struct heap *heap, const void *address)
{
    return (uint64_t)((const char *)address - heap->base) >> CARD_SHIFT;
}

#endif
