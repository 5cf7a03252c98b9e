/*
 * Regions over the guest's page tables: MAP2. The aliases lie in a window of the guest's own
 * address space, above the hypervisor's alias window; the aliases of a page form a chain, because
 * DIRTY asks all of a page's entries.
 */
/* These calls may be made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/runtime/region.h"

#include <trapline/memory.h>

#include "guest/runtime/runtime.h"

enum {
    ACCESS_ALL = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
};

#define WINDOW_ALIGN (1ull << 30)

static uint32_t *chain; /* of each page of the window: the next alias of the same page */

void region_window(uint64_t *base, size_t *pages)
{
    const uint64_t end = runtime_info.alias_base + runtime_info.alias_size;
    const uint64_t room = PAGE_TABLES_SPAN / TRAPLINE_PAGE_SIZE;
    const uint64_t first = (end + WINDOW_ALIGN - 1) / WINDOW_ALIGN * WINDOW_ALIGN;
    const uint64_t wanted = runtime_info.ram_size / TRAPLINE_PAGE_SIZE;
    const uint64_t number = first / TRAPLINE_PAGE_SIZE;

    *base = first;
    *pages = number >= room ? 0 : wanted < room - number ? wanted : room - number;
}

int region_alias_init(void)
{
    uint64_t base;
    size_t pages;

    region_window(&base, &pages);
    if (!chain && pages)
        chain = pages_alloc(pages * sizeof(*chain) / TRAPLINE_PAGE_SIZE + 1, 1);
    return chain || pages == 0 ? 0 : -TRAPLINE_ENOMEM;
}

uint64_t region_alias_address(uint32_t number)
{
    uint64_t base;
    size_t pages;

    region_window(&base, &pages);
    return base + (number - 1ull) * TRAPLINE_PAGE_SIZE;
}

static uint32_t alias_number(uint64_t alias)
{
    uint64_t base;
    size_t pages;

    region_window(&base, &pages);
    return (uint32_t)((alias - base) / TRAPLINE_PAGE_SIZE) + 1;
}

uint32_t *region_alias_next(uint64_t alias)
{
    return &chain[alias_number(alias) - 1];
}

static bool in_window(uint64_t alias, size_t pages)
{
    uint64_t base;
    size_t most;

    region_window(&base, &most);
    return alias % TRAPLINE_PAGE_SIZE == 0 && pages > 0 && alias >= base &&
           (alias - base) / TRAPLINE_PAGE_SIZE < most &&
           pages <= most - (alias - base) / TRAPLINE_PAGE_SIZE;
}

static bool valid_access(unsigned access)
{
    return (access & TRAPLINE_READ) && !(access & ~(unsigned)ACCESS_ALL);
}

/* The entry of an alias of a region's page. */
static uint64_t alias_entry(uint64_t page, unsigned access)
{
    const uint64_t own = page_tables_read(page);
    const bool write = access & TRAPLINE_WRITE;
    const bool exec = (access & TRAPLINE_EXEC) && (own & PTE_FULL_EXEC);
    const uint64_t rights = (write ? PTE_WRITE | PTE_FULL_WRITE : 0) |
                            (exec ? PTE_FULL_EXEC : PTE_NX) | (own & (PTE_USER | PTE_TRACKED)) |
                            (own & PTE_TRACKED ? 0 : PTE_DIRTY);

    return page | rights | PTE_PRESENT | PTE_ACCESSED | PTE_REGION;
}

static void chain_in(struct region *region, uint64_t page, uint64_t alias)
{
    const size_t index = (page - region->base) / TRAPLINE_PAGE_SIZE;

    *region_alias_next(alias) = region->state->first_alias[index];
    region->state->first_alias[index] = alias_number(alias);
    region->state->aliases++;
}

int region_pt_map2(struct region *region, uint64_t address, size_t pages, uint64_t alias,
                   unsigned access)
{
    int result;

    if (!in_window(alias, pages) || !valid_access(access))
        return -TRAPLINE_EINVAL;
    result = page_tables_cover(alias, pages);
    if (result != 0)
        return result;
    for (size_t i = 0; i < pages; i++)
        if (page_tables_read(alias + i * TRAPLINE_PAGE_SIZE))
            return -TRAPLINE_EEXIST;
    if (region->mechanism == REGION_KEY)
        page_tables_allow_user(alias, pages);
    for (size_t i = 0; i < pages; i++) {
        const uint64_t page = address + i * TRAPLINE_PAGE_SIZE;
        const uint64_t at = alias + i * TRAPLINE_PAGE_SIZE;

        chain_in(region, page, at);
        *(volatile uint64_t *)page_tables_entry(at) = alias_entry(page, access);
        space_follow_pages(at, 1);
    }
    return 0;
}

static void unchain(struct region *region, uint64_t page, uint64_t alias)
{
    const uint32_t number = alias_number(alias);
    uint32_t *link = &region->state->first_alias[(page - region->base) / TRAPLINE_PAGE_SIZE];

    while (*link != number)
        link = region_alias_next(region_alias_address(*link));
    *link = *region_alias_next(alias);
    region->state->aliases--;
}

/* Put another entry, or 0, in the place of an alias's own: it is its page's alias no longer. */
static void replace_alias(struct region *region, uint64_t alias, uint64_t entry,
                          struct region_flush *flush)
{
    const uint64_t old = __atomic_exchange_n(page_tables_entry(alias), entry, __ATOMIC_SEQ_CST);
    const uint64_t page = old & PTE_ADDRESS;

    space_follow_pages(alias, 1);
    if (region_lowers(old, entry) || ((old & PTE_PRESENT) && page != (entry & PTE_ADDRESS)))
        region_flush_page(flush, alias);
    if ((old & PTE_TRACKED) && (old & PTE_DIRTY))
        region_update(page, 0, PTE_DIRTY);
    unchain(region, page, alias);
}

int region_pt_unmap2(struct region *region, uint64_t alias, size_t pages)
{
    struct region_flush flush = region_flush_begin(pages);
    int result;

    if (!in_window(alias, pages))
        return -TRAPLINE_EINVAL;
    result = region_check(region, alias, pages);
    if (result != 0)
        return result;
    space_forget_pages(alias, pages);
    for (size_t i = 0; i < pages; i++)
        replace_alias(region, alias + i * TRAPLINE_PAGE_SIZE, 0, &flush);
    region_flush_end(&flush);
    return 0;
}

int region_pt_remap2(struct region *region, uint64_t page, uint64_t alias, unsigned access)
{
    struct region_flush flush = region_flush_begin(1);
    int result;

    if (!in_window(alias, 1) || !valid_access(access))
        return -TRAPLINE_EINVAL;
    result = region_check(region, alias, 1);
    if (result != 0)
        return result;
    replace_alias(region, alias, alias_entry(page, access), &flush);
    chain_in(region, page, alias);
    region_flush_end(&flush);
    return 0;
}
