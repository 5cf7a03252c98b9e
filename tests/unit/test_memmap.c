/* The memory map's conversion: every type, merging, overlaps, kept ranges, limits; a flat model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/memmap.h"

enum {
    WB = 8,
    SPECIFIC = 0x40000,
    STRIDE = 48, /* as firmware has it: 8 bytes more than the structure */
    ROOM = 4200,
    PAGE = 4096,
};

#define MIB (1ull << 20)

struct descriptor {
    uint32_t type;
    uint32_t pad;
    uint64_t base;
    uint64_t virtual;
    uint64_t pages;
    uint64_t attribute;
    uint64_t later;
};
_Static_assert(sizeof(struct descriptor) == STRIDE, "layout");

static struct descriptor map[ROOM];
static uint64_t scratch[MEMMAP_SCRATCH];
static struct handover_region regions[HANDOVER_MAX_REGIONS];
static uint32_t count;

static struct descriptor d(uint32_t type, uint64_t base, uint64_t pages)
{
    return (struct descriptor){.type = type, .base = base, .pages = pages, .attribute = WB};
}

static enum memmap_error convert(size_t descriptors, const struct memmap_kept *kept, size_t n)
{
    struct memmap_input input = {
        .map = map,
        .map_size = descriptors * STRIDE,
        .descriptor_size = STRIDE,
        .kept = kept,
        .kept_count = n,
    };

    return memmap_convert(&input, scratch, regions, HANDOVER_MAX_REGIONS, &count);
}

static void expect(uint32_t index, uint64_t base, uint64_t size, uint32_t type)
{
    assert_true(index < count);
    assert_int_equal(regions[index].base, base);
    assert_int_equal(regions[index].size, size);
    assert_int_equal(regions[index].type, type);
}

static void types(void **state)
{
    static const uint32_t wanted[] = {
        HANDOVER_MEM_RESERVED, HANDOVER_MEM_FREE,     HANDOVER_MEM_FREE,     HANDOVER_MEM_FREE,
        HANDOVER_MEM_FREE,     HANDOVER_MEM_FIRMWARE, HANDOVER_MEM_FIRMWARE, HANDOVER_MEM_FREE,
        HANDOVER_MEM_RESERVED, HANDOVER_MEM_RESERVED, HANDOVER_MEM_RESERVED, HANDOVER_MEM_MMIO,
        HANDOVER_MEM_MMIO,     HANDOVER_MEM_RESERVED, HANDOVER_MEM_RESERVED, HANDOVER_MEM_RESERVED,
    };

    (void)state;
    for (uint32_t type = 0; type < sizeof(wanted) / sizeof(wanted[0]); type++) {
        map[0] = d(type, 2 * MIB, 1);
        assert_int_equal(convert(1, NULL, 0), MEMMAP_OK);
        assert_int_equal(count, 1);
        expect(0, 2 * MIB, PAGE, wanted[type]);
    }
    map[0] = d(0x80000001, 2 * MIB, 1); /* a vendor's own type */
    assert_int_equal(convert(1, NULL, 0), MEMMAP_OK);
    expect(0, 2 * MIB, PAGE, HANDOVER_MEM_RESERVED);
}

static void attributes(void **state)
{
    (void)state;
    map[0] = d(7, 2 * MIB, 1);
    map[0].attribute = 1; /* uncacheable only */
    assert_int_equal(convert(1, NULL, 0), MEMMAP_OK);
    expect(0, 2 * MIB, PAGE, HANDOVER_MEM_RESERVED);
    map[0].attribute = WB | SPECIFIC;
    assert_int_equal(convert(1, NULL, 0), MEMMAP_OK);
    expect(0, 2 * MIB, PAGE, HANDOVER_MEM_RESERVED);
}

static void sorts_and_merges(void **state)
{
    (void)state;
    map[0] = d(4, 6 * MIB, 256);
    map[1] = d(7, 2 * MIB, 512);
    map[2] = d(3, 4 * MIB, 512);
    map[3] = d(5, 7 * MIB, 1);
    map[4] = d(7, 9 * MIB, 1);
    assert_int_equal(convert(5, NULL, 0), MEMMAP_OK);
    assert_int_equal(count, 3);
    expect(0, 2 * MIB, 5 * MIB, HANDOVER_MEM_FREE);
    expect(1, 7 * MIB, PAGE, HANDOVER_MEM_FIRMWARE);
    expect(2, 9 * MIB, PAGE, HANDOVER_MEM_FREE);
}

static void first_mib_is_never_free(void **state)
{
    static const struct memmap_kept trampoline = {0x9e000, 2 * PAGE};

    (void)state;
    map[0] = d(7, 0, 512);
    assert_int_equal(convert(1, &trampoline, 1), MEMMAP_OK);
    assert_int_equal(count, 4);
    expect(0, 0, 0x9e000, HANDOVER_MEM_RESERVED);
    expect(1, 0x9e000, 2 * PAGE, HANDOVER_MEM_KEPT);
    expect(2, 0xa0000, 0x60000, HANDOVER_MEM_RESERVED);
    expect(3, MIB, MIB, HANDOVER_MEM_FREE);
}

