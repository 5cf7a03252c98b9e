/* The store below memory: a slot of a page's size for each page. */
#ifndef ZPAGE_BACKING_H
#define ZPAGE_BACKING_H

#include <stdbool.h>
#include <stddef.h>

/* Open a store of slots slots. Returns false when there is none; why was printed. */
bool backing_open(size_t slots);
void backing_close(void);

/*
 * Write the first bytes bytes, at most a page, of a slot; read what was written. The memory at from
 * and to has a page's size and is aligned to 2, for a disk that knows sectors alone.
 */
void backing_write(size_t slot, const void *from, size_t bytes);
void backing_read(size_t slot, void *to, size_t bytes);

/* What it is, for the report: "memory" or "disk". */
const char *backing_name(void);

#endif
