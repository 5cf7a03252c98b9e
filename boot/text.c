/* Text built piece by piece; see text.h. */
#include "boot/text.h"

#include <stdarg.h>

#include "hv/format.h"

static void put(void *context, char c)
{
    struct text *text = context;

    if (text->length + 1 >= text->size)
        return;
    text->buffer[text->length++] = c;
    text->buffer[text->length] = '\0';
}

void text_start(struct text *text, char *buffer, size_t size)
{
    text->buffer = buffer;
    text->size = size;
    text->length = 0;
    buffer[0] = '\0';
}

void text_add(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_text(put, text, format, args);
    va_end(args);
}
