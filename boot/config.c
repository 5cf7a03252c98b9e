/* The configuration file; see config.h. */
#include "boot/config.h"

#include <stdbool.h>

#include "boot/span.h"
#include "boot/text.h"

enum {
    ASCII_FIRST = 0x20, /* printable ASCII */
    ASCII_LAST = 0x7e,
    PORT_MAX = 0xfff8, /* the last I/O port that leaves room for a 16550's eight registers */
    MS_PER_SECOND = 1000,
    TABLE_PAGE = 4096, /* bytes */
    SHOWN_LEN = 40,    /* of the file's text, in messages */
};

enum global_key {
    KEY_ON_EXIT,
    KEY_SERIAL,
    KEY_BAUD,
    KEY_DEBUG_PORT,
    KEY_DISABLE,
    KEY_SELFTEST,
    GLOBAL_KEYS
};

enum guest_key {
    KEY_IMAGE,
    KEY_MEMORY,
    KEY_VCPUS,
    KEY_ARGS,
    KEY_TIME_LIMIT,
    KEY_TABLES,
    GUEST_KEYS
};

static const char *const global_keys[GLOBAL_KEYS] = {
    [KEY_ON_EXIT] = "on_exit",       [KEY_SERIAL] = "serial",   [KEY_BAUD] = "baud",
    [KEY_DEBUG_PORT] = "debug_port", [KEY_DISABLE] = "disable", [KEY_SELFTEST] = "selftest",
};

static const char *const guest_keys[GUEST_KEYS] = {
    [KEY_IMAGE] = "image", [KEY_MEMORY] = "memory",         [KEY_VCPUS] = "vcpus",
    [KEY_ARGS] = "args",   [KEY_TIME_LIMIT] = "time_limit", [KEY_TABLES] = "tables",
};

struct choice {
    const char *word;
    uint32_t value;
};

static const struct choice on_exit_choices[] = {
    {"shutdown", HANDOVER_SHUTDOWN},
    {"reset", HANDOVER_RESET},
    {"halt", HANDOVER_HALT},
};

static const struct choice serial_choices[] = {
    {"com1", 0x3f8}, {"com2", 0x2f8}, {"com3", 0x3e8}, {"com4", 0x2e8}, {"none", 0},
};

static const struct choice disable_choices[] = {
    {"ept-1g", HANDOVER_NO_EPT_1G},
    {"ept-2m", HANDOVER_NO_EPT_2M},
    {"ept-ad", HANDOVER_NO_EPT_AD},
    {"ept-exec-only", HANDOVER_NO_EPT_EXEC_ONLY},
    {"invept-single", HANDOVER_NO_INVEPT_SINGLE},
    {"xsaves", HANDOVER_NO_XSAVES},
    {"timer-save", HANDOVER_NO_PREEMPTION_TIMER_SAVE},
    {"x2apic", HANDOVER_NO_X2APIC},
    {"nx-huge", HANDOVER_NX_HUGE},
    {"ve", HANDOVER_NO_VE},
    {"vmfunc", HANDOVER_NO_VMFUNC},
    {"pml", HANDOVER_NO_PML},
    {"apicv", HANDOVER_NO_APICV},
    {"direct-interrupts", HANDOVER_NO_DIRECT_INTERRUPTS},
    {"tsc-deadline", HANDOVER_NO_TSC_DEADLINE},
    {"pku", HANDOVER_NO_PKU},
    {"pcid", HANDOVER_NO_PCID},
    {"invpcid", HANDOVER_NO_INVPCID},
};

static const struct choice selftest_choices[] = {
    {"none", HANDOVER_SELFTEST_NONE},
    {"exception", HANDOVER_SELFTEST_EXCEPTION},
    {"stack", HANDOVER_SELFTEST_STACK},
    {"entry", HANDOVER_SELFTEST_ENTRY},
    {"silent-cpu", HANDOVER_SELFTEST_SILENT_CPU},
    {"nmi", HANDOVER_SELFTEST_NMI},
};

static const struct span_unit size_units[] = {
    {"", 1ull << 20},    {"k", 1ull << 10}, {"kib", 1ull << 10}, {"m", 1ull << 20},
    {"mib", 1ull << 20}, {"g", 1ull << 30}, {"gib", 1ull << 30},
};

