/* The ways to forbid accesses to pages, and what all rows of them do. */
#ifndef LINUX_BENCH_PROTECTION_H
#define LINUX_BENCH_PROTECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct protection {
    const char *mode;
    bool stops_reads;                         /* and not writes alone */
    bool (*begin)(char *area, size_t pages);  /* before the first forbid() in an area */
    bool (*forbid)(char *page, size_t pages); /* of pages that follow one another */
    bool (*allow)(char *page, size_t pages);
};

/* No access, by mprotect(); and no writing, by userfaultfd, which splits no mapping. */
extern const struct protection by_mprotect, by_uffd;

/* All that this kernel has; NULL behind the last. */
extern const struct protection *protections[];

/* Find out; what is left out is printed. Comes first. */
void protections_begin(void);

/* Pages that follow one another and how they are protected: what the operations get. */
struct range {
    const struct protection *by;
    char *page;
    size_t pages;
};

enum {
    RANGE_BEFORE = 2, /* pages before a range: one that stays forbidden, and one that is allowed */
};

void range_forbid(void *range);
void range_allow(void *range);

/*
 * Is what is forbidden delivered, and nothing else? behind: the page behind the range is there and
 * allowed.
 */
void range_check(const char *row, const struct range *range, bool behind);

/* Check a range and measure the call that forbids it; the page behind it is an allowed one. */
void range_measure(const char *row, const char *mode, const struct range *range, unsigned rounds);

/* Pages that need not follow one another; those that do, as neighbours in the list, are one call.
 */
struct list {
    const struct protection *by;
    char **pages;
    size_t count;
};

void list_forbid(void *list);
void list_allow(void *list);

/*
 * Fill in the list by the first count pages of a random sequence of those of an area; the first
 * page of each 2 MiB is none of them. order: room for pages elements.
 */
void list_choose(struct list *list, size_t count, char *area, uint32_t *order, size_t pages);

void list_check(const char *row, struct list *list);

#endif
