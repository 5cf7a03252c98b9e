#include "guest/common/options.h"

#include <trapline/region.h>
#include <trapline/stdio.h>
#include <trapline/string.h>

static void show_values(const struct option *option)
{
    switch (option->kind) {
    case OPTION_FLAG: break;
    case OPTION_NUMBER:
        printf("=%llu..%llu", (unsigned long long)option->least, (unsigned long long)option->most);
        break;
    case OPTION_CHOICE:
        for (const char *const *choice = option->choices; *choice; choice++)
            printf("%c%s", choice == option->choices ? '=' : '|', *choice);
        break;
    case OPTION_MECHANISM:
        for (unsigned i = 0; i < REGION_MECHANISMS; i++)
            printf("%c%s", i ? '|' : '=', region_mechanism_name((enum region_mechanism)i));
        break;
    }
}

static void show_all(const char *program, const struct option *options, size_t count)
{
    printf("%s: the options are\n", program);
    for (size_t i = 0; i < count; i++) {
        printf("  %s", options[i].name);
        show_values(&options[i]);
        printf(": %s\n", options[i].help);
    }
}

static bool read_number(const struct option *option, const char *text)
{
    char *end;
    uint64_t value = strtoul(text, &end, 0);
    unsigned shift = 0;

    if (end == text || *text == '-')
        return false;
    switch (*end) {
    case 'G': shift += 10; __attribute__((fallthrough));
    case 'M': shift += 10; __attribute__((fallthrough));
    case 'K':
        shift += 10;
        end++;
        break;
    default: break;
    }
    if (*end != '\0' || value > UINT64_MAX >> shift)
        return false;
    value <<= shift;
    if (value < option->least || value > option->most)
        return false;
    *(uint64_t *)option->value = value;
    return true;
}

static bool read_choice(const struct option *option, const char *text)
{
    for (unsigned i = 0; option->choices[i]; i++) {
        if (strcmp(text, option->choices[i]) == 0) {
            *(unsigned *)option->value = i;
            return true;
        }
    }
    return false;
}

static bool read_mechanism(const struct option *option, const char *text)
{
    for (unsigned i = 0; i < REGION_MECHANISMS; i++) {
        if (strcmp(text, region_mechanism_name((enum region_mechanism)i)) == 0) {
            *(enum region_mechanism *)option->value = (enum region_mechanism)i;
            return true;
        }
    }
    return false;
}

/* value: what follows the name's "=", NULL without one. */
static bool read_value(const struct option *option, const char *value)
{
    if (option->kind == OPTION_FLAG) {
        if (!value)
            *(bool *)option->value = true;
        return !value;
    }
    if (!value)
        return false;
    switch (option->kind) {
    case OPTION_NUMBER: return read_number(option, value);
    case OPTION_CHOICE: return read_choice(option, value);
    default: return read_mechanism(option, value);
    }
}

static bool read_one(const char *program, const char *argument, const struct option *options,
                     size_t count)
{
    const char *const name = strncmp(argument, "--", 2) == 0 ? argument + 2 : argument;
    const char *const equals = strchr(name, '=');
    const size_t length = equals ? (size_t)(equals - name) : strlen(name);

    for (size_t i = 0; i < count; i++) {
        if (strncmp(options[i].name, name, length) != 0 || options[i].name[length] != '\0')
            continue;
        if (read_value(&options[i], equals ? equals + 1 : NULL))
            return true;
        printf("%s: \"%s\" is wrong; the option is %s", program, argument, options[i].name);
        show_values(&options[i]);
        printf(": %s\n", options[i].help);
        return false;
    }
    if (length != strlen("help") || strncmp(name, "help", length) != 0)
        printf("%s: unknown argument \"%s\"\n", program, argument);
    show_all(program, options, count);
    return false;
}

bool options_read(const char *program, int argc, char **argv, const struct option *options,
                  size_t count)
{
    for (int i = 1; i < argc; i++) {
        if (!read_one(program, argv[i], options, count))
            return false;
    }
    return true;
}
