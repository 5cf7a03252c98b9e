/* Memory types from the MTRRs, against the SDM's tables read afresh and a page-by-page oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/mtrr.h"

enum {
    VCNT_10_FIXED = 0x50a, /* IA32_MTRRCAP: 10 variable ranges, fixed ranges, write-combining */
    VCNT_10 = 0x40a,
    DEFAULT_UC = 0x800, /* IA32_MTRR_DEF_TYPE: on, uncached where nothing else is said */
    DEFAULT_UC_FIXED = 0xc00,
    DEFAULT_WB_FIXED = 0xc06,
    MASK_VALID = 0x800,
    BITS = 39,
    RANDOM_STATES = 4000,
    RANDOM_RANGES = 12,
    WINDOW_PAGES = 2048, /* how much of memory the oracle looks at */
};

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static uint64_t seed;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void set_range(struct mtrr_state *m, unsigned i, uint64_t base, uint64_t bytes,
                      enum memory_type type)
{
    m->base[i] = base | type;
    m->mask[i] = ((1ull << BITS) - bytes) | MASK_VALID;
}

static struct mtrr_state machine(uint64_t cap, uint64_t def_type)
{
    return (struct mtrr_state){
        .present = true, .cap = cap, .def_type = def_type, .physical_bits = BITS};
}

/* Where each byte of each fixed-range register lies (SDM table 11-9). */
static void test_fixed(void **state)
{
    static const struct {
        uint64_t base, step;
    } registers[MTRR_FIXED_MSRS] = {
        {0x00000, 0x10000}, {0x80000, 0x4000}, {0xa0000, 0x4000}, {0xc0000, 0x1000},
        {0xc8000, 0x1000},  {0xd0000, 0x1000}, {0xd8000, 0x1000}, {0xe0000, 0x1000},
        {0xe8000, 0x1000},  {0xf0000, 0x1000}, {0xf8000, 0x1000},
    };
    static const enum memory_type types[] = {MEMORY_TYPE_UC, MEMORY_TYPE_WC, MEMORY_TYPE_WT,
                                             MEMORY_TYPE_WP, MEMORY_TYPE_WB};
    struct mtrr_state m = machine(VCNT_10_FIXED, DEFAULT_UC_FIXED);
    uint64_t covered = 0;

    (void)state;
    set_range(&m, 0, 0, 2 * MIB, MEMORY_TYPE_WP); /* the fixed ranges come first */
    seed = 3;
    for (unsigned i = 0; i < MTRR_FIXED_MSRS; i++) {
        for (unsigned byte = 0; byte < 8; byte++)
            m.fixed[i] |= (uint64_t)types[random64() % 5] << (8 * byte);
    }
    for (unsigned i = 0; i < MTRR_FIXED_MSRS; i++) {
        for (unsigned byte = 0; byte < 8; byte++) {
            uint64_t from = registers[i].base + byte * registers[i].step;

            for (uint64_t at = from; at < from + registers[i].step; at += 0x1000) {
                assert_int_equal(mtrr_type(&m, at), m.fixed[i] >> (8 * byte) & 0xff);
                covered += 0x1000;
            }
        }
    }
    assert_int_equal(covered, MIB);
    assert_int_equal(mtrr_type(&m, MIB), MEMORY_TYPE_WP);
    m.def_type = DEFAULT_UC; /* fixed ranges off */
    assert_int_equal(mtrr_type(&m, 0xf0000), MEMORY_TYPE_WP);
    m.def_type = DEFAULT_UC_FIXED;
    m.cap = VCNT_10; /* on, but the CPU has none */
    assert_int_equal(mtrr_type(&m, 0xf0000), MEMORY_TYPE_WP);
}

static void test_off_and_absent(void **state)
{
    struct mtrr_state m = machine(VCNT_10_FIXED, DEFAULT_WB_FIXED);
    enum memory_type type;

    (void)state;
    memset(m.fixed, 6, sizeof(m.fixed));
    set_range(&m, 0, 0, 4 * GIB, MEMORY_TYPE_WB);
    m.def_type = 0x406; /* the enable bit is off: everything is uncached */
    assert_int_equal(mtrr_type(&m, 0), MEMORY_TYPE_UC);
    assert_int_equal(mtrr_type(&m, GIB), MEMORY_TYPE_UC);
    assert_true(mtrr_uniform(&m, 0, 8 * GIB, &type));
    assert_int_equal(type, MEMORY_TYPE_UC);
    m.present = false;
    assert_int_equal(mtrr_type(&m, 0), MEMORY_TYPE_WB);
    assert_true(mtrr_uniform(&m, 0, 8 * GIB, &type));
    assert_int_equal(type, MEMORY_TYPE_WB);
}

