/*
 * Output to the guest's console.
 *
 * The formats are %d %i %u %x %X %o %c %s %p %f %F %%, with the flags - + space 0 #, width and
 * precision (also *), and the length modifiers hh h l ll z j t. %f is exact for magnitudes below
 * 2^63 and at most 9 decimals; beyond, it prints "inf". Each call of printf() and puts() reaches
 * the console as one piece when it is no longer than CONSOLE_PIECE bytes.
 */
#ifndef TRAPLINE_STDIO_H
#define TRAPLINE_STDIO_H

#include <stdarg.h>
#include <stddef.h>

#include <trapline/console.h>

int printf(const char *restrict format, ...) __attribute__((format(printf, 1, 2)));
int vprintf(const char *restrict format, va_list args);
int snprintf(char *restrict buffer, size_t size, const char *restrict format, ...)
    __attribute__((format(printf, 3, 4)));
int vsnprintf(char *restrict buffer, size_t size, const char *restrict format, va_list args);
int puts(const char *text);
int putchar(int c);

#endif
