/*
 * What is in the space: a design as in the OO7 benchmark (Carey, DeWitt and Naughton, SIGMOD '93).
 * A tree of complex assemblies has base assemblies at its leaves; those use composite parts of a
 * library, each of which is a graph of atomic parts. Pages lie at random all over the space.
 */
#ifndef BIGSPACE_BUILD_H
#define BIGSPACE_BUILD_H

#include <stdint.h>

#include "guest/workloads/bigspace/space.h"

enum {
    FANOUT = 3, /* of assemblies: others below, or composite parts */
    PARTS = 20, /* of a composite part */
    PART_CONNECTIONS = 3,
    LEVELS_MOST = 9,
};

/* What a composite part's references are, and an atomic part's. */
enum {
    COMPOSITE_ROOT = 0, /* one of its parts, from which all others are reached */
    COMPOSITE_LAST = 1, /* the composite part before it in a traversal that links them */
    COMPOSITE_LIKE = 2, /* and two more: others that nobody follows */
    PART_OF = 3,        /* the composite part; before it are PART_CONNECTIONS others of it */
};

struct design {
    uint64_t levels;     /* of assemblies, at least 1, at most LEVELS_MOST */
    uint64_t composites; /* in the library, at least 1 */
    uint64_t space;      /* bytes of addresses that pages are spread over */
    uint64_t seed;
};

/* Pages that a design takes. */
size_t design_pages(const struct design *design);

/*
 * Make a design. Returns 0 and the address of the topmost assembly; -EINVAL for a space that has
 * less than twice the pages; or -ENOMEM.
 */
int design_build(const struct design *design, struct space *space, uint64_t *root);

#endif
