#include "hv/memory.h"

#include <string.h>

#include "hv/address_space.h"
#include "hv/extents.h"
#include "hv/lock.h"
#include "hv/machine.h"

enum {
    FIRST_EXTENTS = HANDOVER_MAX_REGIONS + 64,
    LOW_MEMORY = 1 << 20, /* below: left to firmware habits and to starting CPUs */
    SPARE_ENTRIES = 2,    /* what one operation can need */
};

static struct extent first_list[FIRST_EXTENTS];
static struct extents free_memory = {.list = first_list, .capacity = FIRST_EXTENTS};
static struct spinlock lock;

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

/* Keep room in the list, so that no operation fails for want of an entry. Called with the lock
 * held. */
static void reserve_entries(void)
{
    struct extent *old = free_memory.list;
    size_t capacity = free_memory.capacity;
    uint64_t base;

    if (free_memory.count + SPARE_ENTRIES <= capacity)
        return;
    if (extents_take(&free_memory, round_up(2 * capacity * sizeof(*old)), PAGE_SIZE, &base) !=
        EXTENTS_OK)
        return;
    extents_move(&free_memory, phys_to_virt(base), 2 * capacity);
    if (old != first_list)
        extents_put(&free_memory, virt_to_phys(old), round_up(capacity * sizeof(*old)));
}

void memory_init(const struct handover *handover)
{
    for (uint32_t i = 0; i < handover->region_count; i++) {
        const struct handover_region *region = &handover->regions[i];
        uint64_t end = region->base + region->size;
        uint64_t base = region->base < LOW_MEMORY ? LOW_MEMORY : region->base;

        if (region->type != HANDOVER_MEM_FREE || end <= base)
            continue;
        if (extents_put(&free_memory, base, end - base) != EXTENTS_OK)
            panic("memory map: region %u at %llx overlaps another", i,
                  (unsigned long long)region->base);
    }
    address_space_init(handover);
    memory_load();
}

uint64_t memory_alloc_raw(uint64_t bytes, uint64_t align)
{
    uint64_t base;

    bytes = round_up(bytes);
    if (bytes == 0)
        return 0;
    spin_lock(&lock);
    reserve_entries();
    enum extents_result result = extents_take(&free_memory, bytes, align, &base);
    spin_unlock(&lock);
    return result == EXTENTS_OK ? base : 0;
}

uint64_t memory_alloc(uint64_t bytes, uint64_t align)
{
    uint64_t base = memory_alloc_raw(bytes, align);

    if (base)
        memset(phys_to_virt(base), 0, round_up(bytes));
    return base;
}

void memory_free(uint64_t phys, uint64_t bytes)
{
    spin_lock(&lock);
    reserve_entries();
    enum extents_result result = extents_put(&free_memory, phys, round_up(bytes));
    spin_unlock(&lock);
    if (result != EXTENTS_OK)
        panic("freeing %llx bytes at %llx, which are not in use", (unsigned long long)bytes,
              (unsigned long long)phys);
}

uint64_t memory_free_bytes(void)
{
    spin_lock(&lock);
    uint64_t bytes = free_memory.bytes;
    if (free_memory.list != first_list)
        bytes += round_up(free_memory.capacity * sizeof(*free_memory.list));
    spin_unlock(&lock);
    return bytes;
}
