/* The guests' sections of the configuration file; see config_parser.h. */
#include <stdbool.h>

#include "boot/config_parser.h"

enum {
    MS_PER_SECOND = 1000,
    TABLE_PAGE = 4096, /* bytes */
    DECIMAL = 10,
};

const char *const config_guest_keys[GUEST_KEYS] = {
    [KEY_IMAGE] = "image",   [KEY_MEMORY] = "memory",
    [KEY_VCPUS] = "vcpus",   [KEY_CPUS] = "cpus",
    [KEY_ARGS] = "args",     [KEY_TIME_LIMIT] = "time_limit",
    [KEY_TABLES] = "tables", [KEY_INTERRUPTS] = "interrupts",
    [KEY_DISK] = "disk",     [KEY_REPEAT] = "repeat",
    [KEY_COPIES] = "copies",
};

static const struct config_choice interrupts_choices[] = {
    {"auto", HANDOVER_INTERRUPTS_AUTO},
    {"direct", HANDOVER_INTERRUPTS_DIRECT},
    {"virtual", HANDOVER_INTERRUPTS_VIRTUAL},
};

static const struct config_choice disk_choices[] = {
    {"none", HANDOVER_DISK_NONE},
    {"ata0", HANDOVER_DISK_ATA0},
    {"ata1", HANDOVER_DISK_ATA1},
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

static int set_image(struct config_parser *p, struct span value)
{
    char *path = p->guest->image;
    size_t start = value.at[0] == '/' || value.at[0] == '\\' ? 1 : 0;

    if (value.length == start)
        return config_fail(p, p->line, "image names no file");
    if (value.length - start + 1 >= CONFIG_PATH_LEN)
        return config_fail(p, p->line, "image path too long (allowed: 126 characters)");
    path[0] = '\\';
    span_copy(path + 1, (struct span){value.at + start, value.length - start});
    for (char *c = path; *c != '\0'; c++) {
        if (*c == '/')
            *c = '\\';
    }
    return 0;
}

static int set_memory(struct config_parser *p, struct span value)
{
    uint64_t bytes;

    if (!span_number_with_unit(value, size_units, COUNT(size_units), &bytes) ||
        bytes % CONFIG_MEMORY_UNIT != 0 || bytes < CONFIG_MEMORY_MIN || bytes > CONFIG_MEMORY_MAX) {
        config_fail_at(p, "bad memory size", value);
        text_add(&p->error, " (allowed: a multiple of 2M from 8M on, with K, M or G; a plain number"
                            " is MiB)");
        return -1;
    }
    p->guest->memory = bytes;
    return 0;
}

static int set_args(struct config_parser *p, struct span value)
{
    if (value.length >= HANDOVER_ARGS_LEN)
        return config_fail(p, p->line, "args too long (allowed: 255 characters)");
    span_copy(p->guest->args, value);
    return 0;
}

static int set_time_limit(struct config_parser *p, struct span value)
{
    if (!span_number_with_unit(value, time_units, COUNT(time_units), &p->guest->time_limit_ms)) {
        config_fail_at(p, "bad time_limit", value);
        text_add(&p->error, " (allowed: seconds, or with ms or s; 0 = none)");
        return -1;
    }
    return 0;
}

static int set_tables(struct config_parser *p, struct span value)
{
    uint64_t bytes;

    if (!span_number_with_unit(value, size_units, COUNT(size_units), &bytes) ||
        bytes % TABLE_PAGE != 0 || bytes > CONFIG_MEMORY_MAX) {
        config_fail_at(p, "bad size of tables", value);
        text_add(&p->error, " (allowed: a multiple of 4K, with K, M or G; a plain number is MiB;"
                            " 0 = by the memory's size)");
        return -1;
    }
    p->guest->tables = bytes;
    return 0;
}

static int set_cpus(struct config_parser *p, struct span value)
{
    struct config_guest *guest = p->guest;
    struct span item;
    uint64_t cpu;

    while (span_next_in_list(&value, &item)) {
        if (!span_number(item, &cpu) || cpu >= HANDOVER_MAX_CPUS) {
            config_fail_at(p, "bad CPU", item);
            text_add(&p->error, " (allowed: numbers from 0 to %u, separated by commas)",
                     HANDOVER_MAX_CPUS - 1u);
            return -1;
        }
        if (guest->cpu_count == HANDOVER_MAX_VCPUS) {
            config_fail(p, p->line, "too many CPUs");
            text_add(&p->error, " (allowed: %u)", (unsigned)HANDOVER_MAX_VCPUS);
            return -1;
        }
        guest->cpus[guest->cpu_count++] = (uint16_t)cpu;
    }
    return 0;
}

static int set_interrupts(struct config_parser *p, struct span value)
{
    const struct config_choice *choice =
        config_find_choice(value, interrupts_choices, COUNT(interrupts_choices));

    if (choice == NULL)
        return config_fail_choice(p, "bad interrupts", value, interrupts_choices,
                                  COUNT(interrupts_choices), "");
    p->guest->interrupts = choice->value;
    return 0;
}

/* A disk is for one guest alone: nothing keeps two of them from each other's commands. */
static int set_disk(struct config_parser *p, struct span value)
{
    const struct config_choice *choice =
        config_find_choice(value, disk_choices, COUNT(disk_choices));

    if (choice == NULL)
        return config_fail_choice(p, "bad disk", value, disk_choices, COUNT(disk_choices), "");
    p->guest->disk = choice->value;
    for (const struct config_guest *other = p->config->guests;
         choice->value != HANDOVER_DISK_NONE && other < p->guest; other++) {
        if (other->disk == choice->value) {
            text_add(&p->error, "trapline.conf:%u: disk %s is that of guest '%s' (line %u) already",
                     p->line, choice->word, other->name, other->line);
            return -1;
        }
    }
    return 0;
}

/* A whole number from 1 to most. */
static int set_count(struct config_parser *p, const char *what, struct span value, uint32_t most,
                     uint32_t *count)
{
    uint64_t number;

    if (!span_number(value, &number) || number == 0 || number > most) {
        config_fail_at(p, what, value);
        text_add(&p->error, " (allowed: 1 to %u)", (unsigned)most);
        return -1;
    }
    *count = (uint32_t)number;
    return 0;
}

int config_set_guest(struct config_parser *p, enum config_guest_key key, struct span value)
{
    switch (key) {
    case KEY_IMAGE: return set_image(p, value);
    case KEY_MEMORY: return set_memory(p, value);
    case KEY_VCPUS:
        return set_count(p, "bad number of vcpus", value, HANDOVER_MAX_VCPUS, &p->guest->vcpus);
    case KEY_CPUS: return set_cpus(p, value);
    case KEY_ARGS: return set_args(p, value);
    case KEY_TIME_LIMIT: return set_time_limit(p, value);
    case KEY_TABLES: return set_tables(p, value);
    case KEY_INTERRUPTS: return set_interrupts(p, value);
    case KEY_DISK: return set_disk(p, value);
    case KEY_REPEAT: return set_count(p, "bad repeat", value, CONFIG_MAX_REPEAT, &p->guest->repeat);
    case KEY_COPIES:
        return set_count(p, "bad number of copies", value, HANDOVER_MAX_GUESTS, &p->copies);
    case GUEST_KEYS: break;
    }
    return -1;
}

static bool is_name_char(char c)
{
    return span_is_digit(c) || (span_lower(c) >= 'a' && span_lower(c) <= 'z') || c == '-' ||
           c == '_' || c == '.';
}

static bool names_differ(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a != *b;
}

/* No guest before this one has its name; line: for the message. */
static int check_name(struct config_parser *p, const struct config_guest *guest, uint32_t line)
{
    for (const struct config_guest *other = p->config->guests; other < guest; other++) {
        if (!names_differ(other->name, guest->name)) {
            text_add(&p->error, "trapline.conf:%u: a second guest '%s' (the first is in line %u)",
                     line, guest->name, other->line);
            return -1;
        }
    }
    return 0;
}

static int too_many_guests(struct config_parser *p, uint32_t line)
{
    config_fail(p, line, "too many guests");
    text_add(&p->error, " (allowed: %u)", (unsigned)HANDOVER_MAX_GUESTS);
    return -1;
}

/* Where the list begins that is for a copy's vCPUs, so that all copies' take the CPUs in turn. */
static void turn_cpus(struct config_guest *guest, uint32_t by)
{
    uint16_t old[HANDOVER_MAX_VCPUS];

    for (uint32_t i = 0; i < guest->cpu_count; i++)
        old[i] = guest->cpus[i];
    for (uint32_t i = 0; i < guest->cpu_count; i++)
        guest->cpus[i] = old[(i + by) % guest->cpu_count];
}

/* Make the section's guest into its copies, NAME-1 to NAME-n. */
static int copy_guest(struct config_parser *p)
{
    struct config *config = p->config;
    const struct config_guest pattern = *p->guest;
    size_t digits = p->copies < DECIMAL ? 1 : 2, length = 0;

    if (pattern.disk != HANDOVER_DISK_NONE) {
        text_add(&p->error, "trapline.conf:%u: guest '%s' has a disk and so no copies",
                 pattern.line, pattern.name);
        return -1;
    }
    while (pattern.name[length] != '\0')
        length++;
    if (length + 1 + digits >= HANDOVER_NAME_LEN) {
        text_add(&p->error,
                 "trapline.conf:%u: the name of copy '%s-%u' is too long (allowed: %u "
                 "characters)",
                 pattern.line, pattern.name, p->copies, HANDOVER_NAME_LEN - 1u);
        return -1;
    }
    config->guest_count--;
    for (uint32_t i = 0; i < p->copies; i++) {
        struct config_guest *guest = &config->guests[config->guest_count];
        struct text name;

        if (config->guest_count == HANDOVER_MAX_GUESTS)
            return too_many_guests(p, pattern.line);
        *guest = pattern;
        text_start(&name, guest->name, sizeof(guest->name));
        text_add(&name, "%s-%u", pattern.name, i + 1);
        turn_cpus(guest, i * pattern.vcpus);
        config->guest_count++;
        if (check_name(p, guest, pattern.line) != 0)
            return -1;
    }
    return 0;
}

int config_finish_guest(struct config_parser *p)
{
    if (p->guest == NULL)
        return 0;
    if (!(p->seen_guest & (1u << KEY_IMAGE))) {
        text_add(&p->error, "trapline.conf:%u: guest '%s' has no image (needed: image = PATH)",
                 p->guest->line, p->guest->name);
        return -1;
    }
    return p->copies > 1 ? copy_guest(p) : 0;
}

int config_start_guest(struct config_parser *p, struct span name)
{
    if (config_finish_guest(p) != 0)
        return -1;
    if (name.length == 0)
        return config_fail(p, p->line, "a guest without a name (allowed: [guest NAME])");
    if (name.length >= HANDOVER_NAME_LEN)
        return config_fail_at(p, "name too long (allowed: 31 characters):", name);
    for (size_t i = 0; i < name.length; i++) {
        if (!is_name_char(name.at[i]))
            return config_fail_at(p, "bad name (allowed: letters, digits, '-', '_', '.'):", name);
    }
    if (p->config->guest_count == HANDOVER_MAX_GUESTS)
        return too_many_guests(p, p->line);
    struct config_guest *guest = &p->config->guests[p->config->guest_count];
    span_copy(guest->name, name);
    if (check_name(p, guest, p->line) != 0)
        return -1;
    guest->memory = CONFIG_MEMORY_DEFAULT;
    guest->vcpus = 1;
    guest->repeat = 1;
    guest->line = p->line;
    p->config->guest_count++;
    p->guest = guest;
    p->copies = 1;
    p->seen_guest = 0;
    return 0;
}
