#include "guest/workloads/bigspace/cache.h"

int cache_create(struct cache *cache, struct space *space, size_t frames)
{
    size_t buckets = 1;

    while (buckets < frames)
        buckets *= 2;
    *cache = (struct cache){.space = space, .frames = frames, .mask = buckets - 1};
    cache->frame = calloc(frames, sizeof(*cache->frame));
    cache->contents = malloc(frames * sizeof(*cache->contents));
    cache->buckets = calloc(buckets, sizeof(*cache->buckets));
    if (cache->frame && cache->contents && cache->buckets)
        return 0;
    cache_destroy(cache);
    return -TRAPLINE_ENOMEM;
}

/* The page of a frame leaves. */
static void evict(struct cache *cache, uint32_t at)
{
    struct frame *const frame = &cache->frame[at];
    uint32_t *link = &cache->buckets[cache_bucket(cache, frame->page)];

    while (*link != at)
        link = &cache->frame[*link].next;
    *link = frame->next;
    if (frame->dirty)
        *bigspace_find(cache->space, frame->page) = cache->contents[at];
    frame->dirty = false;
}

uint32_t cache_load(struct cache *cache, uint64_t page)
{
    const uint64_t start = ticks();
    const struct page64 *const from = bigspace_find(cache->space, page);
    uint32_t *const bucket = &cache->buckets[cache_bucket(cache, page)];
    uint32_t at;

    if (!from) {
        printf("bigspace: an address on a page that is not in the space, %#lx\n", page);
        exit(EXIT_FAILURE);
    }
    if (cache->used + 1 < cache->frames) {
        at = (uint32_t)++cache->used;
    } else {
        cache->oldest = cache->oldest % cache->used + 1;
        at = (uint32_t)cache->oldest;
        evict(cache, at);
    }
    cache->contents[at] = *from;
    cache->frame[at] = (struct frame){.page = page, .next = *bucket};
    *bucket = at;
    cache->loads++;
    cache->load_ticks += ticks() - start;
    return at;
}

void cache_destroy(struct cache *cache)
{
    for (uint32_t at = 1; at <= cache->used; at++)
        evict(cache, at);
    free(cache->frame);
    free(cache->contents);
    free(cache->buckets);
    *cache = (struct cache){0};
}
