/*
 * Physical memory: the hypervisor's page allocator over the free regions of the hand-over map, and
 * its own page tables (direct map, image, stacks with guard pages, device memory).
 */
#ifndef TRAPLINE_HV_MEMORY_H
#define TRAPLINE_HV_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handover.h"

enum {
    PAGE_SIZE = 4096,
    PAGE_SHIFT = 12,
};

#define SIZE_2M (2ull << 20)
#define SIZE_1G (1ull << 30)

/* The direct map's address of a physical one; only for RAM that the hand-over map names. */
static inline void *phys_to_virt(uint64_t phys)
{
    return (void *)(phys + HANDOVER_DIRECT_BASE);
}

/* The physical address of an address in the direct map. */
static inline uint64_t virt_to_phys(const void *virt)
{
    return (uint64_t)virt - HANDOVER_DIRECT_BASE;
}

/* Take over the hand-over map's free regions and build and load the hypervisor's page tables. */
void memory_init(const struct handover *handover);

/* Load the hypervisor's page tables on this CPU (CR3, EFER.NXE, CR0.WP, PAT). */
void memory_load(void);

/*
 * Allocate physically contiguous memory, zeroed.
 *
 * bytes: rounded up to pages. align: a power of two of at least 4096. Returns the physical address,
 * or 0 when there is no such piece left.
 */
uint64_t memory_alloc(uint64_t bytes, uint64_t align);

/* The same, but what the memory holds is left over from its last use. */
uint64_t memory_alloc_raw(uint64_t bytes, uint64_t align);

/* Give back what memory_alloc() returned, with the same number of bytes. */
void memory_free(uint64_t phys, uint64_t bytes);

/* Bytes that are free now, or that only the list of what is free takes up. */
uint64_t memory_free_bytes(void);

/* Map device memory uncached (write-combining when wc); its virtual address, NULL = no room. */
void *memory_map_mmio(uint64_t phys, uint64_t bytes, bool wc);

/* Allocate a stack of pages pages above an unmapped guard page; its top, NULL = no memory. */
void *memory_alloc_stack(unsigned pages);

#endif
