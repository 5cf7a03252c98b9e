/* Programs that make garbage, and know what has to be left. */
#ifndef GC_PROGRAM_H
#define GC_PROGRAM_H

#include "guest/workloads/gc/gc.h"

struct program_options {
    uint64_t size;   /* of the program's data: see its help; 0 = its own default */
    uint64_t rounds; /* 0 = its own default */
    uint64_t seed;   /* not 0 */
    unsigned mutators;
    bool verify; /* recompute the results without the heap */
};

struct program {
    const char *name;
    const struct gc_type *types;
    unsigned type_count;
    uint64_t size, rounds; /* defaults */
    uint64_t most;         /* of size */
    /* Before there are mutators; NULL: nothing to do. */
    bool (*prepare)(struct gc_heap *heap, const struct program_options *options);
    /* On each mutator, at the same time. Returns false when something is wrong, having said what.
     */
    bool (*run)(struct gc_mutator *mutator, const struct program_options *options);
    /* On the first mutator, after the others have ended: whether all is there; NULL, too. */
    bool (*finish)(struct gc_mutator *mutator, const struct program_options *options);
};

extern const struct program gcbench, list, table;

/* What a program writes into words that are no pointers: it depends on all bits of both. */
static inline uint64_t program_mix(uint64_t a, uint64_t b)
{
    a = (a ^ b << 32 ^ b >> 32) * 0xff51afd7ed558ccdull;
    return (a ^ a >> 33) * 0xc4ceb9fe1a85ec53ull + b;
}

#endif
