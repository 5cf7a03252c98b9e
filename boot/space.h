/*
 * The transitional address space: all RAM and the low 4 GiB at their own addresses (for the
 * loader's last instructions) and in the direct map, and the hypervisor's image. Pure.
 */
#ifndef TRAPLINE_BOOT_SPACE_H
#define TRAPLINE_BOOT_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/elf.h"
#include "boot/handover.h"

struct space_input {
    const struct handover_region *regions; /* sorted */
    size_t region_count;
    const struct elf_image *image;
    uint64_t image_phys; /* where HANDOVER_HV_BASE lies */
    bool pages_1g;       /* the CPU has 1 GiB pages */
};

/* Bytes that the tables take at most. */
uint64_t space_table_bytes(const struct space_input *input);

/*
 * Build the tables in bytes bytes of zeroed memory at pool, whose physical address is its address
 * plus phys_offset. Returns the physical address of the PML4 table, 0 = pool too small or an image
 * that cannot be mapped.
 */
uint64_t space_build(const struct space_input *input, void *pool, uint64_t bytes,
                     uint64_t phys_offset);

#endif