static void keeps_what_was_allocated(void **state)
{
    static const struct memmap_kept kept[] = {
        {4 * MIB, MIB}, {2 * MIB, PAGE}, {3 * MIB, PAGE}, {3 * MIB + PAGE, PAGE}};
    static const struct memmap_kept outside = {16 * MIB, PAGE};
    static const struct memmap_kept across = {5 * MIB, 2 * MIB};

    (void)state;
    map[0] = d(2, 2 * MIB, 1024);
    map[1] = d(0, 6 * MIB, 256);
    assert_int_equal(convert(2, kept, 4), MEMMAP_OK);
    assert_int_equal(count, 7);
    expect(0, 2 * MIB, PAGE, HANDOVER_MEM_KEPT);
    expect(1, 2 * MIB + PAGE, MIB - PAGE, HANDOVER_MEM_FREE);
    expect(2, 3 * MIB, 2 * PAGE, HANDOVER_MEM_KEPT);
    expect(3, 3 * MIB + 2 * PAGE, MIB - 2 * PAGE, HANDOVER_MEM_FREE);
    expect(4, 4 * MIB, MIB, HANDOVER_MEM_KEPT);
    expect(5, 5 * MIB, MIB, HANDOVER_MEM_FREE);
    expect(6, 6 * MIB, MIB, HANDOVER_MEM_RESERVED);
    assert_int_equal(convert(2, &outside, 1), MEMMAP_KEPT_OUTSIDE);
    assert_int_equal(convert(2, &across, 1), MEMMAP_KEPT_OUTSIDE);
}

static void the_stricter_type_wins(void **state)
{
    (void)state;
    map[0] = d(7, 2 * MIB, 1024);
    map[1] = d(6, 3 * MIB, 2);
    map[2] = d(0, 3 * MIB + PAGE, 2);
    map[3] = d(11, 5 * MIB, 512);
    assert_int_equal(convert(4, NULL, 0), MEMMAP_OK);
    assert_int_equal(count, 5);
    expect(0, 2 * MIB, MIB, HANDOVER_MEM_FREE);
    expect(1, 3 * MIB, PAGE, HANDOVER_MEM_FIRMWARE);
    expect(2, 3 * MIB + PAGE, 2 * PAGE, HANDOVER_MEM_RESERVED);
    expect(3, 3 * MIB + 3 * PAGE, 2 * MIB - 3 * PAGE, HANDOVER_MEM_FREE);
    expect(4, 5 * MIB, 2 * MIB, HANDOVER_MEM_MMIO);
}

static void odd_descriptors(void **state)
{
    (void)state;
    /* Empty; beyond the end; up to the end; wrapping; misaligned. */
    map[0] = d(7, 2 * MIB, 0);
    map[1] = d(7, ~0ull, 1);
    assert_int_equal(convert(2, NULL, 0), MEMMAP_OK);
    assert_int_equal(count, 0);
    map[0] = d(11, 0xffffffff00000000ull, ~0ull);
    assert_int_equal(convert(1, NULL, 0), MEMMAP_OK);
    expect(0, 0xffffffff00000000ull, 0xfffff000, HANDOVER_MEM_MMIO);
    map[0] = d(7, 2 * MIB + 1, 1);
    assert_int_equal(convert(1, NULL, 0), MEMMAP_OK);
    assert_int_equal(count, 1);
    expect(0, 2 * MIB, 2 * PAGE, HANDOVER_MEM_RESERVED);
    map[0] = d(0, 2 * MIB + 1, ~0ull);
    assert_int_equal(convert(1, NULL, 0), MEMMAP_OK);
    expect(0, 2 * MIB, ~0xfffull - 2 * MIB, HANDOVER_MEM_RESERVED);
}

