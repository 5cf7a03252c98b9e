/* Formatted output to the console and into buffers. */
#include <limits.h>
#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/hypercall.h>
#include <trapline/stdio.h>
#include <trapline/string.h>

#include "guest/runtime/format.h"

void console_write(const char *text, size_t bytes)
{
    while (bytes) {
        const int64_t written = hypercall2(TRAPLINE_HC_PRINT, (uint64_t)text, bytes);

        if (written <= 0)
            return;
        text += written;
        bytes -= (size_t)written;
    }
}

/* Collects a line on the caller's stack, so that nested use, in a trap handler, is safe. */
struct piece {
    size_t used;
    char text[CONSOLE_PIECE];
};

static void piece_flush(struct piece *piece)
{
    console_write(piece->text, piece->used);
    piece->used = 0;
}

static void piece_add(void *ctx, const char *text, size_t bytes)
{
    struct piece *piece = ctx;

    while (bytes) {
        const size_t room = sizeof(piece->text) - piece->used;
        const size_t part = bytes < room ? bytes : room;

        memcpy(piece->text + piece->used, text, part);
        piece->used += part;
        text += part;
        bytes -= part;
        if (piece->used == sizeof(piece->text))
            piece_flush(piece);
    }
}

int vprintf(const char *restrict format, va_list args)
{
    struct piece piece;
    size_t bytes;

    piece.used = 0;
    bytes = format_text(piece_add, &piece, format, args);
    piece_flush(&piece);
    return bytes > INT_MAX ? -1 : (int)bytes;
}

int printf(const char *restrict format, ...)
{
    va_list args;
    int result;

    va_start(args, format);
    result = vprintf(format, args);
    va_end(args);
    return result;
}

int puts(const char *text)
{
    struct piece piece;

    piece.used = 0;
    piece_add(&piece, text, strlen(text));
    piece_add(&piece, "\n", 1);
    piece_flush(&piece);
    return 0;
}

int putchar(int c)
{
    const char byte = (char)c;

    console_write(&byte, 1);
    return (unsigned char)byte;
}

struct buffer {
    char *text;
    size_t size;
    size_t used; /* bytes wanted so far */
};

static void buffer_add(void *ctx, const char *text, size_t bytes)
{
    struct buffer *buffer = ctx;

    if (buffer->used + 1 < buffer->size) {
        const size_t room = buffer->size - 1 - buffer->used;

        memcpy(buffer->text + buffer->used, text, bytes < room ? bytes : room);
    }
    buffer->used += bytes;
}

int vsnprintf(char *restrict text, size_t size, const char *restrict format, va_list args)
{
    struct buffer buffer = {text, size, 0};
    const size_t bytes = format_text(buffer_add, &buffer, format, args);

    if (size)
        text[bytes < size ? bytes : size - 1] = '\0';
    return bytes > INT_MAX ? -1 : (int)bytes;
}

int snprintf(char *restrict text, size_t size, const char *restrict format, ...)
{
    va_list args;
    int result;

    va_start(args, format);
    result = vsnprintf(text, size, format, args);
    va_end(args);
    return result;
}
