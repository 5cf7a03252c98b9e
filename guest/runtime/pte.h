/* Entries of the guest's page tables. Source: SDM volume 3, 4.5 (4-level paging). */
#ifndef GUEST_RUNTIME_PTE_H
#define GUEST_RUNTIME_PTE_H

#include <stdint.h>

enum pte_bits {
    PTE_PRESENT = 1u << 0,
    PTE_WRITE = 1u << 1,
    PTE_USER = 1u << 2,
    PTE_ACCESSED = 1u << 5, /* set beforehand, and dirty too: the CPU need not write them */
    PTE_DIRTY = 1u << 6,
    PTE_LARGE = 1u << 7,
    /* Bits 9 to 11 and 52 to 58 are software's. */
    PTE_REGION = 1u << 9,   /* a page of a region, or an alias of one */
    PTE_TRACKED = 1u << 10, /* its dirty flag is DIRTY's */
    PTE_OWN = 1u << 11, /* of an upper level: the table is the space's own, see space_tables.h */
    PTE_KEY_SHIFT = 59, /* the protection key of a user-mode page */
};

#define PTE_FULL_WRITE (1ull << 52) /* of a page of a region: what UNPROT gives beside reading */
#define PTE_FULL_EXEC  (1ull << 53)
#define PTE_DENY_READ  (1ull << 54) /* of a page in a space's own table: what the space denies */
#define PTE_DENY_WRITE (1ull << 55)
#define PTE_DENY_EXEC  (1ull << 56)
#define PTE_DENIED     (PTE_DENY_READ | PTE_DENY_WRITE | PTE_DENY_EXEC)
#define PTE_KEY        (15ull << PTE_KEY_SHIFT)
#define PTE_NX         (1ull << 63)
#define PTE_ADDRESS    0x000ffffffffff000ull

enum {
    PAGING_LEVELS = 4,
    PAGING_LEVEL_BITS = 9,
    PAGING_ENTRIES = 512,
    PAGING_PAGE_SHIFT = 12,
};

/* The table that CR3 or an entry of an upper level refers to. */
static inline uint64_t *table_at(uint64_t entry)
{
    return (uint64_t *)(entry & PTE_ADDRESS);
}

/* Where address is in a table of a level, 0 = a leaf table. */
static inline unsigned table_index(uint64_t address, int level)
{
    return (unsigned)(address >> (PAGING_PAGE_SHIFT + PAGING_LEVEL_BITS * level)) &
           (PAGING_ENTRIES - 1);
}

#endif
