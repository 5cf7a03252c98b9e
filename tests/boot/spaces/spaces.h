/* What the tests of spaces have in common. After probe.h. */
#ifndef TRAPLINE_TESTS_SPACES_H
#define TRAPLINE_TESTS_SPACES_H

#include <trapline/space.h>

#include "probe.h"

static const unsigned accesses[] = {TRAPLINE_NONE, TRAPLINE_READ, ACCESS_RW, ACCESS_RX, ACCESS_ALL};

/* A region over page tables, its pages ready for allowed(). */
static inline struct region *need_region(size_t pages, size_t align)
{
    struct region *region;
    const int result = region_create(&region, pages, align, REGION_PT);

    if (result != 0) {
        printf("not ok region: %s\n", trapline_error_name(result));
        exit(EXIT_FAILURE);
    }
    plant_ret(region_base(region), pages);
    return region;
}

static inline char *page_of(const struct region *region, size_t index)
{
    return (char *)region_base(region) + index * PAGE;
}

static inline unsigned need_space(void)
{
    const int space = space_create();

    if (space < 1) {
        printf("not ok spaces: none could be made: %s\n", trapline_error_name(space));
        exit(EXIT_FAILURE);
    }
    return (unsigned)space;
}

/* What a page allows in a space; the caller is in space 0. */
static inline unsigned allowed_in(unsigned space, void *page)
{
    unsigned access;

    space_switch(space);
    access = allowed(page);
    space_switch(0);
    return access;
}

/* Have the CPU cache what it may of a page in a space: a translation that allows writing. */
static inline void warm(unsigned space, void *page)
{
    space_switch(space);
    *(volatile char *)page = (char)PROBE_RET;
    space_switch(0);
}

#endif
