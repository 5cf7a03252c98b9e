/* Memory of the guest: the C heap, and whole pages for use with the primitives. */
#ifndef TRAPLINE_MEMORY_H
#define TRAPLINE_MEMORY_H

#include <stddef.h>

#include <trapline/pages.h>

/* As in C11. Blocks are aligned to 16 bytes. A block that is freed twice, or was overrun, aborts.
 */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void *aligned_alloc(size_t align, size_t size);
void free(void *block);

#endif
