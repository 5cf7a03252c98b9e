/* The configuration file; see config.h. */
#include "boot/config.h"

#include <stdbool.h>

#include "boot/config_parser.h"

enum {
    ASCII_FIRST = 0x20, /* printable ASCII */
    ASCII_LAST = 0x7e,
    PORT_MAX = 0xfff8, /* the last I/O port that leaves room for a 16550's eight registers */
    SHOWN_LEN = 40,    /* of the file's text, in messages */
};

enum global_key {
    KEY_ON_EXIT,
    KEY_SERIAL,
    KEY_BAUD,
    KEY_DEBUG_PORT,
    KEY_DISABLE,
    KEY_SELFTEST,
    KEY_MEASURE,
    GLOBAL_KEYS
};

static const char *const global_keys[GLOBAL_KEYS] = {
    [KEY_ON_EXIT] = "on_exit",       [KEY_SERIAL] = "serial",   [KEY_BAUD] = "baud",
    [KEY_DEBUG_PORT] = "debug_port", [KEY_DISABLE] = "disable", [KEY_SELFTEST] = "selftest",
    [KEY_MEASURE] = "measure",
};

static const struct config_choice on_exit_choices[] = {
    {"shutdown", HANDOVER_SHUTDOWN},
    {"reset", HANDOVER_RESET},
    {"halt", HANDOVER_HALT},
};

static const struct config_choice serial_choices[] = {
    {"com1", 0x3f8}, {"com2", 0x2f8}, {"com3", 0x3e8}, {"com4", 0x2e8}, {"none", 0},
};

static const struct config_choice disable_choices[] = {
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

static const struct config_choice selftest_choices[] = {
    {"none", HANDOVER_SELFTEST_NONE},
    {"exception", HANDOVER_SELFTEST_EXCEPTION},
    {"stack", HANDOVER_SELFTEST_STACK},
    {"entry", HANDOVER_SELFTEST_ENTRY},
    {"silent-cpu", HANDOVER_SELFTEST_SILENT_CPU},
    {"nmi", HANDOVER_SELFTEST_NMI},
};

static const struct config_choice measure_choices[] = {
    {"none", HANDOVER_MEASURE_NONE},
    {"costs", HANDOVER_MEASURE_COSTS},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

int config_fail(struct config_parser *p, uint32_t line, const char *what)
{
    text_add(&p->error, "trapline.conf:%u: %s", line, what);
    return -1;
}

int config_fail_at(struct config_parser *p, const char *what, struct span span)
{
    text_add(&p->error, "trapline.conf:%u: %s '%s'", p->line, what, show(span).text);
    return -1;
}

int config_fail_choice(struct config_parser *p, const char *what, struct span span,
                       const struct config_choice *choices, size_t count, const char *more)
{
    config_fail_at(p, what, span);
    text_add(&p->error, " (allowed: ");
    for (size_t i = 0; i < count; i++)
        text_add(&p->error, "%s%s", i > 0 ? ", " : "", choices[i].word);
    text_add(&p->error, "%s)", more);
    return -1;
}

static int fail_keys(struct config_parser *p, const char *what, struct span span,
                     const char *const *keys, size_t count)
{
    config_fail_at(p, what, span);
    text_add(&p->error, " (allowed: ");
    for (size_t i = 0; i < count; i++)
        text_add(&p->error, "%s%s", i > 0 ? ", " : "", keys[i]);
    text_add(&p->error, ")");
    return -1;
}

const struct config_choice *config_find_choice(struct span span,
                                               const struct config_choice *choices, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_is_word(span, choices[i].word))
            return &choices[i];
    }
    return NULL;
}

static int set_serial(struct config_parser *p, struct span value)
{
    const struct config_choice *choice =
        config_find_choice(value, serial_choices, COUNT(serial_choices));
    uint64_t port;

    if (choice != NULL) {
        p->config->serial_port = choice->value;
        return 0;
    }
    if (!span_number(value, &port) || port == 0 || port > PORT_MAX)
        return config_fail_choice(p, "bad serial port", value, serial_choices,
                                  COUNT(serial_choices), ", an I/O port such as 0x3f8");
    p->config->serial_port = (uint32_t)port;
    return 0;
}

static int set_baud(struct config_parser *p, struct span value)
{
    uint64_t baud;

    if (!span_number(value, &baud) || baud == 0 || CONFIG_DEFAULT_BAUD % baud != 0 ||
        CONFIG_DEFAULT_BAUD / baud > UINT16_MAX) {
        config_fail_at(p, "bad baud rate", value);
        text_add(&p->error, " (allowed: what divides 115200, such as 9600, 38400, 115200)");
        return -1;
    }
    p->config->serial_baud = (uint32_t)baud;
    return 0;
}

static int set_debug_port(struct config_parser *p, struct span value)
{
    uint64_t port;

    if (span_is_word(value, "none")) {
        p->config->debug_port = 0;
        return 0;
    }
    if (!span_number(value, &port) || port != CONFIG_DEBUG_PORT) {
        config_fail_at(p, "bad debug_port", value);
        text_add(&p->error, " (allowed: 0xe9, none)");
        return -1;
    }
    p->config->debug_port = CONFIG_DEBUG_PORT;
    return 0;
}

