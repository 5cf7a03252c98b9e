/* The guest's RAM, shared out: whole pages, and the C heap on top of them. */
#include <stdint.h>

#include <trapline/interrupt.h>
#include <trapline/memory.h>
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/string.h>
#include <trapline/thread.h>

#include "guest/runtime/heap.h"
#include "guest/runtime/pages.h"
#include "guest/runtime/runtime.h"

enum {
    GROWTH_PAGES = 256, /* what the heap takes at least when it grows */
};

/*
 * A lock of the allocators. Whoever has it keeps interrupts waiting, whose handlers may allocate; a
 * handler of a forbidden access that came while it was held by the same vCPU cannot.
 */
struct allocator_lock {
    struct mutex mutex;
    atomic_uint holder; /* 1 + the vCPU's index */
};

static struct pages ram;
static struct heap heap;
static struct allocator_lock ram_lock, heap_lock;

static bool enter(struct allocator_lock *lock)
{
    const unsigned self = vcpu_index() + 1;
    const bool interrupts = interrupts_save();

    if (atomic_load_explicit(&lock->holder, memory_order_relaxed) == self) {
        printf("guest: memory allocated or freed by a handler that interrupted just that\n");
        abort();
    }
    mutex_lock(&lock->mutex);
    atomic_store_explicit(&lock->holder, self, memory_order_relaxed);
    return interrupts;
}

static void leave(struct allocator_lock *lock, bool interrupts)
{
    atomic_store_explicit(&lock->holder, 0, memory_order_relaxed);
    mutex_unlock(&lock->mutex);
    interrupts_restore(interrupts);
}

static bool ram_take(size_t count, size_t align, size_t *first)
{
    const bool interrupts = enter(&ram_lock);
    const bool good = pages_take(&ram, count, align, first);

    leave(&ram_lock, interrupts);
    return good;
}

static bool ram_release(size_t first, size_t count)
{
    const bool interrupts = enter(&ram_lock);
    const bool good = pages_release(&ram, first, count);

    leave(&ram_lock, interrupts);
    return good;
}

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

    if (!ram_take(count, align, &first))
        return NULL;
    start = (void *)(first * TRAPLINE_PAGE_SIZE);
    return memset(start, 0, count * TRAPLINE_PAGE_SIZE);
}

void pages_free(void *first, size_t count)
{
    if ((uintptr_t)first % TRAPLINE_PAGE_SIZE ||
        !ram_release((size_t)first / TRAPLINE_PAGE_SIZE, count)) {
        printf("guest: pages_free(%p, %zu): not allocated\n", first, count);
        abort();
    }
}

static bool heap_grow(size_t bytes)
{
    const size_t need = bytes / TRAPLINE_PAGE_SIZE + 1;
    size_t count = need > GROWTH_PAGES ? need : GROWTH_PAGES;
    size_t first;

    if (!ram_take(count, 1, &first)) {
        count = need;
        if (!ram_take(count, 1, &first))
            return false;
    }
    return heap_add(&heap, (void *)(first * TRAPLINE_PAGE_SIZE), count * TRAPLINE_PAGE_SIZE);
}

void *aligned_alloc(size_t align, size_t size)
{
    bool interrupts;
    void *block;

    if (size > ram_size() || align > ram_size())
        return NULL;
    interrupts = enter(&heap_lock);
    block = heap_alloc(&heap, size, align);
    if (!block && heap_grow(size + align + HEAP_OVERHEAD))
        block = heap_alloc(&heap, size, align);
    leave(&heap_lock, interrupts);
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
    bool interrupts, good;

    if (!block)
        return;
    interrupts = enter(&heap_lock);
    good = heap_free(&heap, block);
    leave(&heap_lock, interrupts);
    if (!good) {
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
