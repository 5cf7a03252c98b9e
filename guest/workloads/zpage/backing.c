/*
 * The store in memory: it takes the time of the copy and no more. What a transfer to a disk would
 * add is for the reader to say: the report counts the transfers.
 */
#include "guest/workloads/zpage/backing.h"

#include <trapline/portable.h>

static char *slots_base;
static size_t slots_count;

bool backing_open(size_t slots)
{
    slots_count = slots;
    slots_base = pages_alloc(slots, 1);
    if (!slots_base)
        printf("zpage: no memory for a store of %zu pages\n", slots);
    return slots_base;
}

void backing_close(void)
{
    pages_free(slots_base, slots_count);
    slots_base = NULL;
}

void backing_write(size_t slot, const void *from, size_t bytes)
{
    memcpy(slots_base + slot * TRAPLINE_PAGE_SIZE, from, bytes);
}

void backing_read(size_t slot, void *to, size_t bytes)
{
    memcpy(to, slots_base + slot * TRAPLINE_PAGE_SIZE, bytes);
}

const char *backing_name(void)
{
    return "memory";
}
