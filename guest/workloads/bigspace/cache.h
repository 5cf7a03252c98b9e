/*
 * What one does without traps: pages of the space are kept in frames as they are, and each
 * dereference looks its 64-bit address up. As many frames as the window has places; the page that
 * came first leaves when all are taken.
 */
#ifndef BIGSPACE_CACHE_H
#define BIGSPACE_CACHE_H

#include "guest/workloads/bigspace/space.h"

struct frame {
    uint64_t page;
    uint32_t next; /* with the same hash; frame 0 ends a list, and is never used */
    bool dirty;
};

struct cache {
    struct space *space;
    struct frame *frame;
    struct page64 *contents;
    uint32_t *buckets;
    size_t frames, mask, used, oldest;
    uint64_t loads, load_ticks; /* pages brought in, with what had to leave for them */
};

/* frames: at least 2. Returns 0 or -ENOMEM. */
int cache_create(struct cache *cache, struct space *space, size_t frames);

/* Write back what is dirty; then forget all. */
void cache_destroy(struct cache *cache);

/* Bring in a page that has no frame. */
uint32_t cache_load(struct cache *cache, uint64_t page);

static inline size_t cache_bucket(const struct cache *cache, uint64_t page)
{
    return (page * 0x9e3779b97f4a7c15ull >> 32) & cache->mask;
}

static inline uint32_t cache_frame(struct cache *cache, uint64_t page)
{
    uint32_t at = cache->buckets[cache_bucket(cache, page)];

    while (cache->frame[at].page != page) {
        if (at == 0)
            return cache_load(cache, page);
        at = cache->frame[at].next;
    }
    return at;
}

/* The object at an address, to be read, or also changed; till the next call of one of the two. */
static inline const struct object64 *cache_look(struct cache *cache, uint64_t address)
{
    return &cache->contents[cache_frame(cache, address_page(address))]
                .objects[address_offset(address) / OBJECT_BYTES];
}

static inline struct object64 *cache_change(struct cache *cache, uint64_t address)
{
    const uint32_t at = cache_frame(cache, address_page(address));

    cache->frame[at].dirty = true;
    return &cache->contents[at].objects[address_offset(address) / OBJECT_BYTES];
}

#endif
