/*
 * A workload's arguments: flags (verify), numbers (pages=100, size=4M) and choices (barrier=card),
 * each with or without "--" before it.
 */
#ifndef GUEST_COMMON_OPTIONS_H
#define GUEST_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,      /* value: bool *, set by the bare name */
    OPTION_NUMBER,    /* value: uint64_t *; K, M and G multiply by 1024 and its powers */
    OPTION_CHOICE,    /* value: unsigned *, the index in choices */
    OPTION_MECHANISM, /* value: enum region_mechanism *, by its name */
};

struct option {
    const char *name;
    enum option_kind kind;
    void *value;                /* keeps what it holds when the option is not given */
    uint64_t least, most;       /* of a number */
    const char *const *choices; /* of a choice; NULL ends them */
    const char *help;           /* half a line */
};

/*
 * Take the arguments argv[1] to argv[argc - 1] of the program. What is wrong with them, or with
 * "help" among them the list of options, is printed and false returned.
 */
bool options_read(const char *program, int argc, char **argv, const struct option *options,
                  size_t count);

#endif
