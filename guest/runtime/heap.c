#include "guest/runtime/heap.h"

#include <stdint.h>

/*
 * Blocks of a piece of memory follow one another; the last one is a used header with nothing behind
 * it. previous and size count bytes, headers included.
 */
struct heap_block {
    size_t previous; /* size of the block before this one, 0 = this is the first */
    size_t size;     /* a multiple of HEAP_ALIGN; or-ed with IN_USE */
    /* Of free blocks only: */
    struct heap_block *next;
    struct heap_block **link; /* what points to this block */
};

enum {
    IN_USE = 1,
    HEADER = offsetof(struct heap_block, next),
    SMALLEST = sizeof(struct heap_block),
};

static size_t size_of(const struct heap_block *block)
{
    return block->size & ~(size_t)IN_USE;
}

static struct heap_block *at(struct heap_block *block, size_t offset)
{
    return (struct heap_block *)((char *)block + offset);
}

static unsigned bin_of(size_t size)
{
    return 63 - (unsigned)__builtin_clzl(size);
}

static void insert(struct heap *heap, struct heap_block *block)
{
    struct heap_block **const bin = &heap->bins[bin_of(block->size)];

    block->next = *bin;
    block->link = bin;
    if (block->next)
        block->next->link = &block->next;
    *bin = block;
}

static void detach(struct heap_block *block)
{
    *block->link = block->next;
    if (block->next)
        block->next->link = block->link;
}

/* Set the size of a block, and what the block behind it knows of it. */
static void set_size(struct heap_block *block, size_t size, size_t flag)
{
    block->size = size | flag;
    at(block, size)->previous = size;
}

bool heap_add(struct heap *heap, void *memory, size_t bytes)
{
    const uintptr_t start = ((uintptr_t)memory + HEAP_ALIGN - 1) & -(uintptr_t)HEAP_ALIGN;
    const uintptr_t end = ((uintptr_t)memory + bytes) & -(uintptr_t)HEAP_ALIGN;
    struct heap_block *block = (struct heap_block *)start;

    if (end < start || end - start < SMALLEST + HEADER)
        return false;
    block->previous = 0;
    set_size(block, end - start - HEADER, 0);
    at(block, block->size)->size = HEADER | IN_USE;
    insert(heap, block);
    return true;
}

/* Take a free block of at least size bytes off its list. */
static struct heap_block *take(struct heap *heap, size_t size)
{
    for (unsigned bin = bin_of(size); bin < HEAP_BINS; bin++) {
        for (struct heap_block *block = heap->bins[bin]; block; block = block->next) {
            if (block->size >= size) {
                detach(block);
                return block;
            }
        }
    }
    return NULL;
}

void *heap_alloc(struct heap *heap, size_t size, size_t align)
{
    const size_t slack = align > HEAP_ALIGN ? align + SMALLEST : 0;
    struct heap_block *block;
    size_t need;

    if (align == 0 || (align & (align - 1)) || align > SIZE_MAX / 4 || size > SIZE_MAX / 4)
        return NULL;
    need = (size + HEADER + HEAP_ALIGN - 1) & -(size_t)HEAP_ALIGN;
    if (need < SMALLEST)
        need = SMALLEST;
    block = take(heap, need + slack);
    if (!block)
        return NULL;

    /* Give back what lies before the aligned address: nothing, or a whole block. */
    if (slack && ((uintptr_t)block + HEADER) & (align - 1)) {
        const uintptr_t memory = ((uintptr_t)block + SMALLEST + HEADER + align - 1) & -align;
        struct heap_block *const aligned = (struct heap_block *)(memory - HEADER);
        const size_t total = block->size, front = (uintptr_t)aligned - (uintptr_t)block;

        set_size(block, front, 0);
        set_size(aligned, total - front, 0);
        insert(heap, block);
        block = aligned;
    }
    if (block->size - need >= SMALLEST) {
        struct heap_block *const rest = at(block, need);

        set_size(rest, block->size - need, 0);
        insert(heap, rest);
        set_size(block, need, IN_USE);
    } else {
        block->size |= IN_USE;
    }
    return (char *)block + HEADER;
}

size_t heap_usable(const void *memory)
{
    return size_of((const struct heap_block *)((const char *)memory - HEADER)) - HEADER;
}

bool heap_free(struct heap *heap, void *memory)
{
    struct heap_block *block = (struct heap_block *)((char *)memory - HEADER), *next;
    size_t size;

    if ((uintptr_t)memory % HEAP_ALIGN)
        return false;
    size = size_of(block);
    if (!(block->size & IN_USE) || size < SMALLEST || size % HEAP_ALIGN)
        return false;
    next = at(block, size);
    if (next->previous != size)
        return false;

    block->size = size;
    if (!(next->size & IN_USE)) {
        detach(next);
        size += next->size;
    }
    if (block->previous && !(at(block, -block->previous)->size & IN_USE)) {
        size += block->previous;
        block = at(block, -block->previous);
        detach(block);
    }
    set_size(block, size, 0);
    insert(heap, block);
    return true;
}
