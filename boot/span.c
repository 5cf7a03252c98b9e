/* Pieces of a text; see span.h. */
#include "boot/span.h"

enum {
    DECIMAL = 10,
    HEXADECIMAL = 16,
    HEXADECIMAL_PREFIX = 2, /* characters of "0x" */
    ASCII_CASE = 'a' - 'A',
};

bool span_is_space(char c)
{
    return c == ' ' || c == '\t';
}

bool span_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

char span_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ASCII_CASE) : c;
}

struct span span_trim(struct span span)
{
    while (span.length > 0 && span_is_space(span.at[0])) {
        span.at++;
        span.length--;
    }
    while (span.length > 0 && span_is_space(span.at[span.length - 1]))
        span.length--;
    return span;
}

bool span_is_word(struct span span, const char *word)
{
    size_t i = 0;

    for (; i < span.length && word[i] != '\0'; i++) {
        if (span_lower(span.at[i]) != word[i])
            return false;
    }
    return i == span.length && word[i] == '\0';
}

static unsigned digit_of(char c)
{
    if (span_is_digit(c))
        return (unsigned)(c - '0');
    c = span_lower(c);
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a' + DECIMAL);
    return HEXADECIMAL;
}

/* A number at the start of span; *rest is what follows it. */
static bool read_number(struct span span, uint64_t *value, struct span *rest)
{
    unsigned base = DECIMAL;
    size_t i = 0;

    if (span.length > HEXADECIMAL_PREFIX && span.at[0] == '0' && span_lower(span.at[1]) == 'x') {
        base = HEXADECIMAL;
        i = HEXADECIMAL_PREFIX;
    }
    size_t first = i;
    *value = 0;
    for (; i < span.length && digit_of(span.at[i]) < base; i++) {
        unsigned digit = digit_of(span.at[i]);
        if (*value > (UINT64_MAX - digit) / base)
            return false;
        *value = *value * base + digit;
    }
    *rest = span_trim((struct span){span.at + i, span.length - i});
    return i > first;
}

bool span_number(struct span span, uint64_t *value)
{
    struct span rest;

    return read_number(span, value, &rest) && rest.length == 0;
}

bool span_number_with_unit(struct span span, const struct span_unit *units, size_t count,
                           uint64_t *value)
{
    struct span rest;

    if (!read_number(span, value, &rest))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!span_is_word(rest, units[i].word))
            continue;
        if (*value > UINT64_MAX / units[i].factor)
            return false;
        *value *= units[i].factor;
        return true;
    }
    return false;
}

bool span_next_in_list(struct span *list, struct span *item)
{
    size_t comma = 0;

    if (list->at == NULL)
        return false;
    while (comma < list->length && list->at[comma] != ',')
        comma++;
    *item = span_trim((struct span){list->at, comma});
    if (comma < list->length)
        *list = (struct span){list->at + comma + 1, list->length - comma - 1};
    else
        list->at = NULL;
    return true;
}

void span_copy(char *to, struct span span)
{
    for (size_t i = 0; i < span.length; i++)
        to[i] = span.at[i];
    to[span.length] = '\0';
}
