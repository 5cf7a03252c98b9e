/* The memory map for Linux. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <efi.h>

#include "tools/linux/e820.h"

enum {
    STRIDE = 48, /* firmware's descriptors are longer than the structure */
    MAX = 8,
};

struct map {
    uint8_t bytes[16 * STRIDE];
    size_t size;
};

static void add(struct map *map, uint32_t type, uint64_t start, uint64_t pages)
{
    EFI_MEMORY_DESCRIPTOR descriptor = {
        .Type = type, .PhysicalStart = start, .NumberOfPages = pages};

    memcpy(map->bytes + map->size, &descriptor, sizeof(descriptor));
    map->size += STRIDE;
}

static void expect(const struct boot_e820_entry *range, uint64_t addr, uint64_t size, uint32_t type)
{
    assert_int_equal(range->addr, addr);
    assert_int_equal(range->size, size);
    assert_int_equal(range->type, type);
}

static void test_types(void **state)
{
    static const uint32_t expected[] = {
        [EfiReservedMemoryType] = E820_RESERVED,
        [EfiLoaderCode] = E820_RAM,
        [EfiLoaderData] = E820_RAM,
        [EfiBootServicesCode] = E820_RAM,
        [EfiBootServicesData] = E820_RAM,
        [EfiRuntimeServicesCode] = E820_RESERVED,
        [EfiRuntimeServicesData] = E820_RESERVED,
        [EfiConventionalMemory] = E820_RAM,
        [EfiUnusableMemory] = E820_RESERVED,
        [EfiACPIReclaimMemory] = E820_ACPI,
        [EfiACPIMemoryNVS] = E820_NVS,
        [EfiMemoryMappedIO] = E820_RESERVED,
        [EfiMemoryMappedIOPortSpace] = E820_RESERVED,
        [EfiPalCode] = E820_RESERVED,
        [EfiMaxMemoryType] = E820_RESERVED,
    };
    (void)state;

    for (uint32_t type = 0; type <= EfiMaxMemoryType; type++) {
        struct boot_e820_entry range;
        struct map map = {.size = 0};
        add(&map, type, 0x100000, 3);
        assert_int_equal(e820_convert(map.bytes, map.size, STRIDE, &range, 1), 1);
        expect(&range, 0x100000, 0x3000, expected[type]);
    }
}

static void test_neighbours_become_one(void **state)
{
    struct boot_e820_entry ranges[MAX];
    struct map map = {.size = 0};
    (void)state;

    add(&map, EfiConventionalMemory, 0, 0xa0);
    add(&map, EfiLoaderData, 0x100000, 0x10);
    add(&map, EfiBootServicesData, 0x110000, 0x10);
    add(&map, EfiRuntimeServicesData, 0x120000, 1);
    add(&map, EfiConventionalMemory, 0x121000, 1);
    assert_int_equal(e820_convert(map.bytes, map.size, STRIDE, ranges, MAX), 4);
    expect(&ranges[0], 0, 0xa0000, E820_RAM);
    expect(&ranges[1], 0x100000, 0x20000, E820_RAM);
    expect(&ranges[2], 0x120000, 0x1000, E820_RESERVED);
    expect(&ranges[3], 0x121000, 0x1000, E820_RAM);
}

static void test_room(void **state)
{
    struct boot_e820_entry ranges[MAX];
    struct map map = {.size = 0};
    (void)state;

    for (uint64_t i = 0; i <= MAX; i++)
        add(&map, EfiConventionalMemory, i * 0x10000, 1);
    assert_int_equal(e820_convert(map.bytes, map.size, STRIDE, ranges, MAX), -1);
    assert_int_equal(e820_convert(map.bytes, map.size - STRIDE, STRIDE, ranges, MAX), MAX);
    assert_int_equal(e820_convert(map.bytes, 0, STRIDE, ranges, MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_neighbours_become_one),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
