#include "guest/linux/pagemap.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <trapline/abi.h>

int pagemap_open(void)
{
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

int clear_refs_open(void)
{
    return open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
}

bool pagemap_read(int pagemap, uint64_t address, uint64_t *entries, size_t count)
{
    const size_t bytes = count * sizeof(*entries);
    const off_t offset = (off_t)(address / TRAPLINE_PAGE_SIZE * sizeof(*entries));

    return pread(pagemap, entries, bytes, offset) == (ssize_t)bytes;
}

bool soft_dirty_clear(int clear_refs)
{
    return pwrite(clear_refs, "4", 1, 0) == 1;
}

static bool try_page(int pagemap, int clear_refs, volatile char *page)
{
    uint64_t clean, written;

    *page = 1;
    if (!soft_dirty_clear(clear_refs) || !pagemap_read(pagemap, (uint64_t)page, &clean, 1))
        return false;
    *page = 2;
    return pagemap_read(pagemap, (uint64_t)page, &written, 1) && !(clean & PAGEMAP_SOFT_DIRTY) &&
           (written & PAGEMAP_SOFT_DIRTY);
}

bool soft_dirty_works(int pagemap, int clear_refs)
{
    void *const page =
        mmap(NULL, TRAPLINE_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool good;

    if (page == MAP_FAILED)
        return false;
    good = pagemap >= 0 && clear_refs >= 0 && try_page(pagemap, clear_refs, page);
    munmap(page, TRAPLINE_PAGE_SIZE);
    return good;
}

int pagemap_scan(int pagemap, uint64_t *start, uint64_t end, struct scan_range *vector,
                 size_t length)
{
    struct scan_argument argument = {.size = sizeof(argument),
                                     .flags = SCAN_WRITE_PROTECT,
                                     .start = *start,
                                     .end = end,
                                     .vector = (uint64_t)vector,
                                     .vector_length = length,
                                     .category_mask = SCAN_IS_WRITTEN,
                                     .return_mask = SCAN_IS_WRITTEN};
    const int result = ioctl(pagemap, SCAN_IOCTL, &argument);

    *start = argument.walk_end;
    return result;
}
