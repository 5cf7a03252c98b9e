/*
 * What the kernel tells of a process's pages: /proc/self/pagemap, its entries and PAGEMAP_SCAN
 * (Linux 6.7); see the kernel's Documentation/admin-guide/mm/pagemap.rst and soft-dirty.rst.
 */
#ifndef GUEST_LINUX_PAGEMAP_H
#define GUEST_LINUX_PAGEMAP_H

#include <linux/ioctl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGEMAP_SOFT_DIRTY (1ull << 55) /* of an entry */

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

/* /proc/self/pagemap, and /proc/self/clear_refs to be written to; -1 where there is none. */
int pagemap_open(void);
int clear_refs_open(void);

/* Read the entries of count pages from address on. */
bool pagemap_read(int pagemap, uint64_t address, uint64_t *entries, size_t count);

/* Clear the soft-dirty flags of the whole process. */
bool soft_dirty_clear(int clear_refs);

/* Are there soft-dirty flags? A kernel without them takes the call to clear and does nothing. */
bool soft_dirty_works(int pagemap, int clear_refs);

/*
 * Tell the ranges of [*start, end) that were written to since they were write-protected for
 * UFFD_FEATURE_WP_ASYNC, and write-protect them again, in one call. Where it stopped comes back in
 * *start: it is end unless the vector was full. Returns the number of ranges, or -1.
 */
int pagemap_scan(int pagemap, uint64_t *start, uint64_t end, struct scan_range *vector,
                 size_t length);

#endif
