/*
 * Programs that make garbage: what a mutator does between collections. Each keeps data that lives
 * long, changes it at random, and has a plain array that says how it should look.
 */
#ifndef GENERATIONAL_PROGRAM_H
#define GENERATIONAL_PROGRAM_H

#include "guest/common/random.h"
#include "guest/workloads/generational/heap.h"

/* A mutator's share of a program. */
struct work {
    struct mutator *mutator;
    unsigned index, count; /* this mutator's number, and how many there are */
    uint64_t size;         /* of its data: keys, nodes, entries */
    uint64_t operations;
    uint64_t burst;   /* stores to neighbouring objects in an operation */
    uint64_t garbage; /* objects that are dropped at once, in an operation */
    uint64_t random;
    uint64_t *model; /* of size numbers, 0 at first */
    uint64_t extra;  /* the program's own */
    uint64_t wrong;  /* results that were not as expected, noticed on the way */
};

struct program_code {
    void (*fill)(struct work *work); /* make the data; on the mutator's thread, as run is */
    void (*run)(struct work *work);
};

struct program {
    const char *name;
    /* Make what all mutators share; false when there is no room. May be NULL. */
    bool (*setup)(struct heap *heap, struct work *works);
    /* Without and with a barrier in each store: see program_code(). */
    struct program_code plain, marking;
    /* Compare the data with the model: print what differs. */
    bool (*check)(const struct work *work);
};

extern const struct program program_table, program_tree, program_queue;

static inline const struct program_code *program_code(const struct program *program,
                                                      enum barrier_kind barrier)
{
    return barrier == BARRIER_CARD ? &program->marking : &program->plain;
}

/*
 * A program's functions take the constant marks and are inlined in what these define, so that the
 * plain code has no trace of the marking.
 */
#define PROGRAM_CODE(fill, run)                                                                    \
    static void fill##_plain(struct work *work)                                                    \
    {                                                                                              \
        fill(work, false);                                                                         \
    }                                                                                              \
    static void run##_plain(struct work *work)                                                     \
    {                                                                                              \
        run(work, false);                                                                          \
    }                                                                                              \
    static void fill##_marking(struct work *work)                                                  \
    {                                                                                              \
        fill(work, true);                                                                          \
    }                                                                                              \
    static void run##_marking(struct work *work)                                                   \
    {                                                                                              \
        run(work, true);                                                                           \
    }

#define PROGRAM_INLINE static inline __attribute__((always_inline))

enum {
    GARBAGE_FIELDS = 2,
};

/* Garbage that dies at once: a chain. Room for it was reserved. */
static inline void program_garbage(struct work *work)
{
    struct object *last = NULL;

    for (uint64_t i = 0; i < work->garbage; i++) {
        struct object *const object = heap_new(work->mutator, GARBAGE_FIELDS, i);

        object->field[0] = last;
        last = object;
    }
}

static inline size_t program_garbage_bytes(const struct work *work)
{
    return work->garbage * object_bytes(GARBAGE_FIELDS);
}

/* What an object holds that was made for number in version version. */
static inline uint64_t program_value(uint64_t number, uint64_t version)
{
    return (number + 1) * 0xff51afd7ed558ccdull ^ version;
}

static inline void program_store(struct work *work, struct object *object, uint64_t field,
                                 struct object *value, bool marks)
{
    heap_store(work->mutator, object, field, value, marks);
    work->mutator->stores++;
}

#endif
