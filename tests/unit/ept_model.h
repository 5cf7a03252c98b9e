/*
 * A flat model of the pages of an EPT, and of a CPU's translation caches, for random operations.
 */
#ifndef TRAPLINE_TESTS_EPT_MODEL_H
#define TRAPLINE_TESTS_EPT_MODEL_H

#include "ept_world.h"

#define EPT     (&world->ept)
#define NO_PAGE UINT32_MAX

struct page {
    uint64_t host;    /* page number */
    uint32_t primary; /* of an alias: its page; else NO_PAGE */
    uint32_t aliases;
    uint8_t mapped;
    uint8_t full;
    uint8_t access;
    uint8_t tracked;
    uint8_t dirty;
};

/* Where the operations happen: small spaces full of edges, or a few GiB with islands in them. */
struct shape {
    struct ept_features features;
    uint64_t ram;   /* pages */
    uint64_t limit; /* pages */
    const char *name;
};

extern struct page *model;
extern const struct shape *shape;
extern uint64_t centre;   /* operations keep to its neighbourhood for a while */
extern uint64_t op_first; /* the pages of the last operation */
extern uint64_t op_end;

/* A random number below n. */
uint64_t below(uint64_t n);

/* True in so many percent of the cases. */
bool chance(unsigned percent);

/* Pages, numbers of pages and accesses that make for interesting operations. */
uint64_t random_page(void);
uint64_t random_pages(void);
unsigned random_access(void);

/* What a call with this access, or on this range of pages, has to return. */
int access_error(unsigned access);
int range_error(uint64_t first, uint64_t pages);

/*
 * Whether a call did its work: its result is what the model says, or it ran out of memory that was
 * denied to it.
 */
bool went(int64_t result, int64_t expected, uint64_t failures);

/* The page that an alias stands for, or itself. */
uint32_t primary_of(uint64_t page);

/* Compare one page, or those where the last operation ended and some others, with the model. */
void check_page(uint64_t page);
void check_around(void);

/* The CPU's caches: empty them, walk to a page, check that they hold what is true. */
void tlb_empty(void);
void tlb_fill(uint64_t page);
void tlb_check(void);

/*
 * Page-modification logging: have the EPT keep a log, or not; a CPU sets flags in the leaf of a
 * page (walk) and logs the address if it is made dirty; add to the EPT's log what CPUs have logged,
 * all of it or some.
 */
void log_open(void);
void log_close(void);
void log_access(uint64_t page, const struct walk *walk, bool write);
void log_drain(bool all);

/* Flush, and empty the caches. */
void pay(void);

#endif
