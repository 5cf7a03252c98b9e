#include "hv/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/console.h"

enum {
    MAX_DIGITS = 20, /* of a 64-bit number in base 10 */
    DECIMAL = 10,
    HEXADECIMAL = 16,
};

enum length {
    LENGTH_INT,
    LENGTH_LONG,
    LENGTH_LONG_LONG,
    LENGTH_SIZE,
};

struct sink {
    void (*put)(void *context, char character);
    void *context;
};

struct conversion {
    bool left;     /* flag - */
    bool zeros;    /* flag 0 */
    int width;     /* 0 = none */
    int precision; /* -1 = none */
    enum length length;
};

static void pad(struct sink *sink, char character, int count)
{
    while (count-- > 0)
        sink->put(sink->context, character);
}

static int parse_number(const char **at)
{
    int n = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++)
        n = n * DECIMAL + (**at - '0');
    return n;
}

static struct conversion parse_conversion(const char **at)
{
    struct conversion c = {.precision = -1};

    for (;; (*at)++) {
        if (**at == '-')
            c.left = true;
        else if (**at == '0')
            c.zeros = true;
        else
            break;
    }
    c.width = parse_number(at);
    if (**at == '.') {
        (*at)++;
        c.precision = parse_number(at);
    }
    if (**at == 'z') {
        c.length = LENGTH_SIZE;
        (*at)++;
    } else if (**at == 'l') {
        c.length = LENGTH_LONG;
        (*at)++;
        if (**at == 'l') {
            c.length = LENGTH_LONG_LONG;
            (*at)++;
        }
    }
    return c;
}

static void put_string(struct sink *sink, const struct conversion *c, const char *text)
{
    int length = 0;

    if (!text)
        text = "(null)";
    while ((c->precision < 0 || length < c->precision) && text[length])
        length++;
    if (!c->left)
        pad(sink, ' ', c->width - length);
    for (int i = 0; i < length; i++)
        sink->put(sink->context, text[i]);
    if (c->left)
        pad(sink, ' ', c->width - length);
}

/* prefix: a sign, "0x" or nothing. */
static void put_number(struct sink *sink, const struct conversion *c, const char *prefix,
                       uint64_t value, unsigned base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[MAX_DIGITS];
    int length = 0, prefix_length = 0;

    do {
        text[length++] = digits[value % base];
        value /= base;
    } while (value);
    while (prefix[prefix_length])
        prefix_length++;

    int fill = c->width - length - prefix_length;
    if (!c->left && !c->zeros)
        pad(sink, ' ', fill);
    for (int i = 0; i < prefix_length; i++)
        sink->put(sink->context, prefix[i]);
    if (!c->left && c->zeros)
        pad(sink, '0', fill);
    while (length > 0)
        sink->put(sink->context, text[--length]);
    if (c->left)
        pad(sink, ' ', fill);
}

void format_text(void (*put)(void *context, char character), void *context, const char *format,
                 va_list caller_args)
{
    struct sink sink = {.put = put, .context = context};
    va_list args;

    va_copy(args, caller_args);
    while (*format) {
        if (*format != '%') {
            put(context, *format++);
            continue;
        }
        const char *start = format++;
        struct conversion c = parse_conversion(&format);
        char kind = *format;
        bool wide = c.length != LENGTH_INT; /* long, long long and size_t are all 64 bits */

        switch (kind) {
        case 's': put_string(&sink, &c, va_arg(args, const char *)); break;
        case 'c': {
            if (!c.left)
                pad(&sink, ' ', c.width - 1);
            put(context, (char)va_arg(args, int));
            if (c.left)
                pad(&sink, ' ', c.width - 1);
            break;
        }
        case 'd':
        case 'i': {
            int64_t value = wide ? va_arg(args, int64_t) : va_arg(args, int);
            uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;
            put_number(&sink, &c, value < 0 ? "-" : "", size, DECIMAL, false);
            break;
        }
        case 'u':
        case 'x':
        case 'X': {
            uint64_t value = wide ? va_arg(args, uint64_t) : va_arg(args, unsigned);
            put_number(&sink, &c, "", value, kind == 'u' ? DECIMAL : HEXADECIMAL, kind == 'X');
            break;
        }
        case 'p':
            put_number(&sink, &c, "0x", (uintptr_t)va_arg(args, void *), HEXADECIMAL, false);
            break;
        case '%': put(context, '%'); break;
        default:
            /* Not a conversion of ours: show the directive as it stands. */
            while (start < format)
                put(context, *start++);
            continue;
        }
        format++;
    }
    va_end(args);
}

struct buffer {
    char *text;
    size_t size;
    size_t length; /* what it would take, without the NUL */
};

static void put_buffer(void *context, char character)
{
    struct buffer *buffer = context;

    if (buffer->length + 1 < buffer->size)
        buffer->text[buffer->length] = character;
    buffer->length++;
}

int kvsnprintf(char *text, size_t size, const char *format, va_list args)
{
    struct buffer buffer = {.text = text, .size = size};

    format_text(put_buffer, &buffer, format, args);
    if (size)
        text[buffer.length < size ? buffer.length : size - 1] = '\0';
    return (int)buffer.length;
}

int ksnprintf(char *text, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int length = kvsnprintf(text, size, format, args);
    va_end(args);
    return length;
}