static const struct span_unit time_units[] = {
    {"", MS_PER_SECOND},
    {"s", MS_PER_SECOND},
    {"ms", 1},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct parser {
    struct config *config;
    struct config_guest *guest; /* of the section, NULL before the first */
    struct text error;
    uint32_t line;
    uint32_t seen_global; /* a bit for each key */
    uint32_t seen_guest;
};

/* A piece of the file for a message, cut to a length that leaves room for the rest. */
struct shown {
    char text[SHOWN_LEN + sizeof("...")];
};

static struct shown show(struct span span)
{
    struct shown shown;
    struct text text;
    bool cut = span.length > SHOWN_LEN;

    text_start(&text, shown.text, sizeof(shown.text));
    for (size_t i = 0; i < span.length && i < SHOWN_LEN; i++)
        text_add(&text, "%c", span.at[i]);
    if (cut)
        text_add(&text, "...");
    return shown;
}

static int fail(struct parser *p, uint32_t line, const char *what)
{
    text_add(&p->error, "trapline.conf:%u: %s", line, what);
    return -1;
}

/* "trapline.conf:LINE: WHAT 'TEXT'"; the caller may append what is allowed. */
static int fail_at(struct parser *p, const char *what, struct span span)
{
    text_add(&p->error, "trapline.conf:%u: %s '%s'", p->line, what, show(span).text);
    return -1;
}

static int fail_choice(struct parser *p, const char *what, struct span span,
                       const struct choice *choices, size_t count, const char *more)
{
    fail_at(p, what, span);
    text_add(&p->error, " (allowed: ");
    for (size_t i = 0; i < count; i++)
        text_add(&p->error, "%s%s", i > 0 ? ", " : "", choices[i].word);
    text_add(&p->error, "%s)", more);
    return -1;
}

static int fail_keys(struct parser *p, const char *what, struct span span, const char *const *keys,
                     size_t count)
{
    fail_at(p, what, span);
    text_add(&p->error, " (allowed: ");
    for (size_t i = 0; i < count; i++)
        text_add(&p->error, "%s%s", i > 0 ? ", " : "", keys[i]);
    text_add(&p->error, ")");
    return -1;
}

static const struct choice *find_choice(struct span span, const struct choice *choices,
                                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_is_word(span, choices[i].word))
            return &choices[i];
    }
    return NULL;
}

static int set_serial(struct parser *p, struct span value)
{
    const struct choice *choice = find_choice(value, serial_choices, COUNT(serial_choices));
    uint64_t port;

    if (choice != NULL) {
        p->config->serial_port = choice->value;
        return 0;
    }
    if (!span_number(value, &port) || port == 0 || port > PORT_MAX)
        return fail_choice(p, "bad serial port", value, serial_choices, COUNT(serial_choices),
                           ", an I/O port such as 0x3f8");
    p->config->serial_port = (uint32_t)port;
    return 0;
}

static int set_baud(struct parser *p, struct span value)
{
    uint64_t baud;

    if (!span_number(value, &baud) || baud == 0 || CONFIG_DEFAULT_BAUD % baud != 0 ||
        CONFIG_DEFAULT_BAUD / baud > UINT16_MAX) {
        fail_at(p, "bad baud rate", value);
        text_add(&p->error, " (allowed: what divides 115200, such as 9600, 38400, 115200)");
        return -1;
    }
    p->config->serial_baud = (uint32_t)baud;
    return 0;
}

static int set_debug_port(struct parser *p, struct span value)
{
    uint64_t port;

    if (span_is_word(value, "none")) {
        p->config->debug_port = 0;
        return 0;
    }
    if (!span_number(value, &port) || port != CONFIG_DEBUG_PORT) {
        fail_at(p, "bad debug_port", value);
        text_add(&p->error, " (allowed: 0xe9, none)");
        return -1;
    }
    p->config->debug_port = CONFIG_DEBUG_PORT;
    return 0;
}

