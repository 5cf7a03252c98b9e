/* printf's formatting into a sink of characters; console.h says what it understands. */
#ifndef TRAPLINE_HV_FORMAT_H
#define TRAPLINE_HV_FORMAT_H

#include <stdarg.h>

/* Format and give each character to put(context, character). */
void format_text(void (*put)(void *context, char character), void *context, const char *format,
                 va_list args) __attribute__((format(printf, 3, 0)));

#endif
