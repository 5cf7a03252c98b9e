/* Telling the kernel what may be done with pages, and what it means when it says that one may not.
 */
#include <sys/mman.h>

#include "guest/linux/region_dirty.h"

/* What an access to a slot may do without a fault. */
static unsigned allowed_now(const struct region *region, size_t slot)
{
    const struct slot *const at = &region->state->slots[slot];

    return region_write_is_awaited(region, at->page) ? at->access & ~(unsigned)TRAPLINE_WRITE
                                                     : at->access;
}

static int tell(struct region *region, size_t slot, size_t count, unsigned access)
{
    const int protection = (access & TRAPLINE_READ ? PROT_READ : 0) |
                           (access & TRAPLINE_WRITE ? PROT_WRITE : 0) |
                           (access & TRAPLINE_EXEC ? PROT_EXEC : 0);

    return mprotect((void *)region_slot_address(region, slot), count * TRAPLINE_PAGE_SIZE,
                    protection) == 0
               ? 0
               : -TRAPLINE_ENOMEM;
}

int region_apply(struct region *region, size_t slot, size_t count)
{
    struct slot *const slots = region->state->slots;
    const size_t end = slot + count;

    while (slot < end) {
        const unsigned access = allowed_now(region, slot);
        size_t next = slot;

        while (next < end && slots[next].actual != access && allowed_now(region, next) == access)
            next++;
        if (next == slot) { /* it is so already */
            slot++;
            continue;
        }
        if (tell(region, slot, next - slot, access) != 0)
            return -TRAPLINE_ENOMEM;
        for (; slot < next; slot++)
            slots[slot].actual = (uint8_t)access;
    }
    return 0;
}

enum region_fault region_fault(uint64_t address, unsigned kind, bool is_sigbus)
{
    enum region_fault result = REGION_FAULT_FORBIDDEN;
    struct region *region;

    region_lock();
    region = region_find(address);
    if (!region || is_sigbus || !region->state->slots[region_slot(region, address)].mapped) {
        result = REGION_FAULT_FOREIGN;
    } else {
        const size_t slot = region_slot(region, address);

        if (!(kind & ~(unsigned)region->state->slots[slot].access)) {
            if (kind == TRAPLINE_WRITE)
                region_written(region, region->state->slots[slot].page);
            result = region_apply(region, slot, 1) == 0 ? REGION_FAULT_RETRY : REGION_FAULT_FOREIGN;
        }
    }
    region_unlock();
    return result;
}
