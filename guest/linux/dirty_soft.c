/*
 * DIRTY by soft-dirty flags (CONFIG_MEM_SOFT_DIRTY; see the kernel's
 * Documentation/admin-guide/mm/soft-dirty.rst). There is no reading a flag and clearing it in one:
 * all are cleared at once, those of the whole process, so that all regions are harvested with each
 * other, and nobody writes meanwhile.
 */
#include <unistd.h>

#include "guest/linux/pagemap.h"
#include "guest/linux/region_dirty.h"

enum {
    ENTRIES = 128, /* read at a time */
};

static int pagemap = -1, clear_refs = -1;

static bool begin(void)
{
    pagemap = pagemap_open();
    clear_refs = clear_refs_open();
    if (soft_dirty_works(pagemap, clear_refs))
        return true;
    close(pagemap);
    close(clear_refs);
    return false;
}

/* Slots that there are anything at: the pages, the gap, and the window as far as it was used. */
static size_t used_slots(const struct region *region)
{
    return region_window_slot(region) + region->state->window_used;
}

static int read_region(struct region *region)
{
    const size_t end = used_slots(region);
    uint64_t entries[ENTRIES];

    for (size_t slot = 0; slot < end; slot += ENTRIES) {
        const size_t count = end - slot < ENTRIES ? end - slot : ENTRIES;

        if (!pagemap_read(pagemap, region_slot_address(region, slot), entries, count))
            return -TRAPLINE_ENOMEM;
        for (size_t i = 0; i < count; i++)
            if ((entries[i] & PAGEMAP_SOFT_DIRTY) && region->state->slots[slot + i].mapped)
                region_written(region, region->state->slots[slot + i].page);
    }
    return 0;
}

/* Who writes to a region whose writes are held meets a fault, and waits for the lock in it. */
static int hold_writes(struct region *region, bool hold)
{
    region->state->is_held = hold;
    return region_apply(region, 0, used_slots(region));
}

static bool is_concerned(const struct region *region)
{
    return region->state->tracked && dirty_way_of(region) == &dirty_soft;
}

static int harvest_held(void)
{
    int result = 0;

    for (struct region *region = region_first; region && result == 0; region = region->state->next)
        if (is_concerned(region))
            result = hold_writes(region, true);
    for (struct region *region = region_first; region && result == 0; region = region->state->next)
        if (is_concerned(region))
            result = read_region(region);
    return result != 0 || soft_dirty_clear(clear_refs) ? result : -TRAPLINE_ENOMEM;
}

static int harvest(struct region *unused, size_t slot, size_t count)
{
    int result;

    (void)unused, (void)slot, (void)count;
    result = harvest_held();
    for (struct region *region = region_first; region; region = region->state->next)
        if (region->state->is_held && hold_writes(region, false) != 0)
            result = -TRAPLINE_ENOMEM;
    return result;
}

/*
 * A new mapping looks as if all of it had been written. So does, now and then, an older one that
 * the kernel makes one mapping with it; to report a page too many is no mistake of DIRTY's.
 */
static int mapped(struct region *region, size_t slot, size_t count)
{
    struct slot *const slots = &region->state->slots[slot];
    int result;

    for (size_t i = 0; i < count; i++)
        slots[i].mapped = false;
    result = harvest(region, slot, count);
    for (size_t i = 0; i < count; i++)
        slots[i].mapped = true;
    return result;
}

const struct dirty_way dirty_soft = {
    .name = "soft", .begin = begin, .mapped = mapped, .harvest = harvest, .of_all = true};
