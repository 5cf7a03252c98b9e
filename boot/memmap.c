/* The memory map's conversion; see memmap.h. */
#include "boot/memmap.h"

#include <stdbool.h>

enum {
    PAGE = 4096,
    PAGE_BITS = 12,
    DESCRIPTOR_SIZE = 40, /* of the first version, the least there can be */
};

#define FIRST_MIB (1ull << 20)

/* The last page of the address space cannot be described by an end in 64 bits: stop before it. */
#define TOP (~0ull & ~(uint64_t)(PAGE - 1))

enum efi_memory_type {
    EFI_LOADER_CODE = 1,
    EFI_LOADER_DATA = 2,
    EFI_BOOT_SERVICES_CODE = 3,
    EFI_BOOT_SERVICES_DATA = 4,
    EFI_RUNTIME_SERVICES_CODE = 5,
    EFI_RUNTIME_SERVICES_DATA = 6,
    EFI_CONVENTIONAL = 7,
    EFI_MMIO = 11,
    EFI_MMIO_PORTS = 12,
};

/* EFI_MEMORY_DESCRIPTOR */
enum descriptor_layout {
    D_TYPE = 0,
    D_BASE = 8,
    D_PAGES = 24,
    D_ATTRIBUTE = 32,
};

#define ATTRIBUTE_WB 0x8ull     /* can be cached write-back */
#define ATTRIBUTE_SP 0x40000ull /* specific-purpose memory: not for general use */

struct piece {
    uint64_t base;
    uint64_t end;
    uint32_t type; /* enum handover_mem_type, 0 = empty */
};

