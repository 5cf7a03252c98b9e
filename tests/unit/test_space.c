/* The transitional address space, walked as a CPU would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/space.h"

enum {
    PAGE = 4096,
    ENTRIES = 512,
    P = 1,
    W = 2,
    LARGE = 1 << 7,
    TOP_SHIFT = 39,
    LEVEL_BITS = 9,
    PAGE_SHIFT = 12,
};

#define GIB        (1ull << 30)
#define MIB        (1ull << 20)
#define NX         (1ull << 63)
#define ADDRESS    0x000ffffffffff000ull
#define IMAGE_PHYS 0x7654000ull
#define PHYS       0x1000000ull /* where the pool lies, as the tables see it */

static const struct handover_region regions[] = {
    {0, 0xa0000, HANDOVER_MEM_RESERVED, 0},         {MIB, 255 * MIB, HANDOVER_MEM_FREE, 0},
    {4 * GIB, GIB + MIB, HANDOVER_MEM_FREE, 0},     {7 * GIB, MIB, HANDOVER_MEM_RESERVED, 0},
    {9 * GIB - MIB, MIB, HANDOVER_MEM_FIRMWARE, 0}, {1000 * GIB, GIB, HANDOVER_MEM_KEPT, 0},
    {2000 * GIB, GIB, HANDOVER_MEM_MMIO, 0},
};

static struct elf_image image = {
    .segment_count = 3,
    .segments =
        {
            {.address = HANDOVER_HV_BASE, .mem_size = 0x2001, .flags = ELF_R | ELF_X},
            {.address = HANDOVER_HV_BASE + 0x3000, .mem_size = 0x1000, .flags = ELF_R},
            {.address = HANDOVER_HV_BASE + 0x4010, .mem_size = 0x300000, .flags = ELF_R | ELF_W},
        },
};

struct space {
    uint8_t *pool;
    uint64_t bytes;
    uint64_t root;
};

static struct space_input input_of(bool pages_1g)
{
    return (struct space_input){
        .regions = regions,
        .region_count = sizeof(regions) / sizeof(regions[0]),
        .image = &image,
        .image_phys = IMAGE_PHYS,
        .pages_1g = pages_1g,
    };
}

static uint64_t build(const struct space_input *input, struct space *space)
{
    space->pool = aligned_alloc(PAGE, space->bytes);
    memset(space->pool, 0, space->bytes);
    space->root = space_build(input, space->pool, space->bytes, PHYS - (uint64_t)space->pool);
    return space->root;
}

struct translation {
    bool present, writable, executable;
    uint64_t phys, size;
};

static struct translation walk(const struct space *space, uint64_t virt)
{
    struct translation t = {.present = true, .writable = true, .executable = true};
    uint64_t table = space->root;

    for (unsigned shift = TOP_SHIFT;; shift -= LEVEL_BITS) {
        assert_true(table >= PHYS && table < PHYS + space->bytes);
        const uint64_t *entries = (const uint64_t *)(space->pool + (table - PHYS));
        uint64_t entry = entries[virt >> shift & (ENTRIES - 1)];
        t.present &= entry & P;
        t.writable &= (entry & W) != 0;
        t.executable &= !(entry & NX);
        if (!t.present)
            return t;
        if (shift == PAGE_SHIFT || (entry & LARGE)) {
            t.size = 1ull << shift;
            t.phys = (entry & ADDRESS & ~(t.size - 1)) + (virt & (t.size - 1));
            return t;
        }
        table = entry & ADDRESS;
    }
}

static void expect_ram(const struct space *space, uint64_t phys, bool mapped)
{
    struct translation low = walk(space, phys);
    struct translation direct = walk(space, HANDOVER_DIRECT_BASE + phys);

    assert_int_equal(low.present, mapped);
    assert_int_equal(direct.present, mapped);
    if (!mapped)
        return;
    assert_int_equal(low.phys, phys);
    assert_int_equal(direct.phys, phys);
    assert_true(low.writable && low.executable);
    assert_true(direct.writable && !direct.executable);
}

static void check_space(const struct space *space)
{
    static const uint64_t mapped[] = {0,
                                      0xfee00123,
                                      MIB,
                                      3 * GIB + 5,
                                      4 * GIB - 1,
                                      4 * GIB,
                                      5 * GIB,
                                      6 * GIB - 1,
                                      8 * GIB,
                                      9 * GIB - 1,
                                      1000 * GIB,
                                      1000 * GIB + 0x12345,
                                      1001 * GIB - 1};
    static const uint64_t unmapped[] = {6 * GIB,        7 * GIB,    8 * GIB - 1, 9 * GIB,
                                        1000 * GIB - 1, 1001 * GIB, 2000 * GIB};

    for (size_t i = 0; i < sizeof(mapped) / sizeof(mapped[0]); i++)
        expect_ram(space, mapped[i], true);
    for (size_t i = 0; i < sizeof(unmapped) / sizeof(unmapped[0]); i++)
        expect_ram(space, unmapped[i], false);
    for (uint64_t at = 0; at < 0x305000; at += PAGE) {
        struct translation t = walk(space, HANDOVER_HV_BASE + at + 5);
        assert_true(t.present);
        assert_int_equal(t.phys, IMAGE_PHYS + at + 5);
        assert_int_equal(t.executable, at < 0x3000);
        assert_int_equal(t.writable, at >= 0x4000);
    }
    assert_false(walk(space, HANDOVER_HV_BASE + 0x305000).present);
    assert_false(walk(space, HANDOVER_HV_BASE - 1).present);
    assert_false(walk(space, 0x7fffffffffff).present);
}

static void both_page_sizes(void **state)
{
    (void)state;
    for (int pages_1g = 0; pages_1g <= 1; pages_1g++) {
        struct space_input input = input_of(pages_1g);
        struct space space = {.bytes = space_table_bytes(&input)};
        assert_int_not_equal(build(&input, &space), 0);
        check_space(&space);
        assert_int_equal(walk(&space, 4 * GIB).size, pages_1g ? GIB : 2 * MIB);
        free(space.pool);
    }
}

static void too_small_a_pool(void **state)
{
    (void)state;
    for (int pages_1g = 0; pages_1g <= 1; pages_1g++) {
        struct space_input input = input_of(pages_1g);
        uint64_t needed = space_table_bytes(&input);
        bool built = false;
        for (uint64_t bytes = 0; bytes < needed; bytes += PAGE) {
            struct space space = {.bytes = bytes};
            bool now = build(&input, &space) != 0;
            assert_true(now || !built); /* once it is enough, more is enough too */
            built = now;
            free(space.pool);
        }
    }
    struct space_input input = input_of(false);
    struct space space = {.bytes = 8 * PAGE};
    assert_int_equal(build(&input, &space), 0);
    free(space.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_page_sizes),
        cmocka_unit_test(too_small_a_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
