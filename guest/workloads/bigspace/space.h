/*
 * A persistent object space: of its 64-bit addresses only some pages hold anything, and those are
 * kept one behind the other, found by their number. This is the disk: programs reach it through a
 * window (window.h) or a cache (cache.h).
 */
#ifndef BIGSPACE_SPACE_H
#define BIGSPACE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/workloads/bigspace/object.h"

struct space {
    struct page64 *pages;
    uint64_t *numbers; /* of each of them */
    size_t count, room;
    uint32_t *table; /* by number, hashed: an index in pages plus 1, 0 = none */
    size_t mask;     /* of the table's indices */
};

/* For up to room pages, none of which is there. Returns 0 or -ENOMEM. */
int bigspace_create(struct space *space, size_t room);
void bigspace_destroy(struct space *space);

/* A page, or NULL when there is none of that number. */
struct page64 *bigspace_find(const struct space *space, uint64_t number);

/* Make a page, empty; number was not there, and there is room. */
struct page64 *bigspace_add(struct space *space, uint64_t number);

/* The object at an address, which exists. */
static inline struct object64 *bigspace_object(const struct space *space, uint64_t address)
{
    return &bigspace_find(space, address_page(address))
                ->objects[address_offset(address) / OBJECT_BYTES];
}

/* Make a copy. Returns 0 or -ENOMEM. */
int bigspace_copy(struct space *copy, const struct space *space);

#endif
