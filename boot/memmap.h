/*
 * From the firmware's memory map to the hand-over's: sorted, merged, without overlaps. Pure.
 * Source: UEFI specification 2.10, 7.2 (memory types and attributes).
 */
#ifndef TRAPLINE_BOOT_MEMMAP_H
#define TRAPLINE_BOOT_MEMMAP_H

#include <stddef.h>
#include <stdint.h>

#include "boot/handover.h"

enum {
    MEMMAP_MAX_DESCRIPTORS = 4096,
    MEMMAP_MAX_KEPT = 128,
    /* Each descriptor and each kept range has two ends, the first MiB one more. */
    MEMMAP_SCRATCH = 2 * (MEMMAP_MAX_DESCRIPTORS + MEMMAP_MAX_KEPT) + 1,
};

/* A range of memory that the loader allocated and the hypervisor needs. */
struct memmap_kept {
    uint64_t base; /* bytes, multiple of 4096 */
    uint64_t size;
};

struct memmap_input {
    const void *map;        /* EFI_MEMORY_DESCRIPTORs */
    size_t map_size;        /* bytes */
    size_t descriptor_size; /* bytes from one to the next, at least 40 */
    const struct memmap_kept *kept;
    size_t kept_count;
};

enum memmap_error {
    MEMMAP_OK = 0,
    MEMMAP_BAD_SIZE,     /* the descriptor size is impossible */
    MEMMAP_TOO_MANY,     /* more than MEMMAP_MAX_DESCRIPTORS or MEMMAP_MAX_KEPT */
    MEMMAP_NO_ROOM,      /* more than max regions */
    MEMMAP_KEPT_OUTSIDE, /* a kept range is not in memory that the loader may own */
};

/*
 * Convert. Where descriptors overlap, the type that allows less wins. Memory below 1 MiB is never
 * free. scratch: MEMMAP_SCRATCH numbers. regions: room for max; *count gets how many there are.
 */
enum memmap_error memmap_convert(const struct memmap_input *input, uint64_t *scratch,
                                 struct handover_region *regions, size_t max, uint32_t *count);

/* What is wrong, as a phrase. */
const char *memmap_error_text(enum memmap_error error);

#endif
