#include "guest/workloads/zpage/pool.h"

#include <trapline/portable.h>

enum {
    PAGE_UNITS = TRAPLINE_PAGE_SIZE / POOL_UNIT,
};

static size_t units_of(size_t bytes)
{
    return (bytes + POOL_UNIT - 1) / POOL_UNIT;
}

bool pool_open(struct pool *pool, size_t pages)
{
    const size_t units = pages * PAGE_UNITS;

    *pool = (struct pool){.pages = pages, .free = units, .least_free = units};
    if (pages == 0)
        return true;
    pool->units = pages_alloc(pages, 1);
    pool->next = malloc(units * sizeof(*pool->next));
    if (!pool->units || !pool->next) {
        pool_close(pool);
        return false;
    }
    for (size_t i = 0; i < units; i++)
        pool->next[i] = (uint32_t)i + 1;
    return true;
}

void pool_close(struct pool *pool)
{
    if (pool->units)
        pages_free(pool->units, pool->pages);
    free(pool->next);
    *pool = (struct pool){.pages = 0};
}

bool pool_fits(const struct pool *pool, size_t bytes)
{
    return units_of(bytes) <= pool->free;
}

uint32_t pool_put(struct pool *pool, const void *from, size_t bytes)
{
    const uint32_t object = pool->first_free;
    const char *source = from;
    uint32_t unit = object;

    pool->free -= units_of(bytes);
    if (pool->free < pool->least_free)
        pool->least_free = pool->free;
    for (size_t left = bytes;;) {
        const size_t part = left < POOL_UNIT ? left : POOL_UNIT;

        memcpy(pool->units + (size_t)unit * POOL_UNIT, source, part);
        source += part;
        left -= part;
        if (left == 0)
            break;
        unit = pool->next[unit];
    }
    pool->first_free = pool->next[unit];
    return object;
}

void pool_get(const struct pool *pool, uint32_t object, void *to, size_t bytes)
{
    char *target = to;

    for (uint32_t unit = object; bytes > 0; unit = pool->next[unit]) {
        const size_t part = bytes < POOL_UNIT ? bytes : POOL_UNIT;

        memcpy(target, pool->units + (size_t)unit * POOL_UNIT, part);
        target += part;
        bytes -= part;
    }
}

void pool_drop(struct pool *pool, uint32_t object, size_t bytes)
{
    const size_t units = units_of(bytes);
    uint32_t last = object;

    for (size_t i = 1; i < units; i++)
        last = pool->next[last];
    pool->next[last] = pool->first_free;
    pool->first_free = object;
    pool->free += units;
}

void pool_mark(const struct pool *pool, uint32_t object, size_t bytes, uint8_t *mark)
{
    const size_t units = units_of(bytes);
    uint32_t unit = object;

    for (size_t i = 0; i < units && unit < pool_units(pool); i++, unit = pool->next[unit])
        mark[unit]++;
}

bool pool_whole(const struct pool *pool, const uint8_t *mark)
{
    uint32_t unit = pool->first_free;
    size_t once = 0;

    for (size_t i = 0; i < pool->free; i++, unit = pool->next[unit])
        if (unit >= pool_units(pool) || mark[unit])
            return false;
    for (size_t i = 0; i < pool_units(pool); i++)
        once += mark[i] == 1;
    return once + pool->free == pool_units(pool);
}

size_t pool_units(const struct pool *pool)
{
    return pool->pages * PAGE_UNITS;
}

size_t pool_used(const struct pool *pool)
{
    return (pool_units(pool) - pool->free) * POOL_UNIT;
}

size_t pool_peak(const struct pool *pool)
{
    return (pool_units(pool) - pool->least_free) * POOL_UNIT;
}