static int set_disable(struct config_parser *p, struct span value)
{
    struct span word;

    while (span_next_in_list(&value, &word)) {
        const struct config_choice *choice =
            config_find_choice(word, disable_choices, COUNT(disable_choices));
        if (choice == NULL)
            return config_fail_choice(p, "unknown feature to disable", word, disable_choices,
                                      COUNT(disable_choices), "");
        p->config->disable |= choice->value;
    }
    return 0;
}

/* A key whose value is one of a few words. bad: what to say of another one. */
static int set_choice(struct config_parser *p, const char *bad, struct span value,
                      const struct config_choice *choices, size_t count, uint32_t *to)
{
    const struct config_choice *choice = config_find_choice(value, choices, count);

    if (choice == NULL)
        return config_fail_choice(p, bad, value, choices, count, "");
    *to = choice->value;
    return 0;
}

static int set_global(struct config_parser *p, enum global_key key, struct span value)
{
    switch (key) {
    case KEY_ON_EXIT:
        return set_choice(p, "bad on_exit", value, on_exit_choices, COUNT(on_exit_choices),
                          &p->config->on_exit);
    case KEY_SERIAL: return set_serial(p, value);
    case KEY_BAUD: return set_baud(p, value);
    case KEY_DEBUG_PORT: return set_debug_port(p, value);
    case KEY_DISABLE: return set_disable(p, value);
    case KEY_SELFTEST:
        return set_choice(p, "bad selftest", value, selftest_choices, COUNT(selftest_choices),
                          &p->config->selftest);
    case KEY_MEASURE:
        return set_choice(p, "bad measure", value, measure_choices, COUNT(measure_choices),
                          &p->config->measure);
    case GLOBAL_KEYS: break;
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
static int clean_value(struct config_parser *p, struct span *value)
{
    bool quoted = value->length > 0 && value->at[0] == '"';

    if (quoted) {
        size_t end = 1;
        while (end < value->length && value->at[end] != '"')
            end++;
        if (end == value->length)
            return config_fail(p, p->line, "a quoted value lacks its closing quote");
        struct span after = span_trim((struct span){value->at + end + 1, value->length - end - 1});
        if (after.length > 0 && after.at[0] != '#')
            return config_fail_at(p, "text after the closing quote:", after);
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

static int parse_assignment(struct config_parser *p, struct span line)
{
    size_t equals = 0;

    while (equals < line.length && line.at[equals] != '=')
        equals++;
    if (equals == line.length)
        return config_fail_at(p, "neither 'key = value' nor '[guest NAME]':", line);
    struct span key = span_trim((struct span){line.at, equals});
    struct span value = span_trim((struct span){line.at + equals + 1, line.length - equals - 1});
    if (clean_value(p, &value) != 0)
        return -1;

    bool in_guest = p->guest != NULL;
    const char *const *keys = in_guest ? config_guest_keys : global_keys;
    size_t count = in_guest ? (size_t)GUEST_KEYS : (size_t)GLOBAL_KEYS;
    uint32_t *seen = in_guest ? &p->seen_guest : &p->seen_global;
    size_t index = find_key(key, keys, count);
    if (index == count) {
        if (in_guest && find_key(key, global_keys, GLOBAL_KEYS) < GLOBAL_KEYS)
            return config_fail_at(p, "must come before the first [guest NAME]:", key);
        if (!in_guest && find_key(key, config_guest_keys, GUEST_KEYS) < GUEST_KEYS)
            return config_fail_at(p, "must come after a [guest NAME]:", key);
        return fail_keys(p, in_guest ? "unknown key of a guest" : "unknown key", key, keys, count);
    }
    if (*seen & (1u << index))
        return config_fail_at(p, "a second", key);
    *seen |= 1u << index;
    bool may_be_empty = in_guest && index == KEY_ARGS;
    if (value.length == 0 && !may_be_empty)
        return config_fail_at(p, "no value for", key);
    return in_guest ? config_set_guest(p, (enum config_guest_key)index, value)
                    : set_global(p, (enum global_key)index, value);
}

static int parse_section(struct config_parser *p, struct span line)
{
    static const char word[] = "guest";
    size_t end = 0;

    while (end < line.length && line.at[end] != ']')
        end++;
    if (end == line.length)
        return config_fail_at(p, "a section's heading lacks its ']':", line);
    struct span after = span_trim((struct span){line.at + end + 1, line.length - end - 1});
    if (after.length > 0 && after.at[0] != '#')
        return config_fail_at(p, "text after the section's heading:", after);
    struct span inner = span_trim((struct span){line.at + 1, end - 1});
    size_t length = 0;
    while (length < inner.length && !span_is_space(inner.at[length]))
        length++;
    if (!span_is_word((struct span){inner.at, length}, word)) {
        config_fail_at(p, "unknown section", inner);
        text_add(&p->error, " (allowed: [guest NAME])");
        return -1;
    }
    return config_start_guest(p,
                              span_trim((struct span){inner.at + length, inner.length - length}));
}

static int parse_line(struct config_parser *p, struct span line)
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
    struct config_parser p = {.config = config};
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
    if (config_finish_guest(&p) != 0)
        return -1;
    if (config->guest_count == 0)
        return config_fail(&p, p.line > 0 ? p.line : 1,
                           "no guest (needed: a section [guest NAME])");
    return 0;
}
