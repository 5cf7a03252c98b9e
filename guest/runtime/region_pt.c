/* Regions over the guest's page tables: PROT1, PROTN and UNPROT as changes of their entries. */
/* These calls are made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/runtime/region.h"

#include <trapline/memory.h>

enum {
    ACCESS_ALL = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
};

static struct region *regions; /* all, by region_state.next */

#define PTE_RIGHTS (PTE_PRESENT | PTE_WRITE | PTE_NX)

int region_check(const struct region *region, uint64_t address, size_t pages)
{
    const uint64_t most = PAGE_TABLES_SPAN / TRAPLINE_PAGE_SIZE;
    uint64_t window;
    size_t window_pages;

    if (address % TRAPLINE_PAGE_SIZE || pages == 0 || pages > most ||
        address + pages * TRAPLINE_PAGE_SIZE < address)
        return -TRAPLINE_EINVAL;
    if (region_owns(region, address))
        return pages <= region->pages - (address - region->base) / TRAPLINE_PAGE_SIZE
                   ? 0
                   : -TRAPLINE_ENOENT;
    region_window(&window, &window_pages);
    if (address < window || address - window >= window_pages * TRAPLINE_PAGE_SIZE ||
        pages > window_pages - (address - window) / TRAPLINE_PAGE_SIZE)
        return -TRAPLINE_ENOENT;
    for (size_t i = 0; i < pages; i++) {
        const uint64_t entry = page_tables_read(address + i * TRAPLINE_PAGE_SIZE);

        if (!(entry & PTE_REGION) || !region_owns(region, entry & PTE_ADDRESS))
            return -TRAPLINE_ENOENT;
    }
    return 0;
}

/* What an access, within the full rights of an entry, is in it. */
static uint64_t rights_of(unsigned access, uint64_t entry)
{
    if (!(access & TRAPLINE_READ))
        return 0;
    return PTE_PRESENT | ((access & TRAPLINE_WRITE) && (entry & PTE_FULL_WRITE) ? PTE_WRITE : 0) |
           ((access & TRAPLINE_EXEC) && (entry & PTE_FULL_EXEC) ? 0 : PTE_NX);
}

static void set_access(struct region *region, uint64_t address, unsigned access,
                       struct region_flush *flush)
{
    const uint64_t rights = rights_of(access, page_tables_read(address));
    uint64_t old;

    if (region->state->home && region_owns(region, address))
        region_key_stray(region, (address - region->base) / TRAPLINE_PAGE_SIZE);
    old = region_update(address, PTE_KEY | (rights ? PTE_RIGHTS : PTE_PRESENT), rights);
    if (region_lowers(old, rights))
        region_flush_page(flush, address);
}

/* The same for pages of the region's own, without keys: what an access is is the same for all. */
static void set_own(uint64_t address, size_t pages, unsigned access, struct region_flush *flush)
{
    const uint64_t rights = rights_of(access, PTE_FULL_WRITE | PTE_FULL_EXEC);
    uint64_t *entry = page_tables_entry(address), *const end = entry + pages;

    if (access == TRAPLINE_NONE) {
        flush->owed = true;
#pragma GCC unroll 8
        for (; entry != end; entry++)
            __atomic_and_fetch(entry, ~(uint64_t)PTE_PRESENT, __ATOMIC_SEQ_CST);
    } else {
        for (; entry != end; entry++)
            flush->owed |= region_lowers(update_entry(entry, PTE_RIGHTS, rights), rights);
    }
    space_follow_pages(address, pages);
    if (flush->owed && !flush->all)
        flush_pages(address, pages);
}

/* Set the access of pages that were checked. */
static void set_range(struct region *region, uint64_t address, size_t pages, unsigned access,
                      struct region_flush *flush)
{
    if (!region->state->home && region_owns(region, address)) {
        set_own(address, pages, access, flush);
        return;
    }
    for (size_t i = 0; i < pages; i++)
        set_access(region, address + i * TRAPLINE_PAGE_SIZE, access, flush);
}

int region_pt_prot(struct region *region, uint64_t address, size_t pages, unsigned access)
{
    struct region_flush flush = region_flush_begin(pages);
    int result = region_check_access(access);

    if (result == 0 && !region_owns_pages(region, address, pages))
        result = region_check(region, address, pages);
    if (result != 0)
        return result;
    set_range(region, address, pages, access, &flush);
    region_flush_end(&flush);
    return 0;
}

/* A raise owes no flush: a stale entry faults, the fault drops it (SDM 4.10.4.3). */
int region_pt_unprot(struct region *region, uint64_t address, size_t pages)
{
    struct region_flush flush = {.all = false};
    const int result = region_check(region, address, pages);

    if (result == 0)
        set_range(region, address, pages, ACCESS_ALL, &flush);
    return result;
}

