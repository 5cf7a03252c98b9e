/*
 * The firmware's memory map as the list of ranges that Linux takes. Pure.
 * Source: UEFI specification 2.10, 7.2 (memory types); Linux, Documentation/arch/x86/zero-page.rst;
 * ACPI specification 6.5, 15.1 (types of ranges).
 */
#ifndef TRAPLINE_LINUX_E820_H
#define TRAPLINE_LINUX_E820_H

#include <stddef.h>
#include <stdint.h>

#include <asm/bootparam.h>

enum e820_type {
    E820_RAM = 1,
    E820_RESERVED = 2,
    E820_ACPI = 3, /* tables, which Linux may reclaim */
    E820_NVS = 4,
};

/*
 * Convert map_size bytes of EFI_MEMORY_DESCRIPTORs, descriptor_size bytes from one to the next, as
 * they will be once the firmware has left the machine. Neighbours of one type become one range.
 * ranges: room for max.
 *
 * Returns how many ranges there are, -1 = more than max.
 */
int e820_convert(const void *map, size_t map_size, size_t descriptor_size,
                 struct boot_e820_entry *ranges, size_t max);

#endif
