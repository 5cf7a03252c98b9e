/* Telling the kernel what may be done with pages, and what it means when it says that one may not.
 */
#include <sys/mman.h>

#include "guest/linux/region_dirty.h"
#include "guest/linux/region_uffd.h"

/* What an access to a slot may do without a fault. */
static unsigned allowed_now(const struct region *region, size_t slot)
{
    const struct slot *const at = &region->state->slots[slot];

    return region_write_is_awaited(region, at->page) ? at->access & ~(unsigned)TRAPLINE_WRITE
                                                     : at->access;
}

static int tell(const struct region *region, size_t slot, size_t count, unsigned access)
{
    const int protection = (access & TRAPLINE_READ ? PROT_READ : 0) |
                           (access & TRAPLINE_WRITE ? PROT_WRITE : 0) |
                           (access & TRAPLINE_EXEC ? PROT_EXEC : 0);

    if (region_uffd_has(region, slot))
        return region_uffd_tell(region, slot, count, access);
    return mprotect((void *)region_slot_address(region, slot), count * TRAPLINE_PAGE_SIZE,
                    protection) == 0
               ? 0
               : -TRAPLINE_ENOMEM;
}

/* Where a run of slots ends that begins at slot and is to be told the same; slot: nothing is. */
static size_t run_end(const struct region *region, size_t slot, size_t end)
{
    const struct slot *const slots = region->state->slots;
    const unsigned access = allowed_now(region, slot), actual = slots[slot].actual;
    const bool uffd = region_uffd_has(region, slot);

    while (slot < end && slots[slot].actual != access && allowed_now(region, slot) == access &&
           region_uffd_has(region, slot) == uffd && (!uffd || slots[slot].actual == actual))
        slot++;
    return slot;
}

int region_apply(struct region *region, size_t slot, size_t count)
{
    struct slot *const slots = region->state->slots;
    const size_t end = slot + count;

    while (slot < end) {
        const unsigned access = allowed_now(region, slot);
        const size_t next = run_end(region, slot, end);

        if (next == slot) { /* it is so already */
            slot++;
            continue;
        }
        if (tell(region, slot, next - slot, access) != 0) {
            for (; slot < next; slot++)
                slots[slot].actual = ACTUAL_UNKNOWN;
            return -TRAPLINE_ENOMEM;
        }
        for (; slot < next; slot++)
            slots[slot].actual = (uint8_t)access;
    }
    return 0;
}

static enum region_fault judge(struct region *region, size_t slot, unsigned kind, bool is_sigbus)
{
    const struct slot *const at = &region->state->slots[slot];
    bool good = true;

    if (!at->mapped)
        return REGION_FAULT_FOREIGN;
    if (kind & ~(unsigned)at->access)
        return REGION_FAULT_FORBIDDEN;
    if (is_sigbus != region_uffd_has(region, slot))
        return REGION_FAULT_FOREIGN;
    if (kind == TRAPLINE_WRITE)
        region_written(region, at->page);
    if (at->actual != allowed_now(region, slot))
        good = region_apply(region, slot, 1) == 0;
    else if (is_sigbus)
        good = region_uffd_resolve(region, slot);
    return good ? REGION_FAULT_RETRY : REGION_FAULT_FOREIGN;
}

enum region_fault region_fault(uint64_t address, unsigned kind, bool is_sigbus)
{
    enum region_fault result = REGION_FAULT_FOREIGN;
    struct region *region;

    region_lock();
    region = region_find(address);
    if (region)
        result = judge(region, region_slot(region, address), kind, is_sigbus);
    region_unlock();
    return result;
}
