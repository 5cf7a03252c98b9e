/*
 * Objects, as they are in the space and as they are in memory.
 *
 * An object's address in the space is 64 bits long: its page's number and where it is in the page.
 * In memory a reference is 32 bits long, counted from the window's begin. Both formats have the
 * same number of objects in a page, and address them alike within it: a page of memory, 4 KiB,
 * takes 6 KiB in the space.
 */
#ifndef BIGSPACE_OBJECT_H
#define BIGSPACE_OBJECT_H

#include <stdint.h>

#include <trapline/portable.h>

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    OBJECT_REFS = 8,
    OBJECT_BYTES = 64, /* in memory, and of the space's addresses */
    PAGE_OBJECTS = PAGE / OBJECT_BYTES,
};

enum object_kind {
    OBJECT_NONE, /* nothing is here */
    OBJECT_COMPLEX,
    OBJECT_BASE,
    OBJECT_COMPOSITE,
    OBJECT_PART,
};

/* What is the same in both formats. */
struct object_data {
    uint32_t kind;   /* enum object_kind */
    uint32_t number; /* of a part, in its composite */
    uint64_t id, x, y;
};

struct object32 {
    struct object_data data;
    uint32_t refs[OBJECT_REFS]; /* 0 = none */
};

struct object64 {
    struct object_data data;
    uint64_t refs[OBJECT_REFS]; /* 0 = none */
};

_Static_assert(sizeof(struct object32) == OBJECT_BYTES, "OBJECT_BYTES");

struct page32 {
    struct object32 objects[PAGE_OBJECTS];
};

struct page64 {
    struct object64 objects[PAGE_OBJECTS];
};

static inline uint64_t address_page(uint64_t address)
{
    return address / PAGE;
}

/* Where in its page; of a 64-bit address or a 32-bit reference. */
static inline unsigned address_offset(uint64_t address)
{
    return address % PAGE;
}

#endif
