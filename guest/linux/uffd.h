/* userfaultfd: see ioctl_userfaultfd(2), and the kernel's Documentation/admin-guide/mm. */
#ifndef GUEST_LINUX_UFFD_H
#define GUEST_LINUX_UFFD_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of kernels from 6.4 and 6.7 on, newer than some systems' headers. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFDIO_CONTINUE_MODE_WP
#define UFFDIO_CONTINUE_MODE_WP (1ull << 1)
#endif

/* Open a descriptor with these features; -1 where the kernel has them not or forbids the call. */
int uffd_open(uint64_t features);

/* Have a range's faults of these modes (UFFDIO_REGISTER_MODE_*). */
bool uffd_register(int uffd, uint64_t address, size_t bytes, uint64_t modes);

/* Forbid writing to a range, pages that nobody has touched included, or allow it. */
bool uffd_write_protect(int uffd, uint64_t address, size_t bytes, bool forbid);

/* Map the pages of a range that are in the file but not in the page tables. */
bool uffd_continue(int uffd, uint64_t address, size_t bytes, bool forbid_writing);

#endif
