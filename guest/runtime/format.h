/* The formatting behind printf() and snprintf(). */
#ifndef GUEST_RUNTIME_FORMAT_H
#define GUEST_RUNTIME_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* Where formatted text goes, piece by piece. */
typedef void format_sink(void *ctx, const char *text, size_t bytes);

/* Format as printf() would (see trapline/stdio.h); returns the number of bytes given to sink. */
size_t format_text(format_sink *sink, void *ctx, const char *format, va_list args);

#endif
