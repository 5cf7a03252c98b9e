/* Numbers from text. */
#include <limits.h>
#include <stdbool.h>

#include <trapline/string.h>

struct number {
    unsigned long magnitude; /* ULONG_MAX when too large */
    bool too_large;
    bool negative;
};

/* The value of c as a digit, or a large number. */
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A') + 10;
    return UINT_MAX;
}

static struct number parse(const char *text, char **end, int base)
{
    struct number number = {0, false, false};
    const char *p = text;
    bool any = false;

    while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
        p++;
    if (*p == '+' || *p == '-')
        number.negative = *p++ == '-';
    if ((base == 0 || base == 16) && p[0] == '0' && (p[1] == 'x' || p[1] == 'X') &&
        digit_value(p[2]) < 16) {
        p += 2;
        base = 16;
    }
    if (base == 0)
        base = *p == '0' ? 8 : 10;

    for (; digit_value(*p) < (unsigned)base; p++) {
        const unsigned digit = digit_value(*p);

        any = true;
        if (number.magnitude > (ULONG_MAX - digit) / (unsigned)base)
            number.too_large = true;
        else
            number.magnitude = number.magnitude * (unsigned)base + digit;
    }
    if (number.too_large)
        number.magnitude = ULONG_MAX;
    if (end)
        *end = (char *)(any ? p : text);
    return number;
}

unsigned long strtoul(const char *restrict text, char **restrict end, int base)
{
    const struct number number = parse(text, end, base);

    return number.negative && !number.too_large ? -number.magnitude : number.magnitude;
}

long strtol(const char *restrict text, char **restrict end, int base)
{
    const struct number number = parse(text, end, base);

    if (number.negative)
        return number.magnitude > LONG_MAX ? LONG_MIN : -(long)number.magnitude;
    return number.magnitude > LONG_MAX ? LONG_MAX : (long)number.magnitude;
}

int atoi(const char *text)
{
    return (int)strtol(text, NULL, 10);
}
