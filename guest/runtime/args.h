/* The guest's command line. */
#ifndef GUEST_RUNTIME_ARGS_H
#define GUEST_RUNTIME_ARGS_H

enum {
    ARGS_MAX = 127, /* what fits into TRAPLINE_ARGS_LEN with a space between any two */
};

/*
 * Split line at white space. Single and double quotes hold white space together and a backslash
 * takes the next character as it is (inside single quotes it is an ordinary character).
 *
 * storage: at least as many bytes as line with its NUL; the arguments lie in it. list: at least
 * ARGS_MAX pointers; arguments beyond are left out. Returns their number, -1 for an open quote.
 */
int args_split(const char *line, char *storage, char **list);

#endif
