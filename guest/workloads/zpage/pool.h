/*
 * Memory for compressed pages: a fixed number of pages, cut into units of 128 bytes. An object is a
 * chain of units wherever they are free, so that no free memory is too fragmented to be used; what
 * is lost is the end of its last unit and 4 bytes a unit for the chain.
 */
#ifndef ZPAGE_POOL_H
#define ZPAGE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    POOL_UNIT = 128,
};

struct pool {
    char *units;
    uint32_t *next; /* of each unit: the next one of its object, or of the free ones */
    uint32_t first_free;
    size_t pages, free, least_free; /* the latter two in units */
};

/* Returns false when there is no memory. pages may be 0: then nothing fits. */
bool pool_open(struct pool *pool, size_t pages);
void pool_close(struct pool *pool);

/* Whether bytes bytes, not 0, fit now. */
bool pool_fits(const struct pool *pool, size_t bytes);

/* Copy bytes bytes, which fit, into the pool; returns the object. */
uint32_t pool_put(struct pool *pool, const void *from, size_t bytes);

/* Copy an object of bytes bytes out of the pool; and free one. */
void pool_get(const struct pool *pool, uint32_t object, void *to, size_t bytes);
void pool_drop(struct pool *pool, uint32_t object, size_t bytes);

/*
 * Whether every unit is either free or in one of the objects that mark[] counts: it has a number
 * for each unit, to which pool_mark() has added 1 for each object that the unit is in.
 */
void pool_mark(const struct pool *pool, uint32_t object, size_t bytes, uint8_t *mark);
bool pool_whole(const struct pool *pool, const uint8_t *mark);
size_t pool_units(const struct pool *pool);

/* Bytes of the units that are in use, now and at most since pool_open(). */
size_t pool_used(const struct pool *pool);
size_t pool_peak(const struct pool *pool);

#endif
