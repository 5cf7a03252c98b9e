/* The console: what printf() and its kin write to. */
#ifndef TRAPLINE_CONSOLE_H
#define TRAPLINE_CONSOLE_H

#include <stddef.h>

enum {
    CONSOLE_PIECE = 512, /* bytes that printf() and puts() write in one piece */
};

/* Write bytes to the console as they are. */
void console_write(const char *text, size_t bytes);

#endif
