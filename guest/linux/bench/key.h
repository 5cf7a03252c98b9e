/*
 * A protection key of the CPU (pkeys(7)): one instruction forbids all pages that have the key. It
 * is for sets that change as a whole; to give a page another key costs an mprotect().
 */
#ifndef LINUX_BENCH_KEY_H
#define LINUX_BENCH_KEY_H

#include <stdbool.h>
#include <stddef.h>

/* Get a key; false, and why is printed, when there is none. */
bool key_begin(void);

/* Give pages the key. */
bool key_attach(char *page, size_t pages);

/* Forbid all access to the pages with the key, or allow it, for the calling thread. */
void key_forbid(void *unused);
void key_allow(void *unused);

void key_end(void);

#endif
