#include "hv/paging.h"

#include <stddef.h>

enum {
    LEAF_LEVEL = 1,
    ROOT_LEVEL = 4,
    LEVEL_BITS = 9,
    PAGE_BITS = 12,
    VIRT_BITS = 48,
};

static uint64_t level_size(unsigned level)
{
    return 1ull << (PAGE_BITS + LEVEL_BITS * (level - 1));
}

static unsigned level_index(uint64_t virt, unsigned level)
{
    return virt / level_size(level) % (1u << LEVEL_BITS);
}

static bool canonical(uint64_t virt)
{
    return (uint64_t)((int64_t)(virt << (64 - VIRT_BITS)) >> (64 - VIRT_BITS)) == virt;
}

static uint64_t leaf_bits(unsigned rights, unsigned level)
{
    uint64_t bits = PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY;

    if (rights & PAGING_WRITE)
        bits |= PTE_WRITE;
    if (!(rights & PAGING_EXEC))
        bits |= PTE_NOEXEC;
    if (rights & PAGING_GLOBAL)
        bits |= PTE_GLOBAL;
    if (rights & PAGING_WC)
        bits |= PTE_PWT;
    if (rights & PAGING_UC)
        bits |= PTE_PCD | PTE_PWT;
    if (level > LEAF_LEVEL)
        bits |= PTE_LARGE;
    return bits;
}

/* The level of the largest page that fits at the beginning of the range. */
static unsigned best_level(const struct paging *paging, uint64_t virt, uint64_t phys,
                           uint64_t bytes)
{
    unsigned level = paging->pages_1g ? 3 : 2;

    while (level > LEAF_LEVEL &&
           (((virt | phys) & (level_size(level) - 1)) || bytes < level_size(level)))
        level--;
    return level;
}

static enum paging_result map_leaf(struct paging *paging, uint64_t virt, uint64_t phys,
                                   unsigned level, unsigned rights)
{
    uint64_t *table = paging->table(paging->context, paging->root);

    for (unsigned l = ROOT_LEVEL; l > level; l--) {
        uint64_t *entry = &table[level_index(virt, l)];
        if (!(*entry & PTE_PRESENT)) {
            uint64_t page = paging->alloc(paging->context);
            if (page == 0)
                return PAGING_NO_MEMORY;
            *entry = page | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
        } else if (*entry & PTE_LARGE) {
            return PAGING_TAKEN;
        }
        table = paging->table(paging->context, *entry & PTE_ADDRESS);
    }
    uint64_t *leaf = &table[level_index(virt, level)];
    if (*leaf & PTE_PRESENT)
        return PAGING_TAKEN;
    *leaf = phys | leaf_bits(rights, level);
    return PAGING_OK;
}

enum paging_result paging_map(struct paging *paging, uint64_t virt, uint64_t phys, uint64_t bytes,
                              unsigned rights)
{
    if (((virt | phys | bytes) & (level_size(LEAF_LEVEL) - 1)) || bytes == 0)
        return PAGING_BAD;
    if (!canonical(virt) || !canonical(virt + bytes - 1) || (virt ^ (virt + bytes - 1)) >> 63)
        return PAGING_BAD;
    if (phys + bytes - 1 < phys || ((phys + bytes - 1) & ~PTE_ADDRESS) >> PAGE_BITS)
        return PAGING_BAD;
    if ((rights & PAGING_WRITE) && (rights & PAGING_EXEC) && !paging->allow_wx)
        return PAGING_BAD;

    while (bytes) {
        unsigned level = best_level(paging, virt, phys, bytes);
        enum paging_result result = map_leaf(paging, virt, phys, level, rights);
        if (result != PAGING_OK)
            return result;
        virt += level_size(level);
        phys += level_size(level);
        bytes -= level_size(level);
    }
    return PAGING_OK;
}

uint64_t paging_find(const struct paging *paging, uint64_t virt, uint64_t *size)
{
    if (!canonical(virt))
        return 0;

    const uint64_t *table = paging->table(paging->context, paging->root);
    for (unsigned level = ROOT_LEVEL;; level--) {
        uint64_t entry = table[level_index(virt, level)];
        if (!(entry & PTE_PRESENT))
            return 0;
        if (level == LEAF_LEVEL || (entry & PTE_LARGE)) {
            if (size)
                *size = level_size(level);
            return entry;
        }
        table = paging->table(paging->context, entry & PTE_ADDRESS);
    }
}
