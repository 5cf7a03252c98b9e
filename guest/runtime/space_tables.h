/*
 * The tables of a space: a root of its own, and own tables below it on the way to pages that it
 * restricts. All other entries are space 0's, so that tables are shared. An entry that leads to an
 * own table is marked (PTE_OWN); an entry of an own leaf table is that of space 0 less what the
 * space denies, which it keeps in bits of software (PTE_DENIED).
 *
 * An own leaf also has accessed and dirty flags of its own. The dirty flags of tracked pages are
 * collected into space 0's entries before anybody reads or clears those.
 */
#ifndef GUEST_RUNTIME_SPACE_TABLES_H
#define GUEST_RUNTIME_SPACE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A root for the space of this number, with everything shared; NULL: no memory. */
uint64_t *space_tables_create(unsigned space);

/* Give the root and all own tables back. No vCPU may come to use them. */
void space_tables_destroy(uint64_t *root);

/*
 * See to it that pages from address on, which page_tables_cover() has covered, have own leaf
 * entries. Returns 0 or -ENOMEM; what was made by then stays and denies nothing. *made: whether
 * there are new tables, so that what is cached of the shared ones has to go.
 */
int space_tables_cover(uint64_t *root, uint64_t address, size_t pages, bool *made);

/* The own leaf entry of address, followed by those of the rest of its 2 MiB; NULL: there is none.
 */
uint64_t *space_tables_leaf(uint64_t *root, uint64_t address);

/* How many of pages pages from address on are in its 2 MiB. */
size_t space_tables_chunk(uint64_t address, size_t pages);

/*
 * Set an own leaf entry, of address, to what space 0 has there now, less what the space denies: in
 * place of PTE_DENIED's bits in clear those in set. Returns what the entry was and, in *now, is.
 */
uint64_t space_tables_derive(uint64_t *entry, uint64_t address, uint64_t clear, uint64_t set,
                             uint64_t *now);

/* Have own tables of upper levels follow space 0's. */
void space_tables_follow(uint64_t *root);

/* Move the dirty flags of tracked pages from own leaf entries to space 0's. */
void space_tables_collect(uint64_t *root);

#endif
