/* Programs that do hardly anything but make objects. */
#ifndef OVERFLOW_PROGRAM_H
#define OVERFLOW_PROGRAM_H

#include "guest/workloads/overflow/heap.h"

struct program_result {
    uint64_t objects; /* made */
    uint64_t sum;     /* of what was in them */
};

struct program {
    const char *name;
    /* rounds rounds of it, with the limit checked by each allocation and without. */
    struct program_result (*checked)(struct heap *heap, uint64_t rounds);
    struct program_result (*unchecked)(struct heap *heap, uint64_t rounds);
    /* The same without a heap. */
    struct program_result (*expected)(uint64_t rounds);
};

extern const struct program program_lists, program_trees, program_arrays;

#define PROGRAM_INLINE static inline __attribute__((always_inline))

/* run, a function that takes the constant checks, in both ways. */
#define PROGRAM_CODE(run)                                                                          \
    static struct program_result run##_checked(struct heap *heap, uint64_t rounds)                 \
    {                                                                                              \
        return run(heap, rounds, true);                                                            \
    }                                                                                              \
    static struct program_result run##_unchecked(struct heap *heap, uint64_t rounds)               \
    {                                                                                              \
        return run(heap, rounds, false);                                                           \
    }

/* A sum in which order counts. */
static inline uint64_t sum_add(uint64_t sum, uint64_t number)
{
    return sum * 31 + number;
}

#endif
