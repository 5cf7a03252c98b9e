/* Pieces of a text, and the words and numbers in them. Pure. */
#ifndef TRAPLINE_BOOT_SPAN_H
#define TRAPLINE_BOOT_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *at;
    size_t length;
};

struct span_unit {
    const char *word; /* lower case; "" = no unit given */
    uint64_t factor;
};

bool span_is_space(char c);
bool span_is_digit(char c);
char span_lower(char c);

/* Without the blanks and tabs around it. */
struct span span_trim(struct span span);

/* Whether the span is the (lower-case) word, letters' case aside. */
bool span_is_word(struct span span, const char *word);

/* The span is a decimal or 0x number of at most 64 bits and nothing else. */
bool span_number(struct span span, uint64_t *value);

/* The same with one of count units behind it, whose factor is multiplied in. */
bool span_number_with_unit(struct span span, const struct span_unit *units, size_t count,
                           uint64_t *value);

/*
 * Take the first item off a list with commas, without the blanks around it; false once the last one
 * (which may be empty) was taken. list changes.
 */
bool span_next_in_list(struct span *list, struct span *item);

/* Copy it to a string; to has room for span.length + 1 bytes. */
void span_copy(char *to, struct span span);

#endif