static uint64_t read_le(const uint8_t *p, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static uint32_t type_of(uint32_t efi_type, uint64_t attribute)
{
    switch (efi_type) {
    case EFI_LOADER_CODE:
    case EFI_LOADER_DATA:
    case EFI_BOOT_SERVICES_CODE:
    case EFI_BOOT_SERVICES_DATA:
    case EFI_CONVENTIONAL:
        return (attribute & ATTRIBUTE_WB) && !(attribute & ATTRIBUTE_SP) ? HANDOVER_MEM_FREE
                                                                         : HANDOVER_MEM_RESERVED;
    case EFI_RUNTIME_SERVICES_CODE:
    case EFI_RUNTIME_SERVICES_DATA: return HANDOVER_MEM_FIRMWARE;
    case EFI_MMIO:
    case EFI_MMIO_PORTS: return HANDOVER_MEM_MMIO;
    default: return HANDOVER_MEM_RESERVED;
    }
}

static struct piece read_piece(const struct memmap_input *input, size_t index)
{
    const uint8_t *at = (const uint8_t *)input->map + index * input->descriptor_size;
    uint64_t base = read_le(at + D_BASE, sizeof(uint64_t));
    uint64_t pages = read_le(at + D_PAGES, sizeof(uint64_t));
    uint32_t efi_type = (uint32_t)read_le(at + D_TYPE, sizeof(uint32_t));
    uint32_t type = type_of(efi_type, read_le(at + D_ATTRIBUTE, sizeof(uint64_t)));

    if (base >= TOP || pages == 0)
        return (struct piece){0};
    /* What is not a whole page cannot be free; all else grows to whole pages. */
    if (base % PAGE != 0 && type == HANDOVER_MEM_FREE)
        type = HANDOVER_MEM_RESERVED;
    uint64_t extra = base % PAGE != 0 ? 1 : 0;
    base -= base % PAGE;
    uint64_t most = (TOP - base) >> PAGE_BITS;
    uint64_t count = pages > most - extra ? most : pages + extra;
    return (struct piece){.base = base, .end = base + (count << PAGE_BITS), .type = type};
}

/* Which of two types for the same memory counts: the one that allows less. */
static uint32_t stricter(uint32_t a, uint32_t b)
{
    static const uint8_t rank[] = {
        [0] = 0,
        [HANDOVER_MEM_FREE] = 1,
        [HANDOVER_MEM_KEPT] = 2,
        [HANDOVER_MEM_FIRMWARE] = 3,
        [HANDOVER_MEM_MMIO] = 4,
        [HANDOVER_MEM_RESERVED] = 5,
    };

    return rank[a] >= rank[b] ? a : b;
}

static bool is_kept(const struct memmap_input *input, uint64_t at)
{
    for (size_t i = 0; i < input->kept_count; i++) {
        if (at >= input->kept[i].base && at - input->kept[i].base < input->kept[i].size)
            return true;
    }
    return false;
}

/* The type of the memory from at on; no boundary lies inside it. 0 = the map says nothing. */
static uint32_t type_at(const struct memmap_input *input, size_t descriptors, uint64_t at)
{
    uint32_t type = 0;

    for (size_t i = 0; i < descriptors; i++) {
        struct piece piece = read_piece(input, i);
        if (at >= piece.base && at < piece.end)
            type = stricter(type, piece.type);
    }
    if (type == HANDOVER_MEM_FREE && is_kept(input, at))
        return HANDOVER_MEM_KEPT;
    if (type == HANDOVER_MEM_FREE && at < FIRST_MIB)
        return HANDOVER_MEM_RESERVED;
    return type;
}

static void sort(uint64_t *values, size_t count)
{
    /* Firmware gives maps that are nearly sorted; insertion is quick on those. */
    for (size_t i = 1; i < count; i++) {
        uint64_t value = values[i];
        size_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

static size_t collect_boundaries(const struct memmap_input *input, size_t descriptors,
                                 uint64_t *boundaries)
{
    size_t count = 0;

    for (size_t i = 0; i < descriptors; i++) {
        struct piece piece = read_piece(input, i);
        if (piece.type == 0)
            continue;
        boundaries[count++] = piece.base;
        boundaries[count++] = piece.end;
    }
    for (size_t i = 0; i < input->kept_count; i++) {
        boundaries[count++] = input->kept[i].base;
        boundaries[count++] = input->kept[i].base + input->kept[i].size;
    }
    boundaries[count++] = FIRST_MIB;
    sort(boundaries, count);
    return count;
}

/* Whether the kept range [base, end) is kept memory in the result, all of it. */
static bool covered(uint64_t base, uint64_t end, const struct handover_region *regions,
                    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (regions[i].type == HANDOVER_MEM_KEPT && base >= regions[i].base &&
            end <= regions[i].base + regions[i].size)
            return true;
    }
    return false;
}

enum memmap_error memmap_convert(const struct memmap_input *input, uint64_t *scratch,
                                 struct handover_region *regions, size_t max, uint32_t *count)
{
    *count = 0;
    if (input->descriptor_size < DESCRIPTOR_SIZE || input->map_size % input->descriptor_size != 0)
        return MEMMAP_BAD_SIZE;
    size_t descriptors = input->map_size / input->descriptor_size;
    if (descriptors > MEMMAP_MAX_DESCRIPTORS || input->kept_count > MEMMAP_MAX_KEPT)
        return MEMMAP_TOO_MANY;
    size_t boundaries = collect_boundaries(input, descriptors, scratch);

    for (size_t i = 0; i + 1 < boundaries; i++) {
        uint64_t base = scratch[i];
        uint64_t size = scratch[i + 1] - base;
        if (size == 0)
            continue;
        uint32_t type = type_at(input, descriptors, base);
        if (type == 0)
            continue;
        struct handover_region *last = *count > 0 ? &regions[*count - 1] : NULL;
        if (last != NULL && last->type == type && last->base + last->size == base) {
            last->size += size;
            continue;
        }
        if (*count == max)
            return MEMMAP_NO_ROOM;
        regions[(*count)++] = (struct handover_region){.base = base, .size = size, .type = type};
    }
    for (size_t i = 0; i < input->kept_count; i++) {
        if (!covered(input->kept[i].base, input->kept[i].base + input->kept[i].size, regions,
                     *count))
            return MEMMAP_KEPT_OUTSIDE;
    }
    return MEMMAP_OK;
}

const char *memmap_error_text(enum memmap_error error)
{
    switch (error) {
    case MEMMAP_OK: return "no error";
    case MEMMAP_BAD_SIZE: return "the firmware's memory map has an impossible size";
    case MEMMAP_TOO_MANY: return "the firmware's memory map has too many entries";
    case MEMMAP_NO_ROOM: return "the memory map has too many regions";
    case MEMMAP_KEPT_OUTSIDE: return "memory that was allocated is not RAM in the memory map";
    }
    return "unknown error";
}
