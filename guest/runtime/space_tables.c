/* Calls that restrict nothing new are made in handlers that keep to the general registers. */
#pragma GCC target("general-regs-only")

#include "guest/runtime/space_tables.h"

#include <trapline/memory.h>
#include <trapline/space.h>
#include <trapline/string.h>

#include "guest/runtime/page_tables.h"

enum {
    ROOT_LEVEL = PAGING_LEVELS - 1,
};

static uint64_t *copy_table(const uint64_t *table)
{
    uint64_t *const copy = pages_alloc(1, 1);

    return copy ? memcpy(copy, table, TRAPLINE_PAGE_SIZE) : NULL;
}

uint64_t *space_tables_create(unsigned space)
{
    uint64_t *const root = copy_table(page_tables_root());

    if (root)
        root[SPACE_SLOT] = (uint64_t)space << 1;
    return root;
}

/* Of each own table, of the space and its counterpart in space 0; those below a table come first.
 */
typedef void visitor(uint64_t *full, uint64_t *own, int level);

static void visit_own(uint64_t *full, uint64_t *own, int level, visitor *visit)
{
    for (unsigned i = 0; level > 0 && i < PAGING_ENTRIES; i++)
        if (space_tables_own(own[i]))
            visit_own(table_at(full[i]), table_at(own[i]), level - 1, visit);
    visit(full, own, level);
}

static void free_table(uint64_t *full, uint64_t *own, int level)
{
    (void)full;
    (void)level;
    pages_free(own, 1);
}

void space_tables_destroy(uint64_t *root)
{
    visit_own(page_tables_root(), root, ROOT_LEVEL, free_table);
}

static int cover_chunk(uint64_t *root, uint64_t address, bool *made)
{
    uint64_t *full = page_tables_root(), *own = root;

    for (int level = ROOT_LEVEL; level > 0; level--) {
        const unsigned index = table_index(address, level);

        if (!space_tables_own(own[index])) {
            uint64_t *const table = copy_table(table_at(full[index]));

            if (!table)
                return -TRAPLINE_ENOMEM;
            __atomic_store_n(&own[index], (full[index] & ~PTE_ADDRESS) | (uint64_t)table | PTE_OWN,
                             __ATOMIC_RELEASE);
            *made = true;
        }
        full = table_at(full[index]);
        own = table_at(own[index]);
    }
    return 0;
}

int space_tables_cover(uint64_t *root, uint64_t address, size_t pages, bool *made)
{
    int result = 0;

    for (size_t i = 0; i < pages && result == 0;) {
        const uint64_t at = address + i * TRAPLINE_PAGE_SIZE;

        result = cover_chunk(root, at, made);
        i += space_tables_chunk(at, pages - i);
    }
    return result;
}

static void follow_table(uint64_t *full, uint64_t *own, int level)
{
    for (unsigned i = 0; level > 0 && i < PAGING_ENTRIES; i++) {
        uint64_t entry = full[i];

        if (level == ROOT_LEVEL && i == SPACE_SLOT)
            continue;
        if (space_tables_own(own[i]))
            entry = (entry & ~PTE_ADDRESS) | (own[i] & PTE_ADDRESS) | PTE_OWN;
        if (own[i] != entry)
            __atomic_store_n(&own[i], entry, __ATOMIC_RELEASE);
    }
}

void space_tables_follow(uint64_t *root)
{
    visit_own(page_tables_root(), root, ROOT_LEVEL, follow_table);
}

static void collect_table(uint64_t *full, uint64_t *own, int level)
{
    const uint64_t written = PTE_TRACKED | PTE_DIRTY;

    for (unsigned i = 0; level == 0 && i < PAGING_ENTRIES; i++) {
        if ((__atomic_load_n(&own[i], __ATOMIC_RELAXED) & written) != written)
            continue;
        __atomic_or_fetch(&full[i], PTE_DIRTY, __ATOMIC_SEQ_CST);
        __atomic_and_fetch(&own[i], ~(uint64_t)PTE_DIRTY, __ATOMIC_SEQ_CST);
    }
}

void space_tables_collect(uint64_t *root)
{
    visit_own(page_tables_root(), root, ROOT_LEVEL, collect_table);
}
