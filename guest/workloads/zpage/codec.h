/* Compression of a page by LZ4, with memory that was taken beforehand: for TRAP handlers. */
#ifndef ZPAGE_CODEC_H
#define ZPAGE_CODEC_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Take the compressor's memory. acceleration: LZ4's, from 1; more is faster and compresses less.
 * Returns false when there is no memory.
 */
bool codec_open(unsigned acceleration);
void codec_close(void);

/*
 * Compress the page at page to at most capacity bytes at to. Returns how many it is, or 0 when it
 * does not fit. One call at a time: the caller has a lock. Neither page nor to may trap.
 */
size_t codec_compress(const void *page, void *to, size_t capacity);

/* Make a page of bytes bytes of codec_compress(). Returns false when they are not such. */
bool codec_expand(const void *from, size_t bytes, void *page);

#endif
