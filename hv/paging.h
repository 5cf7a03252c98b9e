/*
 * 4-level page tables (SDM volume 3, 4.5): a builder over an injected memory interface. It takes
 * the largest pages that fit and refuses what is both writable and executable, unless told
 * otherwise.
 */
#ifndef TRAPLINE_HV_PAGING_H
#define TRAPLINE_HV_PAGING_H

#include <stdbool.h>
#include <stdint.h>

/* Bits of the entries; the same at every level but for PTE_LARGE. */
#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITE    (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_PWT      (1ull << 3)
#define PTE_PCD      (1ull << 4)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY    (1ull << 6)
#define PTE_LARGE    (1ull << 7)
#define PTE_GLOBAL   (1ull << 8)
#define PTE_ADDRESS  0x000ffffffffff000ull
#define PTE_NOEXEC   (1ull << 63)

/* What the PAT that the hypervisor programs gives the leaves' PCD and PWT bits. */
#define PAGING_PAT 0x0007010600070106ull /* WB, WC, UC-, UC, and the same again */

/* Rights and memory type of a mapping; reading is always allowed. */
enum paging_rights {
    PAGING_READ = 0,
    PAGING_WRITE = 1u << 0,
    PAGING_EXEC = 1u << 1,
    PAGING_GLOBAL = 1u << 2,
    PAGING_WC = 1u << 3, /* write-combining */
    PAGING_UC = 1u << 4, /* uncached, whatever the MTRRs say */
};

enum paging_result {
    PAGING_OK = 0,
    PAGING_BAD,       /* misaligned, not canonical, or writable and executable */
    PAGING_TAKEN,     /* something is mapped there already */
    PAGING_NO_MEMORY, /* no page for a table */
};

struct paging {
    uint64_t root;                    /* physical address of the PML4 table */
    uint64_t (*alloc)(void *context); /* physical address of a zeroed page, 0 = none */
    uint64_t *(*table)(void *context, uint64_t phys);
    void *context;
    bool pages_1g; /* the CPU has 1 GiB pages */
    bool allow_wx; /* for the firmware's code only */
};

/*
 * Map bytes bytes at virt to phys, all multiples of 4096, with rights from enum paging_rights. On
 * an error the pieces below the one at fault stay mapped.
 */
enum paging_result paging_map(struct paging *paging, uint64_t virt, uint64_t phys, uint64_t bytes,
                              unsigned rights);

/*
 * The leaf entry that maps virt, 0 = none; *size (may be NULL) becomes its page size in bytes.
 */
uint64_t paging_find(const struct paging *paging, uint64_t virt, uint64_t *size);

#endif