static void test_default_type(void **state)
{
    static const enum memory_type types[] = {MEMORY_TYPE_UC, MEMORY_TYPE_WC, MEMORY_TYPE_WT,
                                             MEMORY_TYPE_WP, MEMORY_TYPE_WB};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct mtrr_state m = machine(VCNT_10, DEFAULT_UC | types[i]);

        set_range(&m, 0, GIB, GIB, MEMORY_TYPE_WT);
        m.base[1] = 2 * GIB | MEMORY_TYPE_WP; /* not valid: says nothing */
        m.mask[1] = (1ull << BITS) - GIB;
        assert_int_equal(mtrr_type(&m, GIB - 0x1000), types[i]);
        assert_int_equal(mtrr_type(&m, GIB), MEMORY_TYPE_WT);
        assert_int_equal(mtrr_type(&m, 2 * GIB - 0x1000), MEMORY_TYPE_WT);
        assert_int_equal(mtrr_type(&m, 2 * GIB), types[i]);
        assert_int_equal(mtrr_type(&m, (1ull << BITS) - 0x1000), types[i]);
    }
}

/* A mask without a bit compares nothing: the range is all of memory. */
static void test_range_over_everything(void **state)
{
    struct mtrr_state m = machine(VCNT_10, DEFAULT_UC);
    enum memory_type type;

    (void)state;
    m.base[0] = GIB | MEMORY_TYPE_WT;
    m.mask[0] = MASK_VALID;
    assert_int_equal(mtrr_type(&m, 0), MEMORY_TYPE_WT);
    assert_true(mtrr_uniform(&m, 0, 64 * GIB, &type));
    assert_int_equal(type, MEMORY_TYPE_WT);
    set_range(&m, 1, 2 * GIB, GIB, MEMORY_TYPE_UC);
    assert_true(mtrr_uniform(&m, GIB, GIB, &type));
    assert_false(mtrr_uniform(&m, GIB, GIB + 0x1000, &type));
}

/* SDM 11.11.4.1: UC wins, WT and WB make WT, the same twice is itself, the rest is undefined: UC.
 */
static void test_overlap(void **state)
{
    static const enum memory_type types[] = {MEMORY_TYPE_UC, MEMORY_TYPE_WC, MEMORY_TYPE_WT,
                                             MEMORY_TYPE_WP, MEMORY_TYPE_WB};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned j = 0; j < 5; j++) {
            struct mtrr_state m = machine(VCNT_10, DEFAULT_UC | MEMORY_TYPE_WP);
            enum memory_type both = MEMORY_TYPE_UC;

            if (i == j)
                both = types[i];
            else if (types[i] + types[j] == 10 && types[i] != MEMORY_TYPE_WP)
                both = MEMORY_TYPE_WT;
            set_range(&m, 3, 0, 4 * GIB, types[i]);
            set_range(&m, 9, 2 * GIB, GIB, types[j]);
            assert_int_equal(mtrr_type(&m, GIB), types[i]);
            assert_int_equal(mtrr_type(&m, 2 * GIB), both);
            assert_int_equal(mtrr_type(&m, 3 * GIB), types[i]);
        }
    }
}

/* Registers beyond the count that the CPU gives are not looked at, nor are more than there is room
 * for. */
static void test_count(void **state)
{
    struct mtrr_state m = machine(2, DEFAULT_UC | MEMORY_TYPE_WB);

    (void)state;
    set_range(&m, 2, 0, 4 * GIB, MEMORY_TYPE_WT);
    assert_int_equal(mtrr_type(&m, GIB), MEMORY_TYPE_WB);
    m.cap = 3;
    assert_int_equal(mtrr_type(&m, GIB), MEMORY_TYPE_WT);
    m.cap = 0xff;
    assert_int_equal(mtrr_type(&m, GIB), MEMORY_TYPE_WT);
}

/* What firmware really sets up: RAM write-back by default, a hole below 4 GiB uncached. */
static void test_common_machine(void **state)
{
    struct mtrr_state m = machine(VCNT_10_FIXED, DEFAULT_WB_FIXED);
    enum memory_type type;

    (void)state;
    memset(m.fixed, 6, sizeof(m.fixed));
    m.fixed[2] = 0; /* A0000-BFFFF: video memory */
    set_range(&m, 0, 2 * GIB, 2 * GIB, MEMORY_TYPE_UC);
    assert_false(mtrr_uniform(&m, 0, 2 * MIB, &type));
    assert_true(mtrr_uniform(&m, 0, 0xa0000, &type));
    assert_int_equal(type, MEMORY_TYPE_WB);
    assert_true(mtrr_uniform(&m, 0xa0000, 0x20000, &type));
    assert_int_equal(type, MEMORY_TYPE_UC);
    assert_false(mtrr_uniform(&m, 0x9f000, 0x2000, &type));
    assert_true(mtrr_uniform(&m, 0xc0000, 2 * GIB - 0xc0000, &type));
    assert_int_equal(type, MEMORY_TYPE_WB);
    assert_true(mtrr_uniform(&m, GIB, GIB, &type));
    assert_false(mtrr_uniform(&m, GIB, GIB + 0x1000, &type));
    assert_true(mtrr_uniform(&m, 2 * GIB, 2 * GIB, &type));
    assert_int_equal(type, MEMORY_TYPE_UC);
    assert_false(mtrr_uniform(&m, 2 * GIB - 0x1000, 0x2000, &type));
    assert_false(mtrr_uniform(&m, 4 * GIB - 0x1000, 0x2000, &type));
    assert_true(mtrr_uniform(&m, 4 * GIB, 64 * GIB, &type));
    assert_int_equal(type, MEMORY_TYPE_WB);
}

