/*
 * Views beside the random operations on an EPT: a flat model of what each restricts, random
 * operations on them, and a CPU's translation caches in each.
 */
#ifndef TRAPLINE_TESTS_EPT_VIEWS_H
#define TRAPLINE_TESTS_EPT_VIEWS_H

#include "ept_model.h"

enum {
    VIEWS_MAX = 5
};

/* Begin with no views, and have up to count; end with those that there are by then. */
void views_open(unsigned count);
void views_close(void);

/* A random operation on a view, or an access in one; false: this is not the time for one. */
bool views_operate(void);

/* Compare the pages where the last operation was, in all views, and the tables that they take. */
void views_check(void);

/* Compare every page of a range. */
void views_check_all(uint64_t step);

/* Before and after an operation on the EPT: watch some pages in all views meanwhile. */
void views_watch(void);
void views_watched(void);

/* See ept_model.h: the same for the views. */
void views_tlb_empty(void);
void views_tlb_fill(uint64_t page);
void views_tlb_check(void);

#endif
