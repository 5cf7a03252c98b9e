/* What the pages hold: text, linked structures, noise. */
#ifndef ZPAGE_CONTENT_H
#define ZPAGE_CONTENT_H

#include <stddef.h>
#include <stdint.h>

enum content_kind {
    CONTENT_TEXT,     /* words in the order in which a text has them: a Markov chain */
    CONTENT_POINTERS, /* nodes of lists and trees: tags, near pointers, NULL, small numbers */
    CONTENT_NOISE,    /* nothing that a compressor could find */
    CONTENT_MIXED     /* of ten pages four of text, four of pointers, two of noise */
};

enum {
    CONTENT_BLOCK = 64, /* bytes, which content comes in multiples of */
};

/* Prepare the text. */
void content_init(void);

/* Fill bytes bytes that belong to a page. What it is depends on kind, page and key alone. */
void content_fill(enum content_kind kind, size_t page, uint64_t key, void *to, size_t bytes);

#endif
