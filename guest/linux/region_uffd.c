/*
 * REGION_UFFD: the protection of a region's own pages by userfaultfd. A page that allows reading
 * alone is write-protected; one that allows nothing is taken out of the page tables, while it stays
 * in the file, so that the next access is a minor fault. Either fault is a SIGBUS in the thread
 * that makes it. The mappings stay as they are, whatever is protected.
 */
#include "guest/linux/region_uffd.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "guest/linux/uffd.h"

static int uffd = -1;

bool region_uffd_begin(void)
{
    if (uffd < 0)
        uffd = uffd_open(UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MINOR_SHMEM |
                         UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
                         UFFD_FEATURE_WP_UNPOPULATED);
    return uffd >= 0;
}

bool region_uffd_create(struct region *region)
{
    return uffd_register(uffd, region->base, region->pages * TRAPLINE_PAGE_SIZE,
                         UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP);
}

/* The page must be in the file, or the next access would be no minor fault. */
static bool take_out(const struct region *region, size_t page, size_t bytes)
{
    return fallocate(region->state->memory, 0, (off_t)(page * TRAPLINE_PAGE_SIZE), (off_t)bytes) ==
               0 &&
           madvise((void *)region_slot_address(region, page), bytes, MADV_DONTNEED) == 0;
}

int region_uffd_tell(const struct region *region, size_t page, size_t pages, unsigned access)
{
    const uint64_t address = region_slot_address(region, page);
    const size_t bytes = pages * TRAPLINE_PAGE_SIZE;
    const unsigned actual = region->state->slots[page].actual;
    const bool read_only = !(access & TRAPLINE_WRITE);
    bool done = true;

    if (access == TRAPLINE_NONE) {
        done = take_out(region, page, bytes);
    } else {
        if (actual == TRAPLINE_NONE || actual == ACTUAL_UNKNOWN)
            done = uffd_continue(uffd, address, bytes, read_only);
        if (done && actual != TRAPLINE_NONE)
            done = uffd_write_protect(uffd, address, bytes, read_only);
    }
    return done ? 0 : -TRAPLINE_ENOMEM;
}

bool region_uffd_resolve(const struct region *region, size_t page)
{
    const uint64_t address = region_slot_address(region, page);
    const bool read_only = !(region->state->slots[page].actual & TRAPLINE_WRITE);

    return uffd_continue(uffd, address, TRAPLINE_PAGE_SIZE, read_only) &&
           (read_only || uffd_write_protect(uffd, address, TRAPLINE_PAGE_SIZE, false));
}
