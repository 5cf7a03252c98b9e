/* The calls of region.h that a guest has inline; here they enter the kernel. Only region.h includes
 * this.
 */
#ifndef TRAPLINE_REGION_INLINE_H
#define TRAPLINE_REGION_INLINE_H

static inline unsigned region_rights(const struct region *region)
{
    return region->mechanism == REGION_UFFD ? TRAPLINE_READ | TRAPLINE_WRITE
                                            : TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC;
}

static inline int region_prot1(struct region *region, void *page, unsigned access)
{
    return region_prot1_slow(region, page, access);
}

static inline int region_unprot_range(struct region *region, void *page, size_t pages)
{
    return region_unprot_slow(region, page, pages);
}

static inline int region_unprot(struct region *region, void *page)
{
    return region_unprot_slow(region, page, 1);
}

#endif
