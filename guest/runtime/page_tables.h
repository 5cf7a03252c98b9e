/*
 * 4 KiB leaves of the guest's page tables, for regions: made where they are wanted, and seen as one
 * array by virtual page number. They are those of space 0; what other spaces have of their own
 * follows from them (space_tables.h).
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
#include "guest/runtime/space.h"

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

/* The root of space 0's tables; NULL before page_tables_init(). */
uint64_t *page_tables_root(void);

/* Whether [address, address + bytes) may be written by the supervisor as its space's tables have
 * it.
 */
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

/* The same as the calling vCPU's space has it. */
static inline uint64_t page_tables_read_here(uint64_t address)
{
    return __builtin_expect(spaces_made, 0) ? space_entry_here(address) : page_tables_read(address);
}

/*
 * INVLPG and MOV to CR3 drop what is cached for the current PCID, so that of the current space (SDM
 * 4.10.4.1; no entry is global). These see to the other spaces as well.
 */
static inline void flush_pages(uint64_t address, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        invlpg(address + i * TRAPLINE_PAGE_SIZE);
    if (__builtin_expect(spaces_made, 0))
        space_flush_others_pages(address, pages);
}

static inline void flush_page(uint64_t address)
{
    flush_pages(address, 1);
}

static inline void flush_list(void *const *pages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        invlpg((uint64_t)pages[i]);
    for (size_t i = 0; __builtin_expect(spaces_made, 0) && i < count; i++)
        space_flush_others_pages((uint64_t)pages[i], 1);
}

static inline void flush_all(void)
{
    write_cr3(read_cr3());
    if (__builtin_expect(spaces_made, 0))
        space_flush_others();
}

#endif
