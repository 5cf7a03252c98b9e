/*
 * A garbage-collected heap to write programs against.
 *
 *   static const struct gc_type types[] = {
 *       {.name = "pair", .words = 3, .pointers = 1u << 0 | 1u << 1},
 *   };
 *
 *   void *slot[2] = {NULL};                           the function's pointers, known to the
 * collector struct gc_frame frame = {.slots = slot, .count = 2};
 *
 *   gc_enter(mutator, &frame);
 *   slot[0] = gc_alloc(mutator, 0, 0);                may move every object
 *   ((struct pair *)slot[0])->head = slot[1];         plain loads and stores, no barrier in the
 * code gc_leave(mutator);
 *
 * Objects move while gc_alloc(), gc_safepoint(), gc_away() to gc_back() and gc_lock() run, and at
 * no other time: a pointer to an object that is kept across one of these must be in a slot. A
 * pointer word of an object holds NULL or what gc_alloc() returned; pointers into objects are not
 * allowed. There is one heap in a program, because it has one TRAP handler.
 */
#ifndef GC_GC_H
#define GC_GC_H

#include <trapline/portable.h>

enum {
    GC_TYPES_MOST = 128,
    GC_LAYOUT_WORDS = 64,    /* of a type's fixed part, and of one element, at most */
    GC_SPACE_LEAST = 64,     /* pages of a semispace */
    GC_SPACE_MOST = 1 << 17, /* the same */
};

/* What objects of one kind consist of: fixed words, then any number of elements of the same kind.
 */
struct gc_type {
    const char *name;
    uint32_t words, element_words; /* 8 bytes each; element_words 0: no elements */
    uint64_t pointers;             /* bit i: word i is a pointer */
    uint64_t element_pointers;     /* the same within each element */
    /* For the verifier: whether the words that are no pointers are what the program wrote. */
    bool (*intact)(const void *object, size_t elements);
};

enum gc_mode {
    GC_CONCURRENT, /* the read barrier, and collectors beside the mutators where there are some */
    GC_STOP,       /* the same collector while all mutators stand: no page is protected */
};

/* Mistakes to seed; the verifier has to find them. */
enum gc_mistake {
    GC_CORRECT,
    GC_BREAK_BARRIER,  /* the handler opens a page without having scanned it */
    GC_BREAK_CROSSING, /* pages that begin in the middle of an object are opened unscanned */
};

struct gc_options {
    size_t space_pages; /* of each semispace; the heap is two of them */
    enum region_mechanism mechanism;
    enum gc_mode mode;
    enum gc_mistake mistake;
    unsigned mutators;   /* threads that make objects: vCPUs 0 to mutators - 1 */
    unsigned collectors; /* threads that only collect: the vCPUs after those; may be 0 */
    unsigned trigger;    /* percent of a semispace in use at which a cycle begins */
    bool verify;         /* stop and check all of the heap at the end of each cycle */
    bool fence;          /* from-space is protected during the cycle: a touch of it ends the run */
    uint64_t chaos;      /* not 0: random waits between steps, with this seed */
    const struct gc_type *types;
    unsigned type_count;
};

struct gc_heap;
struct gc_mutator;

/* Slots that hold objects or NULL. */
struct gc_frame {
    struct gc_frame *below;
    void **slots;
    size_t count;
};

/*
 * Make a heap and start its collector threads. Returns 0; -EINVAL for options out of their ranges
 * or more threads than vCPUs; -ENOMEM; or what region_create() and region_map2_range() say.
 */
int gc_create(struct gc_heap **heap, const struct gc_options *options);

/* End the collectors and give all back. No mutator may run any more. */
void gc_destroy(struct gc_heap *heap);

/* The calling thread becomes the mutator of its vCPU, and ends being one. */
struct gc_mutator *gc_attach(struct gc_heap *heap);
void gc_detach(struct gc_mutator *mutator);

/* Slots that all mutators share, for the heap's life; before any mutator is attached. */
void gc_globals(struct gc_heap *heap, struct gc_frame *frame);

void gc_enter(struct gc_mutator *mutator, struct gc_frame *frame);
void gc_leave(struct gc_mutator *mutator);

/*
 * A new object of a type, by its index, with elements elements; all words are 0. Returns NULL when
 * the heap has no room after everything was collected, and says so on the console.
 */
void *gc_alloc(struct gc_mutator *mutator, unsigned type, size_t elements);

/* Make a whole cycle now; with the option verify its end is checked, too. */
void gc_collect(struct gc_mutator *mutator);

/* How many elements an object was made with. */
size_t gc_elements(const void *object);

/* Let a stop happen here: for long loops that allocate nothing. */
void gc_safepoint(struct gc_mutator *mutator);

/* Between these the mutator touches no object and no slot, and may wait for others. */
void gc_away(struct gc_mutator *mutator);
void gc_back(struct gc_mutator *mutator);

/* Lock a mutex that is held across calls that may move objects; the others can stop meanwhile. */
void gc_lock(struct gc_mutator *mutator, struct mutex *mutex);

#endif
