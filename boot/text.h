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

/*
 * Append: %s, %c, %u and %x (unsigned int), %lu and %lx (unsigned long), %%. A field width pads %s
 * on the right ("%-12s") and numbers on the left ("%4u"); no other flags. What does not fit is cut
 * off.
 */
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
