#include "guest/runtime/format.h"

#include <stdbool.h>
#include <stdint.h>

#include <trapline/string.h>

enum {
    DIGITS_MAX = 64,      /* of an integer, or of a double with its point */
    DECIMALS_DEFAULT = 6, /* C11 7.21.6.1 */
    DECIMALS_MAX = 9,
};

enum length {
    LENGTH_HH,
    LENGTH_H,
    LENGTH_INT,
    LENGTH_L
};

struct spec {
    bool left, plus, space, zero, alternate;
    int width;
    int precision; /* -1 = none given */
    enum length length;
};

struct output {
    format_sink *sink;
    void *ctx;
    size_t bytes;
};

static void emit(struct output *out, const char *text, size_t bytes)
{
    if (bytes)
        out->sink(out->ctx, text, bytes);
    out->bytes += bytes;
}

static void emit_repeated(struct output *out, char c, long count)
{
    for (; count > 0; count--)
        emit(out, &c, 1);
}

/* A prefix, zeros up to what precision asks for, the digits, and padding to the width. */
static void emit_number(struct output *out, const struct spec *spec, const char *prefix,
                        const char *digits, size_t count)
{
    const long prefix_length = (long)strlen(prefix);
    long zeros = spec->precision > (long)count ? spec->precision - (long)count : 0;
    long padding = spec->width - prefix_length - zeros - (long)count;

    if (spec->zero && !spec->left && spec->precision < 0 && padding > 0) {
        zeros += padding;
        padding = 0;
    }
    if (!spec->left)
        emit_repeated(out, ' ', padding);
    emit(out, prefix, (size_t)prefix_length);
    emit_repeated(out, '0', zeros);
    emit(out, digits, count);
    if (spec->left)
        emit_repeated(out, ' ', padding);
}

/* Write value's digits so that they end before end; returns the first. */
static char *put_digits(char *end, uint64_t value, unsigned base, bool upper)
{
    const char *const letters = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (; value; value /= base)
        *--end = letters[value % base];
    return end;
}

static const char *sign_prefix(const struct spec *spec, bool negative)
{
    return negative ? "-" : spec->plus ? "+" : spec->space ? " " : "";
}

static void emit_integer(struct output *out, const struct spec *spec, const char *prefix,
                         uint64_t value, unsigned base, bool upper)
{
    char buffer[DIGITS_MAX], *const end = buffer + sizeof(buffer);
    char *start = put_digits(end, value, base, upper);

    /* No digits at all only for 0 with precision 0. */
    if (start == end && spec->precision != 0)
        *--start = '0';
    if (base == 8 && spec->alternate && (start == end || *start != '0'))
        *--start = '0';
    emit_number(out, spec, prefix, start, (size_t)(end - start));
}

static void emit_signed(struct output *out, const struct spec *spec, va_list *args)
{
    int64_t value = spec->length == LENGTH_L ? va_arg(*args, int64_t) : va_arg(*args, int);

    if (spec->length == LENGTH_HH)
        value = (signed char)value;
    else if (spec->length == LENGTH_H)
        value = (short)value;
    emit_integer(out, spec, sign_prefix(spec, value < 0),
                 value < 0 ? -(uint64_t)value : (uint64_t)value, 10, false);
}

static void emit_unsigned(struct output *out, const struct spec *spec, char conversion,
                          va_list *args)
{
    uint64_t value = spec->length == LENGTH_L ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);
    const bool hex = conversion == 'x' || conversion == 'X';
    const char *prefix = "";

    if (spec->length == LENGTH_HH)
        value = (unsigned char)value;
    else if (spec->length == LENGTH_H)
        value = (unsigned short)value;
    if (hex && spec->alternate && value)
        prefix = conversion == 'x' ? "0x" : "0X";
    emit_integer(out, spec, prefix, value,
                 hex                 ? 16
                 : conversion == 'o' ? 8
                                     : 10,
                 conversion == 'X');
}

static void emit_string(struct output *out, const struct spec *spec, const char *text)
{
    size_t length;

    if (!text)
        text = "(null)";
    length = strnlen(text, spec->precision < 0 ? SIZE_MAX : (size_t)spec->precision);
    if (!spec->left)
        emit_repeated(out, ' ', spec->width - (long)length);
    emit(out, text, length);
    if (spec->left)
        emit_repeated(out, ' ', spec->width - (long)length);
}

