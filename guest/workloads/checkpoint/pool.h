/* Buffers of a page each, from who fills them to who empties them; any threads, in handlers too. */
#ifndef CHECKPOINT_POOL_H
#define CHECKPOINT_POOL_H

#include <stddef.h>

#include <trapline/thread.h>

struct pool {
    struct mutex lock;
    char *pages;
    size_t *tags;            /* of each buffer, what its filler says */
    unsigned *free, *filled; /* stacks of buffers' numbers */
    unsigned free_count, filled_count, buffers;
};

/* buffers may be 0. Returns 0 or -ENOMEM. */
int pool_create(struct pool *pool, unsigned buffers);
void pool_destroy(struct pool *pool);

/* Copy a page to a free buffer; false when there is none. */
bool pool_fill(struct pool *pool, const void *page, size_t tag);

/* A filled buffer, with its tag, or NULL; and give it back. */
const void *pool_filled(struct pool *pool, size_t *tag);
void pool_empty(struct pool *pool, const void *buffer);

#endif
