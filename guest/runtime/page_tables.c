#include "guest/runtime/page_tables.h"

#include <trapline/memory.h>
#include <trapline/string.h>
#include <trapline/time.h>

#include "guest/runtime/region_shootdown.h"

enum {
    WINDOW_TABLES = 2,  /* page directories of the array: 2 GiB */
    WINDOW_FIRST = 510, /* where they are in the page-directory-pointer table */
    MEASURED_PAGES = 64,
    MEASURED_ROUNDS = 8,
};

#define CHUNK_BYTES (1ull << 21) /* what one leaf table maps */
#define GROUP_BYTES (1ull << 30) /* what one page of the array's own tables covers */

#define TABLE_FLAGS (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED)
#define LEAF_FLAGS  (TABLE_FLAGS | PTE_DIRTY)

size_t page_tables_flush_all_from = MEASURED_PAGES;

static uint64_t *root;
static uint64_t *window[WINDOW_TABLES]; /* page directories */
static uint64_t *hole; /* the page table whose 512 pages are all zeros; NULL: no array yet */

static uint64_t *new_table(void)
{
    return pages_alloc(1, 1);
}

/* The entry that translates address at a level, 0 = the leaf table's; NULL: the walk ends above. */
static uint64_t *walk(uint64_t address, int level)
{
    uint64_t *table = root;

    for (int at = PAGING_LEVELS - 1;; at--) {
        uint64_t *const entry = &table[table_index(address, at)];

        if (at == level)
            return entry;
        if (!(*entry & PTE_PRESENT) || (*entry & PTE_LARGE))
            return NULL;
        table = table_at(*entry);
    }
}

/* Fill a table with what the large page of entry, at level 1 or 2, maps. */
static void fill(uint64_t *table, uint64_t entry, int level)
{
    const uint64_t flags = entry & ~(PTE_ADDRESS | PTE_LARGE);
    const uint64_t size = 1ull << (TRAPLINE_PAGE_SHIFT + PAGING_LEVEL_BITS * (level - 1));

    for (unsigned i = 0; i < PAGING_ENTRIES; i++)
        table[i] = ((entry & PTE_ADDRESS) + i * size) | flags | (level > 1 ? PTE_LARGE : 0);
}

/* The page directory's entry for address: made, or its 1 GiB page split, as needed. */
static uint64_t *directory_entry(uint64_t address)
{
    for (int level = PAGING_LEVELS - 1; level > 1; level--) {
        uint64_t *const entry = walk(address, level);
        uint64_t *table;

        if ((*entry & PTE_PRESENT) && !(*entry & PTE_LARGE))
            continue;
        table = new_table();
        if (!table)
            return NULL;
        if (*entry & PTE_PRESENT)
            fill(table, *entry, level);
        *entry = (uint64_t)table | TABLE_FLAGS;
    }
    return walk(address, 1);
}

/* The array's entry for a leaf table: one of its page tables', private to the GiB around address.
 */
static uint64_t *window_entry(uint64_t address)
{
    const uint64_t group = address / GROUP_BYTES;
    uint64_t *const entry = &window[group / PAGING_ENTRIES][group % PAGING_ENTRIES];

    if (table_at(*entry) == hole) {
        uint64_t *const table = new_table();

        if (!table)
            return NULL;
        memcpy(table, hole, TRAPLINE_PAGE_SIZE);
        *entry = (uint64_t)table | TABLE_FLAGS;
    }
    return &table_at(*entry)[address / CHUNK_BYTES % PAGING_ENTRIES];
}

static int cover_chunk(uint64_t address, bool *changed)
{
    uint64_t *const seen = window_entry(address), *directory, *leaf;

    if (!seen)
        return -TRAPLINE_ENOMEM;
    if (*seen & PTE_WRITE)
        return 0;
    directory = directory_entry(address);
    if (!directory)
        return -TRAPLINE_ENOMEM;
    if ((*directory & PTE_PRESENT) && !(*directory & PTE_LARGE)) {
        leaf = table_at(*directory);
    } else {
        leaf = new_table();
        if (!leaf)
            return -TRAPLINE_ENOMEM;
        if (*directory & PTE_PRESENT)
            fill(leaf, *directory, 1);
        *directory = (uint64_t)leaf | TABLE_FLAGS;
    }
    *seen = (uint64_t)leaf | LEAF_FLAGS | PTE_NX;
    *changed = true;
    return 0;
}