/* The SDM's rules once more, from the registers to one page. */
static enum memory_type oracle(const struct mtrr_state *m, uint64_t page)
{
    bool uc = false, wt = false, wb = false, wc = false, wp = false;
    uint64_t physical = (1ull << m->physical_bits) - 1;

    for (unsigned i = 0; i < (m->cap & 0xff); i++) {
        uint64_t mask = m->mask[i] & physical & ~0xfffull;

        if (!(m->mask[i] & MASK_VALID) || (page & mask) != (m->base[i] & mask))
            continue;
        switch (m->base[i] & 0xff) {
        case 0: uc = true; break;
        case 1: wc = true; break;
        case 4: wt = true; break;
        case 5: wp = true; break;
        case 6: wb = true; break;
        }
    }
    if (!uc && !wt && !wb && !wc && !wp)
        return (enum memory_type)(m->def_type & 0xff);
    if (uc || ((wc || wp) && (wc + wp + wt + wb) > 1))
        return MEMORY_TYPE_UC;
    if (wc)
        return MEMORY_TYPE_WC;
    if (wp)
        return MEMORY_TYPE_WP;
    return wt ? MEMORY_TYPE_WT : MEMORY_TYPE_WB;
}

/* Ranges of a few pages to a few MiB in a window, some with a mask that has holes. */
static void random_machine(struct mtrr_state *m, uint64_t window)
{
    static const enum memory_type types[] = {MEMORY_TYPE_UC, MEMORY_TYPE_WC, MEMORY_TYPE_WT,
                                             MEMORY_TYPE_WP, MEMORY_TYPE_WB, MEMORY_TYPE_WB};
    unsigned count = (unsigned)(random64() % RANDOM_RANGES);

    *m = machine(count, DEFAULT_UC | types[random64() % 6]);
    for (unsigned i = 0; i < count; i++) {
        uint64_t bytes = 0x1000ull << random64() % 11;
        uint64_t base = window + (random64() % WINDOW_PAGES) * 0x1000;

        set_range(m, i, base & ~(bytes - 1), bytes, types[random64() % 6]);
        if (random64() % 4 == 0)
            m->mask[i] &= ~(0x1000ull << random64() % 12);
        if (random64() % 8 == 0)
            m->mask[i] &= ~(uint64_t)MASK_VALID;
    }
}

static void test_random_against_oracle(void **state)
{
    static enum memory_type expected[WINDOW_PAGES];

    (void)state;
    seed = 20;
    for (unsigned n = 0; n < RANDOM_STATES; n++) {
        uint64_t window = n % 3 ? 64 * MIB : 16 * GIB - WINDOW_PAGES / 2 * 0x1000;
        struct mtrr_state m;

        random_machine(&m, window);
        for (unsigned i = 0; i < WINDOW_PAGES; i++) {
            expected[i] = oracle(&m, window + i * 0x1000ull);
            assert_int_equal(mtrr_type(&m, window + i * 0x1000ull), expected[i]);
        }
        for (unsigned i = 0; i < 40; i++) {
            unsigned from = (unsigned)(random64() % WINDOW_PAGES);
            unsigned pages = 1 + (unsigned)(random64() % (i % 2 ? 8 : 512));
            enum memory_type type;
            bool uniform = true;

            if (pages > WINDOW_PAGES - from)
                pages = WINDOW_PAGES - from;
            for (unsigned j = from; j < from + pages; j++)
                uniform = uniform && expected[j] == expected[from];
            assert_int_equal(mtrr_uniform(&m, window + from * 0x1000ull, pages * 0x1000ull, &type),
                             uniform);
            if (uniform)
                assert_int_equal(type, expected[from]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed),          cmocka_unit_test(test_off_and_absent),
        cmocka_unit_test(test_default_type),   cmocka_unit_test(test_range_over_everything),
        cmocka_unit_test(test_overlap),        cmocka_unit_test(test_count),
        cmocka_unit_test(test_common_machine), cmocka_unit_test(test_random_against_oracle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