static void limits(void **state)
{
    static struct memmap_kept kept[MEMMAP_MAX_KEPT + 1];
    struct memmap_input input = {.map = map, .map_size = 41, .descriptor_size = 40};

    (void)state;
    assert_int_equal(memmap_convert(&input, scratch, regions, 1, &count), MEMMAP_BAD_SIZE);
    input.descriptor_size = 39;
    input.map_size = 39;
    assert_int_equal(memmap_convert(&input, scratch, regions, 1, &count), MEMMAP_BAD_SIZE);
    input.descriptor_size = 0;
    input.map_size = 0;
    assert_int_equal(memmap_convert(&input, scratch, regions, 1, &count), MEMMAP_BAD_SIZE);

    for (uint32_t i = 0; i < ROOM; i++)
        map[i] = d(7, 2 * MIB + 2ull * i * PAGE, 1);
    assert_int_equal(convert(MEMMAP_MAX_DESCRIPTORS + 1, NULL, 0), MEMMAP_TOO_MANY);
    assert_int_equal(convert(MEMMAP_MAX_DESCRIPTORS, NULL, 0), MEMMAP_NO_ROOM);
    assert_int_equal(convert(HANDOVER_MAX_REGIONS, NULL, 0), MEMMAP_OK);
    assert_int_equal(count, HANDOVER_MAX_REGIONS);
    assert_int_equal(convert(HANDOVER_MAX_REGIONS + 1, NULL, 0), MEMMAP_NO_ROOM);
    assert_int_equal(convert(1, kept, MEMMAP_MAX_KEPT + 1), MEMMAP_TOO_MANY);
    assert_int_equal(convert(0, NULL, 0), MEMMAP_OK);
    assert_int_equal(count, 0);

    /* As many boundaries as there can be fit in the scratch memory. */
    for (uint32_t i = 0; i < MEMMAP_MAX_DESCRIPTORS; i++)
        map[i] = d(7, 2 * MIB + (uint64_t)i * PAGE, 1);
    for (uint32_t i = 0; i < MEMMAP_MAX_KEPT; i++)
        kept[i] = (struct memmap_kept){2 * MIB + 2ull * i * PAGE, PAGE};
    assert_int_equal(convert(MEMMAP_MAX_DESCRIPTORS, kept, MEMMAP_MAX_KEPT), MEMMAP_OK);
    assert_int_equal(count, 2 * MEMMAP_MAX_KEPT);
}

/* What the type of one page is, by looking at it alone. */
static uint32_t model(uint64_t page, size_t descriptors, const struct memmap_kept *kept, size_t n)
{
    bool is_free = false, firmware = false, mmio = false, reserved = false;

    for (size_t i = 0; i < descriptors; i++) {
        if (page < map[i].base || page >= map[i].base + map[i].pages * PAGE)
            continue;
        is_free |= map[i].type == 7;
        firmware |= map[i].type == 5;
        mmio |= map[i].type == 11;
        reserved |= map[i].type == 0;
    }
    if (reserved)
        return HANDOVER_MEM_RESERVED;
    if (mmio)
        return HANDOVER_MEM_MMIO;
    if (firmware)
        return HANDOVER_MEM_FIRMWARE;
    if (!is_free)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (page >= kept[i].base && page < kept[i].base + kept[i].size)
            return HANDOVER_MEM_KEPT;
    }
    return page < MIB ? HANDOVER_MEM_RESERVED : HANDOVER_MEM_FREE;
}

static void random_maps_match_a_flat_model(void **state)
{
    enum {
        ROUNDS = 2000,
        PAGES = 320,
        DESCRIPTORS = 12,
        KEPT = 3
    };
    static const uint32_t efi_types[] = {7, 7, 7, 5, 11, 0};

    (void)state;
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        struct memmap_kept kept[KEPT];
        for (int i = 0; i < DESCRIPTORS; i++) {
            map[i] = d(efi_types[rand() % 6], (uint64_t)(rand() % PAGES) * PAGE,
                       (uint64_t)(rand() % 64));
        }
        for (int i = 0; i < KEPT; i++)
            kept[i] = (struct memmap_kept){(uint64_t)(rand() % PAGES) * PAGE, PAGE};
        enum memmap_error error = convert(DESCRIPTORS, kept, KEPT);
        bool inside = true;
        for (int i = 0; i < KEPT; i++)
            inside &= model(kept[i].base, DESCRIPTORS, kept, KEPT) == HANDOVER_MEM_KEPT;
        assert_int_equal(error, inside ? MEMMAP_OK : MEMMAP_KEPT_OUTSIDE);
        for (uint64_t page = 0; page < (PAGES + 64) * PAGE; page += PAGE) {
            uint32_t type = 0;
            for (uint32_t i = 0; i < count; i++) {
                if (page >= regions[i].base && page - regions[i].base < regions[i].size)
                    type = regions[i].type;
            }
            assert_int_equal(type, model(page, DESCRIPTORS, kept, KEPT));
        }
        for (uint32_t i = 1; i < count; i++) {
            uint64_t end = regions[i - 1].base + regions[i - 1].size;
            assert_true(regions[i].base >= end);
            assert_true(regions[i].base > end || regions[i].type != regions[i - 1].type);
        }
    }
}

static void every_error_has_a_text(void **state)
{
    (void)state;
    for (int error = MEMMAP_OK; error <= MEMMAP_KEPT_OUTSIDE; error++)
        assert_string_not_equal(memmap_error_text((enum memmap_error)error), "unknown error");
    assert_string_equal(memmap_error_text((enum memmap_error)99), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(attributes),
        cmocka_unit_test(sorts_and_merges),
        cmocka_unit_test(first_mib_is_never_free),
        cmocka_unit_test(keeps_what_was_allocated),
        cmocka_unit_test(the_stricter_type_wins),
        cmocka_unit_test(odd_descriptors),
        cmocka_unit_test(limits),
        cmocka_unit_test(random_maps_match_a_flat_model),
        cmocka_unit_test(every_error_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
