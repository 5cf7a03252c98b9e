/* Text built piece by piece into a buffer: cut off, never overrun, always NUL-terminated. */
#ifndef TRAPLINE_BOOT_TEXT_H
#define TRAPLINE_BOOT_TEXT_H

#include <stddef.h>

struct text {
    char *buffer;
    size_t size;   /* bytes of buffer, at least 1 */
    size_t length; /* characters written, without the NUL */
};

/* Start an empty text in a buffer of size bytes (at least 1). */
void text_start(struct text *text, char *buffer, size_t size);

/* Append, in kprintf()'s format; what does not fit is cut off. */
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