static int set_disable(struct parser *p, struct span value)
{
    while (value.length > 0) {
        size_t comma = 0;
        while (comma < value.length && value.at[comma] != ',')
            comma++;
        struct span word = span_trim((struct span){value.at, comma});
        const struct choice *choice = find_choice(word, disable_choices, COUNT(disable_choices));
        if (choice == NULL)
            return fail_choice(p, "unknown feature to disable", word, disable_choices,
                               COUNT(disable_choices), "");
        p->config->disable |= choice->value;
        if (comma == value.length)
            break;
        value.at += comma + 1;
        value.length -= comma + 1;
        if (value.length == 0)
            return fail(p, p->line, "disable ends with a comma");
    }
    return 0;
}

static int set_global(struct parser *p, enum global_key key, struct span value)
{
    const struct choice *choice;

    switch (key) {
    case KEY_ON_EXIT:
        choice = find_choice(value, on_exit_choices, COUNT(on_exit_choices));
        if (choice == NULL)
            return fail_choice(p, "bad on_exit", value, on_exit_choices, COUNT(on_exit_choices),
                               "");
        p->config->on_exit = choice->value;
        return 0;
    case KEY_SERIAL: return set_serial(p, value);
    case KEY_BAUD: return set_baud(p, value);
    case KEY_DEBUG_PORT: return set_debug_port(p, value);
    case KEY_DISABLE: return set_disable(p, value);
    case KEY_SELFTEST:
        choice = find_choice(value, selftest_choices, COUNT(selftest_choices));
        if (choice == NULL)
            return fail_choice(p, "bad selftest", value, selftest_choices, COUNT(selftest_choices),
                               "");
        p->config->selftest = choice->value;
        return 0;
    case GLOBAL_KEYS: break;
    }
    return -1;
}

static int set_image(struct parser *p, struct span value)
{
    char *path = p->guest->image;
    size_t start = value.at[0] == '/' || value.at[0] == '\\' ? 1 : 0;

    if (value.length == start)
        return fail(p, p->line, "image names no file");
    if (value.length - start + 1 >= CONFIG_PATH_LEN)
        return fail(p, p->line, "image path too long (allowed: 126 characters)");
    path[0] = '\\';
    span_copy(path + 1, (struct span){value.at + start, value.length - start});
    for (char *c = path; *c != '\0'; c++) {
        if (*c == '/')
            *c = '\\';
    }
    return 0;
}

static int set_memory(struct parser *p, struct span value)
{
    uint64_t bytes;

    if (!span_number_with_unit(value, size_units, COUNT(size_units), &bytes) ||
        bytes % CONFIG_MEMORY_UNIT != 0 || bytes < CONFIG_MEMORY_MIN || bytes > CONFIG_MEMORY_MAX) {
        fail_at(p, "bad memory size", value);
        text_add(&p->error, " (allowed: a multiple of 2M from 8M on, with K, M or G; a plain number"
                            " is MiB)");
        return -1;
    }
    p->guest->memory = bytes;
    return 0;
}

static int set_vcpus(struct parser *p, struct span value)
{
    uint64_t count;

    if (!span_number(value, &count) || count == 0 || count > CONFIG_MAX_VCPUS) {
        fail_at(p, "bad number of vcpus", value);
        text_add(&p->error, " (allowed: 1 to %u)", (unsigned)CONFIG_MAX_VCPUS);
        return -1;
    }
    p->guest->vcpus = (uint32_t)count;
    return 0;
}

static int set_args(struct parser *p, struct span value)
{
    if (value.length >= HANDOVER_ARGS_LEN)
        return fail(p, p->line, "args too long (allowed: 255 characters)");
    span_copy(p->guest->args, value);
    return 0;
}

static int set_time_limit(struct parser *p, struct span value)
{
    if (!span_number_with_unit(value, time_units, COUNT(time_units), &p->guest->time_limit_ms)) {
        fail_at(p, "bad time_limit", value);
        text_add(&p->error, " (allowed: seconds, or with ms or s; 0 = none)");
        return -1;
    }
    return 0;
}

static int set_tables(struct parser *p, struct span value)
{
    uint64_t bytes;

    if (!span_number_with_unit(value, size_units, COUNT(size_units), &bytes) ||
        bytes % TABLE_PAGE != 0 || bytes > CONFIG_MEMORY_MAX) {
        fail_at(p, "bad size of tables", value);
        text_add(&p->error, " (allowed: a multiple of 4K, with K, M or G; a plain number is MiB;"
                            " 0 = by the memory's size)");
        return -1;
    }
    p->guest->tables = bytes;
    return 0;
}

