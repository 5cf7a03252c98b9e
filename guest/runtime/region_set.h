/* Sets of a region's pages: what region_set.c has to do with the mechanisms. */
#ifndef GUEST_RUNTIME_REGION_SET_H
#define GUEST_RUNTIME_REGION_SET_H

#include <trapline/region.h>

struct region_set {
    struct region_set *next;
    struct region *region;
    uint8_t key;       /* with keys: the pages' protection key */
    uint32_t key_unit; /* with keys: the lower of the key's bits in PKRU */
    unsigned access;   /* with keys: what PKRU allows for it */
    size_t strays;     /* with keys: pages that were protected singly since */
    size_t count;
    void **pages;      /* in the order they were given */
    uint32_t *strayed; /* the strays, as page numbers in the region */
};

/* A new set's pages are given all access, by the region's mechanism. Returns 0 or an error. */
int region_set_begin(struct region_set *set);

/* And again, before the set is forgotten. */
void region_set_end(struct region_set *set);

/* Set a set's access page by page. */
TRAP_LEAN_HANDLER int region_set_protn(struct region_set *set, unsigned access);

#endif
