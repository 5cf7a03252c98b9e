/*
 * The programs: walks through a design, or what is below one of its assemblies, as OO7's
 * traversals. The same text (walk_body.h) is compiled for references of the window, for addresses
 * that are looked up in the cache, and for addresses in the space itself.
 */
#ifndef BIGSPACE_WALK_H
#define BIGSPACE_WALK_H

#include <stdint.h>

#include "guest/workloads/bigspace/cache.h"
#include "guest/workloads/bigspace/space.h"
#include "guest/workloads/bigspace/window.h"

enum walk_kind {
    WALK_READ,   /* each atomic part of each composite part, its connections followed depth first */
    WALK_UPDATE, /* the same; x and y of each part are exchanged */
    WALK_RELINK, /* the same; each part's connections change places, and each composite part gets a
                  * reference to the one before it */
    WALK_KINDS,
};

struct walk_result {
    uint64_t looks; /* references followed */
    uint64_t parts; /* visited */
    uint64_t sum;   /* of what they hold, which depends on their order */
};

/* root: the address of an assembly. */
void walk_window(struct window *window, uint64_t root, enum walk_kind kind,
                 struct walk_result *result);
void walk_cache(struct cache *cache, uint64_t root, enum walk_kind kind,
                struct walk_result *result);
void walk_space(struct space *space, uint64_t root, enum walk_kind kind,
                struct walk_result *result);

#endif
