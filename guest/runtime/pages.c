#include "guest/runtime/pages.h"

enum {
    WORD_BITS = 64,
};

static bool in_use(const struct pages *pages, size_t page)
{
    return pages->used[page / WORD_BITS] >> (page % WORD_BITS) & 1;
}

static void flip(struct pages *pages, size_t first, size_t count)
{
    for (size_t page = first; page < first + count; page++)
        pages->used[page / WORD_BITS] ^= 1ull << (page % WORD_BITS);
}

void pages_init(struct pages *pages, uint64_t *used, size_t count)
{
    *pages = (struct pages){.used = used, .count = count};
    for (size_t i = 0; i < pages_map_bytes(count) / sizeof(*used); i++)
        used[i] = UINT64_MAX;
}

/* The first page of [first, first + count) that is in use, or first + count. */
static size_t first_used(const struct pages *pages, size_t first, size_t count)
{
    size_t page = first;

    while (page < first + count && !in_use(pages, page)) {
        const bool whole_word_free = page % WORD_BITS == 0 && pages->used[page / WORD_BITS] == 0;

        page += whole_word_free ? WORD_BITS : 1;
    }
    return page < first + count ? page : first + count;
}

/* The last page in use of those from page on, itself in use, that whole words show to be so. */
static size_t last_used(const struct pages *pages, size_t page)
{
    while ((page + 1) % WORD_BITS == 0 && page + 1 < pages->count &&
           pages->used[(page + 1) / WORD_BITS] == UINT64_MAX)
        page += WORD_BITS;
    return page;
}

bool pages_take(struct pages *pages, size_t count, size_t align, size_t *first)
{
    size_t start = 0;

    if (count == 0 || align == 0 || (align & (align - 1)) || count > pages->available)
        return false;
    while (start < pages->count && count <= pages->count - start) {
        size_t blocker = first_used(pages, start, count);

        if (blocker == start + count) {
            flip(pages, start, count);
            pages->available -= count;
            *first = start;
            return true;
        }
        blocker = last_used(pages, blocker);
        if (blocker + 1 > SIZE_MAX - align)
            return false;
        start = (blocker + align) & ~(align - 1);
    }
    return false;
}

bool pages_release(struct pages *pages, size_t first, size_t count)
{
    if (first > pages->count || count > pages->count - first)
        return false;
    for (size_t page = first; page < first + count; page++)
        if (!in_use(pages, page))
            return false;
    flip(pages, first, count);
    pages->available += count;
    return true;
}
