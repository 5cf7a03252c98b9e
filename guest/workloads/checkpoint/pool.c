#include <trapline/portable.h>

#include "guest/workloads/checkpoint/pool.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
};

int pool_create(struct pool *pool, unsigned buffers)
{
    *pool = (struct pool){.buffers = buffers, .free_count = buffers};
    if (buffers == 0)
        return 0;
    pool->pages = pages_alloc(buffers, 1);
    pool->tags = calloc(buffers, sizeof(*pool->tags));
    pool->free = calloc(buffers, sizeof(*pool->free));
    pool->filled = calloc(buffers, sizeof(*pool->filled));
    if (!pool->pages || !pool->tags || !pool->free || !pool->filled)
        return -TRAPLINE_ENOMEM;
    for (unsigned i = 0; i < buffers; i++)
        pool->free[i] = i;
    return 0;
}

void pool_destroy(struct pool *pool)
{
    if (pool->pages)
        pages_free(pool->pages, pool->buffers);
    free(pool->tags);
    free(pool->free);
    free(pool->filled);
}

/* A stack's last number, or pool->buffers. */
static unsigned pop(struct pool *pool, const unsigned *stack, unsigned *count)
{
    unsigned buffer = pool->buffers;

    mutex_lock(&pool->lock);
    if (*count != 0)
        buffer = stack[--*count];
    mutex_unlock(&pool->lock);
    return buffer;
}

static void push(struct pool *pool, unsigned *stack, unsigned *count, unsigned buffer)
{
    mutex_lock(&pool->lock);
    stack[(*count)++] = buffer;
    mutex_unlock(&pool->lock);
}

bool pool_fill(struct pool *pool, const void *page, size_t tag)
{
    const unsigned buffer = pop(pool, pool->free, &pool->free_count);

    if (buffer == pool->buffers)
        return false;
    memcpy(pool->pages + (size_t)buffer * PAGE, page, PAGE);
    pool->tags[buffer] = tag;
    push(pool, pool->filled, &pool->filled_count, buffer);
    return true;
}

const void *pool_filled(struct pool *pool, size_t *tag)
{
    const unsigned buffer = pop(pool, pool->filled, &pool->filled_count);

    if (buffer == pool->buffers)
        return NULL;
    *tag = pool->tags[buffer];
    return pool->pages + (size_t)buffer * PAGE;
}

void pool_empty(struct pool *pool, const void *buffer)
{
    push(pool, pool->free, &pool->free_count,
         (unsigned)(((const char *)buffer - pool->pages) / PAGE));
}