static int set_guest(struct parser *p, enum guest_key key, struct span value)
{
    switch (key) {
    case KEY_IMAGE: return set_image(p, value);
    case KEY_MEMORY: return set_memory(p, value);
    case KEY_VCPUS: return set_vcpus(p, value);
    case KEY_ARGS: return set_args(p, value);
    case KEY_TIME_LIMIT: return set_time_limit(p, value);
    case KEY_TABLES: return set_tables(p, value);
    case GUEST_KEYS: break;
    }
    return -1;
}

static size_t find_key(struct span key, const char *const *keys, size_t count)
{
    size_t i = 0;

    while (i < count && !span_is_word(key, keys[i]))
        i++;
    return i;
}

/* Take a value's quotes or its comment off. */
static int clean_value(struct parser *p, struct span *value)
{
    bool quoted = value->length > 0 && value->at[0] == '"';

    if (quoted) {
        size_t end = 1;
        while (end < value->length && value->at[end] != '"')
            end++;
        if (end == value->length)
            return fail(p, p->line, "a quoted value lacks its closing quote");
        struct span after = span_trim((struct span){value->at + end + 1, value->length - end - 1});
        if (after.length > 0 && after.at[0] != '#')
            return fail_at(p, "text after the closing quote:", after);
        value->at++;
        value->length = end - 1;
        return 0;
    }
    for (size_t i = 0; i < value->length; i++) {
        if (value->at[i] == '#' && (i == 0 || span_is_space(value->at[i - 1])))
            value->length = i;
    }
    *value = span_trim(*value);
    return 0;
}

static int parse_assignment(struct parser *p, struct span line)
{
    size_t equals = 0;

    while (equals < line.length && line.at[equals] != '=')
        equals++;
    if (equals == line.length)
        return fail_at(p, "neither 'key = value' nor '[guest NAME]':", line);
    struct span key = span_trim((struct span){line.at, equals});
    struct span value = span_trim((struct span){line.at + equals + 1, line.length - equals - 1});
    if (clean_value(p, &value) != 0)
        return -1;

    bool in_guest = p->guest != NULL;
    const char *const *keys = in_guest ? guest_keys : global_keys;
    size_t count = in_guest ? (size_t)GUEST_KEYS : (size_t)GLOBAL_KEYS;
    uint32_t *seen = in_guest ? &p->seen_guest : &p->seen_global;
    size_t index = find_key(key, keys, count);
    if (index == count) {
        if (in_guest && find_key(key, global_keys, GLOBAL_KEYS) < GLOBAL_KEYS)
            return fail_at(p, "must come before the first [guest NAME]:", key);
        if (!in_guest && find_key(key, guest_keys, GUEST_KEYS) < GUEST_KEYS)
            return fail_at(p, "must come after a [guest NAME]:", key);
        return fail_keys(p, in_guest ? "unknown key of a guest" : "unknown key", key, keys, count);
    }
    if (*seen & (1u << index))
        return fail_at(p, "a second", key);
    *seen |= 1u << index;
    bool may_be_empty = in_guest && index == KEY_ARGS;
    if (value.length == 0 && !may_be_empty)
        return fail_at(p, "no value for", key);
    return in_guest ? set_guest(p, (enum guest_key)index, value)
                    : set_global(p, (enum global_key)index, value);
}

static bool is_name_char(char c)
{
    return span_is_digit(c) || (span_lower(c) >= 'a' && span_lower(c) <= 'z') || c == '-' ||
           c == '_' || c == '.';
}

static int finish_guest(struct parser *p)
{
    if (p->guest != NULL && !(p->seen_guest & (1u << KEY_IMAGE))) {
        text_add(&p->error, "trapline.conf:%u: guest '%s' has no image (needed: image = PATH)",
                 p->guest->line, p->guest->name);
        return -1;
    }
    return 0;
}

