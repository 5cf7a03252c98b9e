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
    PTE_KEY_SHIFT = 59,     /* the protection key of a user-mode page */
};

#define PTE_FULL_WRITE (1ull << 52) /* of a page of a region: what UNPROT gives beside reading */
#define PTE_FULL_EXEC  (1ull << 53)
#define PTE_KEY        (15ull << PTE_KEY_SHIFT)
#define PTE_NX         (1ull << 63)
#define PTE_ADDRESS    0x000ffffffffff000ull

enum {
    PAGING_LEVELS = 4,
    PAGING_LEVEL_BITS = 9,
    PAGING_ENTRIES = 512,
};

#endif
