#include "guest/workloads/bigspace/space.h"

int bigspace_create(struct space *space, size_t room)
{
    size_t size = 1;

    while (size < 2 * room)
        size *= 2;
    *space = (struct space){.room = room, .mask = size - 1};
    space->pages = malloc(room * sizeof(*space->pages));
    space->numbers = calloc(room, sizeof(*space->numbers));
    space->table = calloc(size, sizeof(*space->table));
    if (space->pages && space->numbers && space->table)
        return 0;
    bigspace_destroy(space);
    return -TRAPLINE_ENOMEM;
}

void bigspace_destroy(struct space *space)
{
    free(space->pages);
    free(space->numbers);
    free(space->table);
    *space = (struct space){0};
}

/* Where a page's index is in the table, or would go. */
static uint32_t *entry_of(const struct space *space, uint64_t number)
{
    size_t at = (number * 0x9e3779b97f4a7c15ull) >> 32;

    for (;; at++) {
        uint32_t *const entry = &space->table[at & space->mask];

        if (*entry == 0 || space->numbers[*entry - 1] == number)
            return entry;
    }
}

struct page64 *bigspace_find(const struct space *space, uint64_t number)
{
    const uint32_t entry = *entry_of(space, number);

    return entry ? &space->pages[entry - 1] : NULL;
}

struct page64 *bigspace_add(struct space *space, uint64_t number)
{
    struct page64 *const page = &space->pages[space->count];

    space->numbers[space->count++] = number;
    *entry_of(space, number) = (uint32_t)space->count;
    memset(page, 0, sizeof(*page));
    return page;
}

int bigspace_copy(struct space *copy, const struct space *space)
{
    const int error = bigspace_create(copy, space->room);

    for (size_t i = 0; i < space->count && !error; i++)
        *bigspace_add(copy, space->numbers[i]) = space->pages[i];
    return error;
}
