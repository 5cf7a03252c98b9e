/*
 * A hash table that lives in a store: what the workload keeps there. It knows nothing of the disk;
 * it only tells the store what it is about to write, for stores that want to be told.
 */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/workloads/store/store.h"

enum {
    TABLE_WORDS = 6, /* of a value */
};

struct table {
    struct store *store;
    struct table_root *root;
    uint32_t *buckets;
    struct table_entry *entries;
};

/* Pages that a table of so many entries takes. */
uint64_t table_pages(uint64_t entries);

/* Look at the table in a store of table_pages(entries) pages. */
void table_open(struct table *table, struct store *store, uint64_t entries);

/* Whether the store holds a table already; if not, make an empty one, in a transaction. */
bool table_exists(const struct table *table);
void table_format(struct table *table, uint64_t entries);

/* In a transaction. False: no free entry; no such key. */
bool table_put(struct table *table, uint64_t key, const uint64_t *value);
bool table_delete(struct table *table, uint64_t key);

/* The value, or NULL. */
const uint64_t *table_get(const struct table *table, uint64_t key);

/* Whether every entry is in exactly one chain, its bucket's or the free one; *used: those in use.
 */
bool table_check(const struct table *table, uint64_t *used);

#endif
