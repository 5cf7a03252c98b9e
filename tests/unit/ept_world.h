/*
 * What the EPT tests have in common: table memory that can run out, a page walker that knows the
 * SDM's format and nothing of the code under test, and a judge of every store to an entry.
 */
#ifndef TRAPLINE_TESTS_EPT_WORLD_H
#define TRAPLINE_TESTS_EPT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ept/table.h"

enum {
    WORLD_PAGES = 4096, /* table pages that the machine has */
    PAGE = 4096,
};

#define WORLD_PHYS_BASE 0x100000000ull /* physical address of the first table page */

struct store {
    uint64_t at; /* physical address of the entry */
    uint64_t entry;
};

/* One EPT and the machine around it. */
struct world {
    struct ept ept;
    struct ept_env env;
    uint64_t budget;      /* how many pages can be in use at a time */
    uint64_t fail_at;     /* fail this allocation, counted from 1; 0 = none */
    bool fail_on;         /* and all after it */
    uint64_t allocations; /* since fail_at was set */
    uint64_t failures;
    uint64_t in_use;
    uint64_t flushes;
    bool must_owe; /* a store needs a flush since the last one */
    void (*before)(struct world *world, volatile uint64_t *slot);
    void (*after)(struct world *world); /* each store */
    bool recording;
    struct store *stores;
    size_t store_count;
};

/* What the processor makes of a guest-physical address. */
struct walk {
    unsigned level; /* of the entry that ends the walk; 1 to 4 */
    unsigned rights;
    unsigned memtype;
    uint64_t hpa;
    uint64_t at; /* physical address of that entry */
    uint64_t entry;
    uint64_t tables[3]; /* physical addresses of the tables at levels 3, 2, 1; 0 = not reached */
};

extern struct world *const world;

/* Start over with an empty EPT; fails the test if the last one leaked. */
void world_open(const struct ept_features *features, uint64_t limit);
void world_close(void);

/* Make an empty world without ept_init(). */
void world_reset(void);

/* Pay the flush; what the environment's flush does too. */
void world_flush(void);

/* Check that the flush is owed exactly if a store since the last flush needs it. */
void world_check_owed(void);

/* Walk the tables as the processor does; memory: where table pages are. */
struct walk world_walk(const uint8_t *memory, uint64_t gpa);

/* The same from another PML4. */
struct walk world_walk_from(const uint8_t *memory, uint64_t root, uint64_t gpa);

/* The table pages' memory, WORLD_PAGES pages. */
uint8_t *world_memory(void);

/* Copy the table pages that are in use. */
void world_snapshot(uint8_t *to);

/* A small deterministic random number generator. */
uint64_t world_random(void);
void world_seed(uint64_t seed);

/* Check the invariants of the EPT's bookkeeping, the hints and counters of every table. */
void world_check_bookkeeping(void);

#endif
