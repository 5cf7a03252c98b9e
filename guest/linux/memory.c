/* Whole pages from the kernel. The program has the machine's memory, as a guest has its RAM. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <trapline/abi.h>
#include <trapline/pages.h>

#include "guest/linux/linux.h"

static atomic_size_t taken; /* pages */

static size_t all_pages(void)
{
    return ram_size() / TRAPLINE_PAGE_SIZE;
}

size_t ram_size(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t pages_available(void)
{
    return all_pages() - atomic_load(&taken);
}

bool memory_take(size_t pages)
{
    const size_t all = all_pages();
    size_t before = atomic_load(&taken);

    do {
        if (pages > all - before)
            return false;
    } while (!atomic_compare_exchange_weak(&taken, &before, before + pages));
    return true;
}

void memory_give(size_t pages)
{
    atomic_fetch_sub(&taken, pages);
}

uint64_t memory_reserve(size_t pages, size_t align)
{
    const size_t bytes = pages * TRAPLINE_PAGE_SIZE, align_bytes = align * TRAPLINE_PAGE_SIZE;
    const size_t more = align_bytes - TRAPLINE_PAGE_SIZE;
    uint64_t start, first;
    char *got;

    if (align_bytes / TRAPLINE_PAGE_SIZE != align)
        return 0;
    got = mmap(NULL, bytes + more, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED)
        return 0;
    start = (uint64_t)got;
    first = (start + more) & ~(uint64_t)(align_bytes - 1);
    if (first != start)
        munmap(got, first - start);
    if (first - start != more)
        munmap((void *)(first + bytes), more - (first - start));
    return first;
}

static bool good_size(size_t count, size_t align)
{
    const size_t all = all_pages();

    return count > 0 && align > 0 && (align & (align - 1)) == 0 && count <= all && align <= all;
}

void *pages_alloc(size_t count, size_t align)
{
    const size_t bytes = count * TRAPLINE_PAGE_SIZE;
    uint64_t first;

    if (!good_size(count, align) || !memory_take(count))
        return NULL;
    first = memory_reserve(count, align);
    if (first && mprotect((void *)first, bytes, PROT_READ | PROT_WRITE) != 0) {
        munmap((void *)first, bytes);
        first = 0;
    }
    if (!first)
        memory_give(count);
    return (void *)first;
}

void pages_free(void *first, size_t count)
{
    if ((uint64_t)first % TRAPLINE_PAGE_SIZE || count > atomic_load(&taken) ||
        munmap(first, count * TRAPLINE_PAGE_SIZE) != 0) {
        fprintf(stderr, "pages_free(%p, %zu): not allocated\n", first, count);
        abort();
    }
    memory_give(count);
}
