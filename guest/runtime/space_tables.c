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

#define OWN_TABLE (PTE_PRESENT | PTE_OWN)

static bool is_own(uint64_t entry)
{
    return (entry & OWN_TABLE) == OWN_TABLE;
}

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
        if (is_own(own[i]))
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

        if (!is_own(own[index])) {
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

size_t space_tables_chunk(uint64_t address, size_t pages)
{
    const size_t room = PAGING_ENTRIES - table_index(address, 0);

    return pages < room ? pages : room;
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

uint64_t *space_tables_leaf(uint64_t *root, uint64_t address)
{
    uint64_t *table = root;

    for (int level = ROOT_LEVEL; level > 0; level--) {
        const uint64_t entry = table[table_index(address, level)];

        if (!is_own(entry))
            return NULL;
        table = table_at(entry);
    }
    return &table[table_index(address, 0)];
}

/* The dirty flag of an own entry counts for DIRTY if the page, this one, was tracked already. */
static uint64_t derived(uint64_t full, uint64_t own, uint64_t denied)
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

uint64_t space_tables_derive(uint64_t *entry, uint64_t address, uint64_t clear, uint64_t set,
                             uint64_t *now)
{
    const uint64_t full = page_tables_read(address);
    uint64_t old = __atomic_load_n(entry, __ATOMIC_RELAXED);

    do {
        *now = derived(full, old, (old & PTE_DENIED & ~clear) | set);
    } while (
        !__atomic_compare_exchange_n(entry, &old, *now, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old;
}

static void follow_table(uint64_t *full, uint64_t *own, int level)
{
    for (unsigned i = 0; level > 0 && i < PAGING_ENTRIES; i++) {
        uint64_t entry = full[i];

        if (level == ROOT_LEVEL && i == SPACE_SLOT)
            continue;
        if (is_own(own[i]))
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
