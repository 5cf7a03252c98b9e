/* The guest's RAM, shared out: whole pages, and the C heap on top of them. */
#include <stdint.h>

#include <trapline/memory.h>
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/string.h>

#include "guest/runtime/heap.h"
#include "guest/runtime/pages.h"
#include "guest/runtime/runtime.h"

enum {
    GROWTH_PAGES = 256, /* what the heap takes at least when it grows */
};

static struct pages ram;
static struct heap heap;

void memory_init(const struct trapline_info *info, uint64_t first_free)
{
    const size_t count = info->ram_size / TRAPLINE_PAGE_SIZE;
    const uint64_t map_end = first_free + pages_map_bytes(count);
    const size_t first = (map_end + TRAPLINE_PAGE_SIZE - 1) / TRAPLINE_PAGE_SIZE;

    pages_init(&ram, (uint64_t *)first_free, count);
    pages_release(&ram, 1, (size_t)image_start / TRAPLINE_PAGE_SIZE - 1);
    pages_release(&ram, first, count - first);
}

size_t ram_size(void)
{
    return ram.count * TRAPLINE_PAGE_SIZE;
}

size_t pages_available(void)
{
    return ram.available;
}

void *pages_alloc(size_t count, size_t align)
{
    size_t first;
    void *start;

    if (!pages_take(&ram, count, align, &first))
        return NULL;
    start = (void *)(first * TRAPLINE_PAGE_SIZE);
    return memset(start, 0, count * TRAPLINE_PAGE_SIZE);
}

void pages_free(void *first, size_t count)
{
    if ((uintptr_t)first % TRAPLINE_PAGE_SIZE ||
        !pages_release(&ram, (size_t)first / TRAPLINE_PAGE_SIZE, count)) {
        printf("guest: pages_free(%p, %zu): not allocated\n", first, count);
        abort();
    }
}

static bool heap_grow(size_t bytes)
{
    const size_t need = bytes / TRAPLINE_PAGE_SIZE + 1;
    size_t count = need > GROWTH_PAGES ? need : GROWTH_PAGES;
    size_t first;

    if (!pages_take(&ram, count, 1, &first)) {
        count = need;
        if (!pages_take(&ram, count, 1, &first))
            return false;
    }
    return heap_add(&heap, (void *)(first * TRAPLINE_PAGE_SIZE), count * TRAPLINE_PAGE_SIZE);
}

void *aligned_alloc(size_t align, size_t size)
{
    void *block;

    if (size > ram_size() || align > ram_size())
        return NULL;
    block = heap_alloc(&heap, size, align);
    if (!block && heap_grow(size + align + HEAP_OVERHEAD))
        block = heap_alloc(&heap, size, align);
    return block;
}

void *malloc(size_t size)
{
    return aligned_alloc(HEAP_ALIGN, size);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    void *block;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    block = malloc(bytes);
    return block ? memset(block, 0, bytes) : NULL;
}

void free(void *block)
{
    if (block && !heap_free(&heap, block)) {
        printf("guest: free(%p): not an allocated block, or overrun\n", block);
        abort();
    }
}

void *realloc(void *block, size_t size)
{
    void *moved;
    size_t usable;

    if (!block)
        return malloc(size);
    usable = heap_usable(block);
    if (size <= usable)
        return block;
    moved = malloc(size);
    if (!moved)
        return NULL;
    memcpy(moved, block, usable);
    free(block);
    return moved;
}
