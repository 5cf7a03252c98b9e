/*
 * Objects. In front of each lies a word: the header, or, once the object was copied, where to. The
 * lowest bit, which no address has, tells which.
 *
 *   63          40 39          8 7     1  0
 *   +-------------+-------------+-------+---+
 *   | seal        | elements    | type  | 1 |
 *   +-------------+-------------+-------+---+
 *
 * The seal is computed from the rest, so that the verifier knows a header from other data.
 */
#ifndef GC_OBJECT_H
#define GC_OBJECT_H

#include "guest/workloads/gc/gc.h"

enum {
    GC_WORD = sizeof(uint64_t),
    GC_TYPE_SHIFT = 1,
    GC_ELEMENTS_SHIFT = 8,
    GC_SEAL_SHIFT = 40,
    GC_SEAL_BITS = 64 - GC_SEAL_SHIFT,
};

#define GC_HEADER_MARK   1ull
#define GC_ELEMENTS_MOST UINT32_MAX

static inline _Atomic(uint64_t) *gc_header_of(void *object)
{
    return (_Atomic(uint64_t) *)object - 1;
}

/* A multiplication spreads all bits upwards, where the seal is taken from (Knuth 6.4). */
static inline uint64_t gc_seal(uint64_t value)
{
    return (value * 0x9e3779b97f4a7c15ull) >> (64 - GC_SEAL_BITS);
}

static inline uint64_t gc_header(unsigned type, size_t elements)
{
    const uint64_t low =
        (uint64_t)elements << GC_ELEMENTS_SHIFT | (uint64_t)type << GC_TYPE_SHIFT | GC_HEADER_MARK;

    return gc_seal(low) << GC_SEAL_SHIFT | low;
}

static inline bool gc_is_header(uint64_t word)
{
    return (word & GC_HEADER_MARK) &&
           gc_seal(word & ((1ull << GC_SEAL_SHIFT) - 1)) == word >> GC_SEAL_SHIFT;
}

static inline bool gc_is_forwarded(uint64_t word)
{
    return !(word & GC_HEADER_MARK);
}

static inline unsigned gc_header_type(uint64_t header)
{
    return (unsigned)(header >> GC_TYPE_SHIFT) % GC_TYPES_MOST;
}

static inline size_t gc_header_elements(uint64_t header)
{
    return (uint32_t)(header >> GC_ELEMENTS_SHIFT);
}

/* Bytes of an object with its header; it has one word at least, so that pages tell objects apart.
 */
static inline size_t gc_bytes(const struct gc_type *type, size_t elements)
{
    const size_t words = type->words + elements * type->element_words;

    return GC_WORD + GC_WORD * (words ? words : 1);
}

#endif
