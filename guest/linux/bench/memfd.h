/* Pages that may get second addresses: those of a file in memory. */
#ifndef LINUX_BENCH_MEMFD_H
#define LINUX_BENCH_MEMFD_H

#include <stddef.h>

/* From now on pages_alloc() gives such pages, one piece at a time; or no longer. */
void memfd_begin(void);
void memfd_end(void);

#endif