static int check_list(const void *list, unsigned access, size_t *bad)
{
    if (bad)
        *bad = 0;
    return (uint64_t)list % sizeof(uint64_t) ? -TRAPLINE_EINVAL : region_check_access(access);
}

/* Pages that were checked, of a region without keys, lose all rights. */
static __attribute__((noinline)) void deny_list(void *const *pages, size_t count, bool flush_later)
{
    for (size_t i = 0; i < count; i++)
        __atomic_and_fetch(page_tables_entry((uint64_t)pages[i]), ~(uint64_t)PTE_PRESENT,
                           __ATOMIC_SEQ_CST);
    for (size_t i = 0; __builtin_expect(spaces_made, 0) && i < count; i++)
        space_follow_each((uint64_t)pages[i], 1);
    if (!flush_later)
        flush_list(pages, count);
}

int region_pt_protn_list(struct region *region, void *const *pages, size_t count, unsigned access,
                         size_t *bad)
{
    struct region_flush flush = region_flush_begin(count);
    int result = check_list(pages, access, bad);

    for (size_t i = 0; i < count && result == 0; i++) {
        if (region_index(region, pages[i]) < region->pages)
            continue;
        result = region_check(region, (uint64_t)pages[i], 1);
        if (result != 0 && bad)
            *bad = i;
    }
    if (result != 0)
        return result;
    if (access == TRAPLINE_NONE && !region->state->home) {
        deny_list(pages, count, flush.all);
        flush.owed = true;
    } else {
        for (size_t i = 0; i < count; i++)
            set_range(region, (uint64_t)pages[i], 1, access, &flush);
    }
    region_flush_end(&flush);
    return 0;
}

int region_pt_protn_ranges(struct region *region, const struct trapline_range *ranges, size_t count,
                           unsigned access, size_t *bad)
{
    struct region_flush flush;
    int result = check_list(ranges, access, bad);
    size_t pages = 0;

    for (size_t i = 0; i < count && result == 0; i++) {
        result = region_check(region, ranges[i].page, ranges[i].pages);
        pages += ranges[i].pages;
        if (result != 0 && bad)
            *bad = i;
    }
    if (result != 0)
        return result;
    flush = region_flush_begin(pages);
    for (size_t i = 0; i < count; i++)
        set_range(region, ranges[i].page, ranges[i].pages, access, &flush);
    region_flush_end(&flush);
    return 0;
}

/* The inline calls know nothing of other vCPUs and of other spaces' translations. */
static void set_inline(struct region *region, bool may)
{
    region->pt_pages = may && !region_shared && region->mechanism == REGION_PT ? region->pages : 0;
}

void region_pt_inline(bool may)
{
    for (struct region *region = regions; region; region = region->state->next)
        set_inline(region, may);
}

int region_pt_create(struct region *region)
{
    struct region_state *const state = region->state;
    const bool key = region->mechanism == REGION_KEY;
    const size_t entry_bytes = sizeof(*state->first_alias) + (key ? sizeof(*state->home) : 0);
    int result = page_tables_cover(region->base, region->pages);

    if (result != 0)
        return result;
    state->table_pages = region->pages * entry_bytes / TRAPLINE_PAGE_SIZE + 1;
    state->first_alias = pages_alloc(state->table_pages, 1);
    if (!state->first_alias)
        return -TRAPLINE_ENOMEM;
    if (key) {
        state->home = (uint8_t *)(state->first_alias + region->pages);
        page_tables_allow_user(region->base, region->pages);
    } else {
        set_inline(region, !spaces_made);
    }
    /* The new entries lose no right but execution in memory that nobody has used. */
    for (size_t i = 0; i < region->pages; i++)
        region_update(region->base + i * TRAPLINE_PAGE_SIZE, 0,
                      PTE_REGION | PTE_FULL_WRITE | (key ? PTE_USER | PTE_NX : PTE_FULL_EXEC));
    flush_all();
    region_flush_others();
    state->next = regions;
    regions = region;
    return 0;
}

void region_pt_destroy(struct region *region)
{
    struct region **link = &regions;

    while (*link != region)
        link = &(*link)->state->next;
    *link = region->state->next;
    space_forget_pages(region->base, region->pages);
    for (size_t i = 0; i < region->pages; i++)
        region_update(region->base + i * TRAPLINE_PAGE_SIZE,
                      PTE_REGION | PTE_TRACKED | PTE_FULL_WRITE | PTE_FULL_EXEC | PTE_USER |
                          PTE_KEY | PTE_NX,
                      PTE_PRESENT | PTE_WRITE | PTE_DIRTY);
    flush_all();
    region_flush_others();
    pages_free(region->state->first_alias, region->state->table_pages);
}
