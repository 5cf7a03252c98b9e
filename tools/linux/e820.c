/* The memory map for Linux; see e820.h. */
#include "tools/linux/e820.h"

#include <efi.h>

static enum e820_type type_of(uint32_t efi_type)
{
    switch (efi_type) {
    case EfiLoaderCode:
    case EfiLoaderData:
    case EfiBootServicesCode:
    case EfiBootServicesData:
    case EfiConventionalMemory: return E820_RAM;
    case EfiACPIReclaimMemory: return E820_ACPI;
    case EfiACPIMemoryNVS: return E820_NVS;
    default: return E820_RESERVED;
    }
}

int e820_convert(const void *map, size_t map_size, size_t descriptor_size,
                 struct boot_e820_entry *ranges, size_t max)
{
    size_t count = 0;

    for (size_t at = 0; at + descriptor_size <= map_size; at += descriptor_size) {
        const EFI_MEMORY_DESCRIPTOR *descriptor = (const void *)((const char *)map + at);
        struct boot_e820_entry range = {
            .addr = descriptor->PhysicalStart,
            .size = descriptor->NumberOfPages * EFI_PAGE_SIZE,
            .type = type_of(descriptor->Type),
        };
        struct boot_e820_entry *last = count > 0 ? &ranges[count - 1] : NULL;
        if (last != NULL && last->type == range.type && last->addr + last->size == range.addr) {
            last->size += range.size;
            continue;
        }
        if (count == max)
            return -1;
        ranges[count++] = range;
    }
    return (int)count;
}
