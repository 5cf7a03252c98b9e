/*
 * 4 KiB leaves of the guest's page tables, for regions: made where they are wanted, and seen as one
 * array by virtual page number.
 *
 * The array lies in the last 2 GiB of the address space, so that an instruction reaches an entry
 * with a displacement of 32 bits. It covers the first TiB of addresses. Where a 2 MiB page, or
 * nothing, is mapped in place of 4 KiB pages, the array reads as zeros.
 */
#ifndef GUEST_RUNTIME_PAGE_TABLES_H
#define GUEST_RUNTIME_PAGE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/region.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/pte.h"

#define PAGE_TABLES_SPAN (1ull << 40) /* bytes of address space that the array covers */

/*
 * Make the array, and measure what the choice between INVLPG and a flush of everything depends on.
 * Once; later calls do nothing. Returns 0 or -ENOMEM, with nothing changed.
 */
int page_tables_init(void);

/*
 * See to it that pages pages from address on, below PAGE_TABLES_SPAN, have entries in the array:
 * large pages are split, and where nothing is mapped the entries are 0. Returns 0 or -ENOMEM; what
 * was split by then stays split, which changes no access.
 */
int page_tables_cover(uint64_t address, size_t pages);

/* Let user mode in as far as the upper levels are concerned; the leaves decide. Covered pages only.
 */
void page_tables_allow_user(uint64_t address, size_t pages);

/* Whether [address, address + bytes) may be written by the supervisor as its own tables have it. */
bool page_tables_writable(uint64_t address, size_t bytes);

/* From how many pages on dropping all translations is cheaper than one INVLPG a page. */
extern size_t page_tables_flush_all_from;

static inline uint64_t *page_tables_entry(uint64_t address)
{
    return (uint64_t *)(REGION_PTES + (address >> TRAPLINE_PAGE_SHIFT) * sizeof(uint64_t));
}

static inline uint64_t page_tables_read(uint64_t address)
{
    return *(volatile uint64_t *)page_tables_entry(address);
}

static inline void flush_page(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/* No entry is global and PCIDs are not used, so that MOV to CR3 drops everything (SDM 4.10.4.1). */
static inline void flush_all(void)
{
    write_cr3(read_cr3());
}

#endif