int page_tables_cover(uint64_t address, size_t pages)
{
    const uint64_t end = address + pages * TRAPLINE_PAGE_SIZE;
    bool changed = false;
    int result = 0;

    for (uint64_t chunk = address & ~(CHUNK_BYTES - 1); chunk < end && result == 0;
         chunk += CHUNK_BYTES)
        result = cover_chunk(chunk, &changed);
    /* The size of pages changed, and the array's zeros may be cached. */
    if (changed || result != 0) {
        space_follow_tables();
        flush_all();
        region_flush_others();
    }
    return result;
}

void page_tables_allow_user(uint64_t address, size_t pages)
{
    const uint64_t end = address + pages * TRAPLINE_PAGE_SIZE;

    for (uint64_t chunk = address & ~(CHUNK_BYTES - 1); chunk < end; chunk += CHUNK_BYTES)
        for (int level = PAGING_LEVELS - 1; level > 0; level--)
            *walk(chunk, level) |= PTE_USER;
    space_follow_tables();
    flush_all();
}

uint64_t *page_tables_root(void)
{
    return root;
}

bool page_tables_writable(uint64_t address, size_t bytes)
{
    const uint64_t end = address + bytes;

    for (uint64_t page = address & ~(TRAPLINE_PAGE_SIZE - 1ull); page < end;
         page += TRAPLINE_PAGE_SIZE) {
        const uint64_t entry = page < PAGE_TABLES_SPAN ? page_tables_read_here(page) : 0;

        if ((entry & PTE_REGION) &&
            (entry & (PTE_PRESENT | PTE_WRITE)) != (PTE_PRESENT | PTE_WRITE))
            return false;
    }
    return true;
}

static void touch(const char *pages)
{
    for (unsigned i = 0; i < MEASURED_PAGES; i++)
        *(const volatile char *)(pages + (size_t)i * TRAPLINE_PAGE_SIZE);
}

/*
 * Dropping everything costs the instruction and the misses of what the program used; the more a
 * program uses, the more of them, so that the measured figure is a lower bound.
 */
static void measure_flushes(void)
{
    char *const pages = pages_alloc(MEASURED_PAGES, 1);
    uint64_t single = UINT64_MAX, whole = UINT64_MAX, warm = UINT64_MAX;

    if (!pages)
        return;
    for (unsigned round = 0; round < MEASURED_ROUNDS; round++) {
        uint64_t start = ticks(), middle, end;

        for (unsigned i = 0; i < MEASURED_PAGES; i++)
            flush_page((uint64_t)pages + (uint64_t)i * TRAPLINE_PAGE_SIZE);
        middle = ticks();
        single = middle - start < single ? middle - start : single;
        touch(pages);
        start = ticks();
        touch(pages);
        middle = ticks();
        flush_all();
        touch(pages);
        end = ticks();
        warm = middle - start < warm ? middle - start : warm;
        whole = end - middle < whole ? end - middle : whole;
    }
    whole = whole > warm ? whole - warm : 0;
    page_tables_flush_all_from = whole * MEASURED_PAGES / (single ? single : 1) + 1;
    pages_free(pages, MEASURED_PAGES);
}

/* Five pages for the array's own tables; false, and none taken, when there are too few. */
static bool take_tables(uint64_t *tables[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tables[i] = new_table();
        if (!tables[i]) {
            while (i-- > 0)
                pages_free(tables[i], 1);
            return false;
        }
    }
    return true;
}

int page_tables_init(void)
{
    uint64_t *tables[WINDOW_TABLES + 3], *pointers, *zeros;

    if (hole)
        return 0;
    if (!take_tables(tables, sizeof(tables) / sizeof(tables[0])))
        return -TRAPLINE_ENOMEM;
    root = table_at(read_cr3()); /* there are no other spaces yet */
    pointers = tables[WINDOW_TABLES];
    zeros = tables[WINDOW_TABLES + 1];
    hole = tables[WINDOW_TABLES + 2];
    for (unsigned i = 0; i < PAGING_ENTRIES; i++)
        hole[i] = (uint64_t)zeros | PTE_PRESENT | PTE_ACCESSED | PTE_NX;
    for (unsigned i = 0; i < WINDOW_TABLES; i++) {
        window[i] = tables[i];
        for (unsigned j = 0; j < PAGING_ENTRIES; j++)
            window[i][j] = (uint64_t)hole | TABLE_FLAGS;
        pointers[WINDOW_FIRST + i] = (uint64_t)window[i] | TABLE_FLAGS;
    }
    *walk(REGION_PTES, PAGING_LEVELS - 1) = (uint64_t)pointers | TABLE_FLAGS;
    measure_flushes();
    return 0;
}
