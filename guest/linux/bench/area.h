/* The memory that is measured. */
#ifndef LINUX_BENCH_AREA_H
#define LINUX_BENCH_AREA_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A mapping of its own: pages pages of anonymous memory aligned to 2 MiB, each of them written to
 * and in a page table (none is part of a huge page, which a change of protection would first have
 * to split), with nothing mapped beside it that the kernel could make one mapping with. Returns
 * NULL when there is too little memory.
 *
 * They are not locked: when mprotect() allows writing, the kernel touches each page of a locked
 * mapping again.
 */
char *area_open(size_t pages);

/* The same without a touch of its pages, which have no page tables yet. */
char *area_open_untouched(size_t pages);

/* The same in huge pages; NULL also when the kernel has none for all of it. */
char *area_open_huge(size_t pages);

void area_close(char *area, size_t pages);

#endif
