/* The ways to know which pages were written to. */
#ifndef LINUX_BENCH_DIRTY_H
#define LINUX_BENCH_DIRTY_H

#include <stdbool.h>
#include <stddef.h>

struct dirty_way {
    const char *mode;
    const char *needed;                      /* what the kernel has not when begin() fails */
    bool is_slow;                            /* each page that is written is a signal */
    bool (*begin)(void);                     /* before anything else */
    bool (*track)(char *area, size_t pages); /* all pages are in page tables */
    long (*fetch)(char *area, size_t pages, void **list); /* how many were written; -1: an error */
    void (*untrack)(char *area, size_t pages);
    void (*end)(void);
};

/*
 * Soft-dirty flags, PAGEMAP_SCAN, and faults: by mprotect() and by userfaultfd. Of the first only
 * a single thread is right that does not write while it fetches: there is no reading flags and
 * clearing them in one.
 */
extern const struct dirty_way dirty_soft, dirty_scan, dirty_mprotect, dirty_uffd;

/* Have track() and dirty() go this way. */
void dirty_choose(const struct dirty_way *way);

#endif