static int start_guest(struct parser *p, struct span name)
{
    if (finish_guest(p) != 0)
        return -1;
    if (name.length == 0)
        return fail(p, p->line, "a guest without a name (allowed: [guest NAME])");
    if (name.length >= HANDOVER_NAME_LEN)
        return fail_at(p, "name too long (allowed: 31 characters):", name);
    for (size_t i = 0; i < name.length; i++) {
        if (!is_name_char(name.at[i]))
            return fail_at(p, "bad name (allowed: letters, digits, '-', '_', '.'):", name);
    }
    if (p->config->guest_count == HANDOVER_MAX_GUESTS) {
        fail(p, p->line, "too many guests");
        text_add(&p->error, " (allowed: %u)", (unsigned)HANDOVER_MAX_GUESTS);
        return -1;
    }
    struct config_guest *guest = &p->config->guests[p->config->guest_count];
    span_copy(guest->name, name);
    for (uint32_t i = 0; i < p->config->guest_count; i++) {
        const struct config_guest *other = &p->config->guests[i];
        size_t at = 0;
        while (other->name[at] != '\0' && other->name[at] == guest->name[at])
            at++;
        if (other->name[at] == guest->name[at]) {
            fail_at(p, "a second guest", name);
            text_add(&p->error, " (the first is in line %u)", other->line);
            return -1;
        }
    }
    guest->memory = CONFIG_MEMORY_DEFAULT;
    guest->vcpus = 1;
    guest->line = p->line;
    p->config->guest_count++;
    p->guest = guest;
    p->seen_guest = 0;
    return 0;
}

static int parse_section(struct parser *p, struct span line)
{
    static const char word[] = "guest";
    size_t end = 0;

    while (end < line.length && line.at[end] != ']')
        end++;
    if (end == line.length)
        return fail_at(p, "a section's heading lacks its ']':", line);
    struct span after = span_trim((struct span){line.at + end + 1, line.length - end - 1});
    if (after.length > 0 && after.at[0] != '#')
        return fail_at(p, "text after the section's heading:", after);
    struct span inner = span_trim((struct span){line.at + 1, end - 1});
    size_t length = 0;
    while (length < inner.length && !span_is_space(inner.at[length]))
        length++;
    if (!span_is_word((struct span){inner.at, length}, word)) {
        fail_at(p, "unknown section", inner);
        text_add(&p->error, " (allowed: [guest NAME])");
        return -1;
    }
    return start_guest(p, span_trim((struct span){inner.at + length, inner.length - length}));
}

static int parse_line(struct parser *p, struct span line)
{
    if (line.length > 0 && line.at[line.length - 1] == '\r')
        line.length--;
    for (size_t i = 0; i < line.length; i++) {
        char c = line.at[i];
        if (!span_is_space(c) && (c < ASCII_FIRST || c > ASCII_LAST)) {
            text_add(&p->error,
                     "trapline.conf:%u: column %lu holds byte 0x%x (allowed: ASCII text)", p->line,
                     (unsigned long)i + 1, (unsigned)(unsigned char)c);
            return -1;
        }
    }
    line = span_trim(line);
    if (line.length == 0 || line.at[0] == '#')
        return 0;
    return line.at[0] == '[' ? parse_section(p, line) : parse_assignment(p, line);
}

int config_parse(const char *data, size_t size, struct config *config, char *error)
{
    static const char byte_order_mark[3] = {'\xef', '\xbb', '\xbf'};
    struct parser p = {.config = config};
    size_t at = 0;

    text_start(&p.error, error, CONFIG_ERROR_LEN);
    *config = (struct config){
        .on_exit = HANDOVER_SHUTDOWN,
        .serial_port = serial_choices[0].value,
        .serial_baud = CONFIG_DEFAULT_BAUD,
        .debug_port = CONFIG_DEBUG_PORT_AUTO,
    };
    while (at < sizeof(byte_order_mark) && at < size && data[at] == byte_order_mark[at])
        at++;
    if (at < sizeof(byte_order_mark))
        at = 0;
    while (at < size) {
        size_t end = at;
        while (end < size && data[end] != '\n')
            end++;
        p.line++;
        if (parse_line(&p, (struct span){data + at, end - at}) != 0)
            return -1;
        at = end + 1;
    }
    if (finish_guest(&p) != 0)
        return -1;
    if (config->guest_count == 0)
        return fail(&p, p.line > 0 ? p.line : 1, "no guest (needed: a section [guest NAME])");
    return 0;
}
