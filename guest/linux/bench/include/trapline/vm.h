/*
 * The primitives that microbenchmarks of Trapline call and that Linux has as functions here, so
 * that the same code measures them on both: DIRTY in several ways (guest/linux/bench/dirty.h), and
 * MAP2 of the pages of a memfd. Returns and errors are those of the guests' header.
 */
#ifndef TRAPLINE_VM_H
#define TRAPLINE_VM_H

#include <stddef.h>

int track(void *page, size_t pages, int on);
long dirty(void *page, size_t pages, void **buffer, size_t capacity, size_t *left);

int map2_range(void *page, size_t pages, void *alias, unsigned access);
int unmap2_range(void *alias, size_t pages);
void *alias_window(void);
size_t alias_window_pages(void);

static inline int map2(void *page, void *alias, unsigned access)
{
    return map2_range(page, 1, alias, access);
}

static inline int unmap2(void *alias)
{
    return unmap2_range(alias, 1);
}

#endif
