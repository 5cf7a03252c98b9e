/*
 * DIRTY by PAGEMAP_SCAN (Linux 6.7): the kernel write-protects pages for itself, resolves the fault
 * of the first write without a word to anybody, and tells and protects again those that were
 * written in one call. See the kernel's Documentation/admin-guide/mm/pagemap.rst.
 */
#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest/linux/region_dirty.h"
#include "guest/linux/uffd.h"

enum {
    SCAN_VECTOR = 64, /* ranges that one call tells */
};

/* As in the kernel's linux/fs.h, of which many systems have an older one. */
struct scan_range {
    uint64_t start, end, categories;
};

struct scan_argument {
    uint64_t size, flags;
    uint64_t start, end, walk_end;
    uint64_t vector, vector_length, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

enum {
    SCAN_WRITE_PROTECT = 1 << 0, /* the pages that are told */
    SCAN_IS_WRITTEN = 1 << 1,    /* a category */
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_argument)

static int uffd = -1, pagemap = -1;

/* One call for a range; where it ended comes back in *start. Returns ranges in vector, or -1. */
static int scan(uint64_t *start, uint64_t end, struct scan_range *vector)
{
    struct scan_argument argument = {.size = sizeof(argument),
                                     .flags = SCAN_WRITE_PROTECT,
                                     .start = *start,
                                     .end = end,
                                     .vector = (uint64_t)vector,
                                     .vector_length = SCAN_VECTOR,
                                     .category_mask = SCAN_IS_WRITTEN,
                                     .return_mask = SCAN_IS_WRITTEN};
    const int result = ioctl(pagemap, SCAN_IOCTL, &argument);

    *start = argument.walk_end;
    return result;
}

static bool begin(void)
{
    struct scan_range vector[SCAN_VECTOR];
    uint64_t start = 0;

    uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                     UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED);
    pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (uffd >= 0 && pagemap >= 0 && scan(&start, TRAPLINE_PAGE_SIZE, vector) >= 0)
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
        const int ranges = scan(&start, end, vector);

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
