/*
 * What the parts of the configuration's parser share: config.c reads the file's lines and the keys
 * for the whole machine, config_guest.c the sections of the guests. Pure.
 */
#ifndef TRAPLINE_BOOT_CONFIG_PARSER_H
#define TRAPLINE_BOOT_CONFIG_PARSER_H

#include <stddef.h>
#include <stdint.h>

#include "boot/config.h"
#include "boot/span.h"
#include "boot/text.h"

enum config_guest_key {
    KEY_IMAGE,
    KEY_MEMORY,
    KEY_VCPUS,
    KEY_CPUS,
    KEY_ARGS,
    KEY_TIME_LIMIT,
    KEY_TABLES,
    KEY_INTERRUPTS,
    KEY_DISK,
    KEY_REPEAT,
    KEY_COPIES,
    GUEST_KEYS
};

extern const char *const config_guest_keys[GUEST_KEYS];

struct config_parser {
    struct config *config;
    struct config_guest *guest; /* of the section, NULL before the first */
    uint32_t copies;            /* how many guests the section stands for */
    struct text error;
    uint32_t line;
    uint32_t seen_global; /* a bit for each key */
    uint32_t seen_guest;
};

/* A word of the configuration and what it stands for. */
struct config_choice {
    const char *word;
    uint32_t value;
};

/* Report "trapline.conf:LINE: WHAT". All of these return -1. */
int config_fail(struct config_parser *p, uint32_t line, const char *what);

/* Report "trapline.conf:LINE: WHAT 'TEXT'"; the caller may append what is allowed. */
int config_fail_at(struct config_parser *p, const char *what, struct span span);

/* The same with "(allowed: ...)": the choices' words and then more. */
int config_fail_choice(struct config_parser *p, const char *what, struct span span,
                       const struct config_choice *choices, size_t count, const char *more);

/* The choice whose word the span is, NULL = none. */
const struct config_choice *config_find_choice(struct span span,
                                               const struct config_choice *choices, size_t count);

/* Begin the section of the guest of this name; 0, or -1 and it is reported. */
int config_start_guest(struct config_parser *p, struct span name);

/* Set what a key of the section says. */
int config_set_guest(struct config_parser *p, enum config_guest_key key, struct span value);

/* The section, if there was one, is over: check it and make its copies. */
int config_finish_guest(struct config_parser *p);

#endif
