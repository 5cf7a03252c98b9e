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

#include "guest/runtime/page_tables.h"

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

#define SPACE_OWN_TABLE (PTE_PRESENT | PTE_OWN)

/* Whether an entry of an upper level leads to an own table. */
static inline bool space_tables_own(uint64_t entry)
{
    return (entry & SPACE_OWN_TABLE) == SPACE_OWN_TABLE;
}

/* The own leaf entry of address, followed by those of the rest of its 2 MiB; NULL: there is none.
 */
static inline uint64_t *space_tables_leaf(uint64_t *root, uint64_t address)
{
    uint64_t *table = root;

#pragma GCC unroll 3
    for (int level = PAGING_LEVELS - 1; level > 0; level--) {
        const uint64_t entry = table[table_index(address, level)];

        if (!space_tables_own(entry))
            return NULL;
        table = table_at(entry);
    }
    return &table[table_index(address, 0)];
}

/* How many of pages pages from address on are in its 2 MiB. */
static inline size_t space_tables_chunk(uint64_t address, size_t pages)
{
    const size_t room = PAGING_ENTRIES - table_index(address, 0);

    return pages < room ? pages : room;
}

/* The dirty flag of an own entry counts for DIRTY if the page, this one, was tracked already. */
static inline uint64_t space_tables_derived(uint64_t full, uint64_t own, uint64_t denied)
{
    const bool counts = (full & own & PTE_TRACKED) && ((full ^ own) & PTE_ADDRESS) == 0;
    uint64_t entry = full | denied | (counts ? own & PTE_DIRTY : 0);

    if (denied & PTE_DENY_READ)
        entry &= ~(uint64_t)PTE_PRESENT;
    if (denied & PTE_DENY_WRITE)
        entry &= ~(uint64_t)PTE_WRITE;
    if (denied & PTE_DENY_EXEC)
        entry |= PTE_NX;
    return entry;
}

/*
 * Set an own leaf entry, of address, to what space 0 has there now, less what the space denies: in
 * place of PTE_DENIED's bits in clear those in set. Returns what the entry was and, in *now, is.
 */
static inline uint64_t space_tables_derive(uint64_t *entry, uint64_t address, uint64_t clear,
                                           uint64_t set, uint64_t *now)
{
    const uint64_t full = page_tables_read(address);
    uint64_t old = __atomic_load_n(entry, __ATOMIC_RELAXED);

    do {
        *now = space_tables_derived(full, old, (old & PTE_DENIED & ~clear) | set);
    } while (
        !__atomic_compare_exchange_n(entry, &old, *now, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old;
}

/* Have own tables of upper levels follow space 0's. */
void space_tables_follow(uint64_t *root);

/* Move the dirty flags of tracked pages from own leaf entries to space 0's. */
void space_tables_collect(uint64_t *root);

#endif
