/*
 * Regions on Linux: what their parts have to do with one another.
 *
 * A region is a piece of the address space: its pages, a gap of one page, and the window of its
 * aliases. Each page of it has a slot, which says what may be done there. All memory is of one file
 * in memory, so that an alias is one more mapping of it.
 */
#ifndef GUEST_LINUX_REGION_H
#define GUEST_LINUX_REGION_H

#include <trapline/region.h>

#include "guest/runtime/region_lock.h"
#include "guest/runtime/region_set.h"

enum {
    ACCESS_ALL = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
    ACTUAL_UNKNOWN = UINT8_MAX,
};

struct slot {
    uint8_t full;   /* what UNPROT gives: enum trapline_access */
    uint8_t access; /* what PROT has left of it */
    uint8_t before; /* during a call: the access to go back to if it fails */
    uint8_t actual; /* what the kernel was told: less than the access where DIRTY waits for a
                     * write; ACTUAL_UNKNOWN after a call that failed midway */
    bool mapped;    /* in the window: there is an alias */
    uint32_t page;  /* which page of the region is here */
};

struct region_state {
    struct region *next; /* of all regions */
    int memory;          /* the file */
    size_t window;       /* pages of the window */
    size_t window_used;  /* no alias lies there or behind */
    size_t aliases;
    size_t tracked;       /* pages whose writes DIRTY reports */
    bool is_held;         /* nobody may write for the moment: see dirty_soft.c */
    struct slot *slots;   /* of pages + 1 + window pages */
    uint64_t *is_tracked; /* a bit for each page */
    uint64_t *is_dirty;   /* written since DIRTY reported it; only of pages that are tracked */
    struct region_set *sets;
};

/* The slot of the first page of the window. */
static inline size_t region_window_slot(const struct region *region)
{
    return region->pages + 1;
}

static inline size_t region_slots(const struct region *region)
{
    return region_window_slot(region) + region->state->window;
}

static inline uint64_t region_slot_address(const struct region *region, size_t slot)
{
    return region->base + slot * TRAPLINE_PAGE_SIZE;
}

/* That of an address within the region's piece of the address space. */
static inline size_t region_slot(const struct region *region, uint64_t address)
{
    return (address - region->base) / TRAPLINE_PAGE_SIZE;
}

static inline bool bit_is_set(const uint64_t *bits, size_t index)
{
    return bits[index / 64] >> index % 64 & 1;
}

static inline void bit_set(uint64_t *bits, size_t index)
{
    bits[index / 64] |= 1ull << index % 64;
}

static inline void bit_clear(uint64_t *bits, size_t index)
{
    bits[index / 64] &= ~(1ull << index % 64);
}

/* All regions; guarded by the lock, as everything here is. */
extern struct region *region_first;

/* region_find.c: the region whose piece of the address space has this address, or NULL. */
struct region *region_find(uint64_t address);

/* Whether bytes at address may be used with this access, as far as they are in regions. */
bool region_may(uint64_t address, size_t bytes, unsigned access);

/* Whether pages pages from address on are the region's or aliases. Returns 0, -EINVAL, -ENOENT. */
int region_check(const struct region *region, uint64_t address, size_t pages);

/* Whether they are the region's own. Returns also -EINVAL for aliases. */
int region_check_own(const struct region *region, uint64_t address, size_t pages);

/* Whether an access can be. Returns 0, -EINVAL or -EOPNOTSUPP. */
int region_check_access(unsigned access);

/*
 * region_apply.c: have the kernel allow at count slots what is allowed there by now. Returns 0, or
 * -ENOMEM when the process has too many mappings; some may have changed then.
 */
int region_apply(struct region *region, size_t slot, size_t count);

/*
 * An access that faulted: whether it is to be tried again, is forbidden, or has nothing to do with
 * what regions protect.
 */
enum region_fault {
    REGION_FAULT_RETRY,
    REGION_FAULT_FORBIDDEN,
    REGION_FAULT_FOREIGN,
};
enum region_fault region_fault(uint64_t address, unsigned kind, bool is_sigbus);

/*
 * region_dirty.c: whether writing to a page is forbidden only so that DIRTY learns of it; and what
 * DIRTY has to know of aliases: they were mapped, or are about to go. Returns 0 or -ENOMEM.
 */
bool region_write_is_awaited(const struct region *region, size_t page);
int region_dirty_mapped(struct region *region, size_t slot, size_t pages);
int region_dirty_unmapping(struct region *region, size_t slot, size_t pages);

#endif
