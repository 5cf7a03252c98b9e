/* Regions whose own pages userfaultfd protects; their aliases are protected as any. */
#ifndef GUEST_LINUX_REGION_UFFD_H
#define GUEST_LINUX_REGION_UFFD_H

#include "guest/linux/region.h"

/* Whether the kernel has what it needs. */
bool region_uffd_begin(void);

/* Take over a new region, which allows everything. */
bool region_uffd_create(struct region *region);

/* Whether a slot is one of those. */
static inline bool region_uffd_has(const struct region *region, size_t slot)
{
    return region->mechanism == REGION_UFFD && slot < region->pages;
}

/* Allow just access at pages that all allow the same so far. Returns 0 or -ENOMEM. */
int region_uffd_tell(const struct region *region, size_t page, size_t pages, unsigned access);

/* A page that allows the access faulted: it was not in this mapping yet. */
bool region_uffd_resolve(const struct region *region, size_t page);

#endif
