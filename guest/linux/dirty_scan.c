/*
 * DIRTY by PAGEMAP_SCAN (Linux 6.7): the kernel write-protects pages for itself, resolves the fault
 * of the first write without a word to anybody, and tells and protects again those that were
 * written in one call. See the kernel's Documentation/admin-guide/mm/pagemap.rst.
 */
#include <unistd.h>

#include "guest/linux/pagemap.h"
#include "guest/linux/region_dirty.h"
#include "guest/linux/uffd.h"

enum {
    SCAN_VECTOR = 64, /* ranges that one call tells */
};

static int uffd = -1, pagemap = -1;

static bool begin(void)
{
    struct scan_range vector[SCAN_VECTOR];
    uint64_t start = 0;

    uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                     UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED);
    pagemap = pagemap_open();
    if (uffd >= 0 && pagemap >= 0 &&
        pagemap_scan(pagemap, &start, TRAPLINE_PAGE_SIZE, vector, SCAN_VECTOR) >= 0)
        return true;
    close(uffd);
    close(pagemap);
    return false;
}

/* Pages that nobody has touched are protected, too, or reading them would look like writing. */
static int protect_slots(struct region *region, size_t slot, size_t count)
{
    const uint64_t address = region_slot_address(region, slot);
    const size_t bytes = count * TRAPLINE_PAGE_SIZE;

    return uffd_register(uffd, address, bytes, UFFDIO_REGISTER_MODE_WP) &&
                   uffd_write_protect(uffd, address, bytes, true)
               ? 0
               : -TRAPLINE_ENOMEM;
}

static int arm(struct region *region)
{
    const size_t used = region->state->window_used;
    const int result = protect_slots(region, 0, region->pages);

    return result != 0 || used == 0 ? result
                                    : protect_slots(region, region_window_slot(region), used);
}

static int harvest(struct region *region, size_t slot, size_t count)
{
    const uint64_t end = region_slot_address(region, slot + count);
    struct scan_range vector[SCAN_VECTOR];

    for (uint64_t start = region_slot_address(region, slot); start < end;) {
        const int ranges = pagemap_scan(pagemap, &start, end, vector, SCAN_VECTOR);

        if (ranges < 0)
            return -TRAPLINE_ENOMEM;
        for (int i = 0; i < ranges; i++)
            for (uint64_t at = vector[i].start; at < vector[i].end; at += TRAPLINE_PAGE_SIZE)
                region_written(region, region->state->slots[region_slot(region, at)].page);
    }
    return 0;
}

const struct dirty_way dirty_scan = {
    .name = "scan", .begin = begin, .arm = arm, .mapped = protect_slots, .harvest = harvest};