static void emit_double(struct output *out, const struct spec *spec, double value)
{
    const double limit = 9223372036854775808.0; /* 2^63: what an integer part may be */
    const int decimals = spec->precision < 0              ? DECIMALS_DEFAULT
                         : spec->precision > DECIMALS_MAX ? DECIMALS_MAX
                                                          : spec->precision;
    struct spec plain = *spec;
    char buffer[DIGITS_MAX], *const end = buffer + sizeof(buffer), *start = end;
    const char *prefix = sign_prefix(spec, __builtin_signbit(value));
    uint64_t whole, fraction, scale = 1;

    plain.precision = -1;
    if (__builtin_signbit(value))
        value = -value;
    if (!(value < limit)) {
        plain.zero = false;
        emit_number(out, &plain, prefix, value >= limit ? "inf" : "nan", 3);
        return;
    }
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    whole = (uint64_t)value;
    fraction = (uint64_t)((value - (double)whole) * (double)scale + 0.5);
    if (fraction >= scale) {
        fraction -= scale;
        whole++;
    }
    if (decimals) {
        start = put_digits(end, fraction, 10, false);
        while (end - start < decimals)
            *--start = '0';
    }
    if (decimals || spec->alternate)
        *--start = '.';
    {
        char *const point = start;

        start = put_digits(point, whole, 10, false);
        if (start == point)
            *--start = '0';
    }
    emit_number(out, &plain, prefix, start, (size_t)(end - start));
}

/* A number of the format, or the next argument for '*'. */
static int parse_number(const char **format, va_list *args)
{
    int value = 0;

    if (**format == '*') {
        ++*format;
        return va_arg(*args, int);
    }
    for (; **format >= '0' && **format <= '9'; ++*format)
        if (value < 100000)
            value = value * 10 + (**format - '0');
    return value;
}

static bool parse_flag(char c, struct spec *spec)
{
    switch (c) {
    case '-': spec->left = true; return true;
    case '+': spec->plus = true; return true;
    case ' ': spec->space = true; return true;
    case '0': spec->zero = true; return true;
    case '#': spec->alternate = true; return true;
    default: return false;
    }
}

static const char *parse_spec(const char *format, struct spec *spec, va_list *args)
{
    *spec = (struct spec){.precision = -1, .length = LENGTH_INT};
    while (parse_flag(*format, spec))
        format++;
    spec->width = parse_number(&format, args);
    if (spec->width < 0) {
        spec->left = true;
        spec->width = -spec->width;
    }
    if (*format == '.') {
        format++;
        spec->precision = parse_number(&format, args);
    }
    if (*format == 'h') {
        spec->length = *++format == 'h' ? LENGTH_HH : LENGTH_H;
        format += *format == 'h';
    } else if (*format == 'l' || *format == 'z' || *format == 'j' || *format == 't') {
        spec->length = LENGTH_L;
        format += format[0] == 'l' && format[1] == 'l' ? 2 : 1;
    }
    return format;
}

static void emit_pointer(struct output *out, struct spec *spec, void *pointer)
{
    spec->precision = -1;
    emit_integer(out, spec, "0x", (uintptr_t)pointer, 16, false);
}

size_t format_text(format_sink *sink, void *ctx, const char *format, va_list list)
{
    struct output out = {sink, ctx, 0};
    struct spec spec;
    va_list args;

    va_copy(args, list);
    while (*format) {
        const char *start = format;
        char c;

        while (*format && *format != '%')
            format++;
        emit(&out, start, (size_t)(format - start));
        if (!*format)
            break;
        start = format;
        format = parse_spec(format + 1, &spec, &args);
        switch (*format) {
        case 'd':
        case 'i': emit_signed(&out, &spec, &args); break;
        case 'u':
        case 'x':
        case 'X':
        case 'o': emit_unsigned(&out, &spec, *format, &args); break;
        case 'c':
            c = (char)va_arg(args, int);
            spec.precision = -1;
            spec.zero = false;
            emit_number(&out, &spec, "", &c, 1);
            break;
        case 's': emit_string(&out, &spec, va_arg(args, const char *)); break;
        case 'p': emit_pointer(&out, &spec, va_arg(args, void *)); break;
        case 'f':
        case 'F': emit_double(&out, &spec, va_arg(args, double)); break;
        case '%': emit(&out, "%", 1); break;
        default:
            /* Not a conversion: show it as it stands. */
            emit(&out, start, (size_t)(format - start) + (*format ? 1 : 0));
        }
        if (*format)
            format++;
    }
    va_end(args);
    return out.bytes;
}
