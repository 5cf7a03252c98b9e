/* Memory and string functions, as in C11 and POSIX. */
#ifndef TRAPLINE_STRING_H
#define TRAPLINE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
void *memchr(const void *bytes, int value, size_t count);
size_t strlen(const char *text);
size_t strnlen(const char *text, size_t most);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t most);
char *strchr(const char *text, int c);
char *strrchr(const char *text, int c);
char *strstr(const char *text, const char *what);
char *strcpy(char *restrict to, const char *restrict from);
char *strncpy(char *restrict to, const char *restrict from, size_t bytes);
char *strcat(char *restrict to, const char *restrict from);

/* Numbers: base 0 or 2 to 36; out of range saturates. There is no errno. */
unsigned long strtoul(const char *restrict text, char **restrict end, int base);
long strtol(const char *restrict text, char **restrict end, int base);
int atoi(const char *text);

#endif
