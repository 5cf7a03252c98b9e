/* Which MSRs and ports a guest may use, by sweeping all that the bitmaps know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy_msr.h"

enum {
    BITMAP_BYTES = 4096,
    IO_BYTES = 4096,
    GUARD = 64,
    RANDOM_MSRS = 1000000,
    EFER_SCE = 1 << 0,
    EFER_LME = 1 << 8,
    EFER_LMA = 1 << 10,
    EFER_NXE = 1 << 11,
};

/* SDM volume 4, by number. */
enum {
    TSC = 0x10,
    PAT = 0x277,
    XSS = 0xda0,
};
#define EFER    0xc0000080u
#define TSC_AUX 0xc0000103u

static const uint32_t read_and_write[] = {
    0x174,      /* SYSENTER_CS */
    0x175,      /* SYSENTER_ESP */
    0x176,      /* SYSENTER_EIP */
    0xc0000081, /* STAR */
    0xc0000082, /* LSTAR */
    0xc0000083, /* CSTAR */
    0xc0000084, /* FMASK */
    0xc0000100, /* FS_BASE */
    0xc0000101, /* GS_BASE */
    0xc0000102, /* KERNEL_GS_BASE */
};

static uint64_t seed = 1;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static bool listed(uint32_t msr)
{
    for (size_t i = 0; i < sizeof(read_and_write) / sizeof(read_and_write[0]); i++) {
        if (read_and_write[i] == msr)
            return true;
    }
    return false;
}

static bool passes(const uint8_t *bitmap, unsigned at, uint32_t msr)
{
    unsigned bit = msr & 0x1fff;

    return !(bitmap[at + bit / 8] >> (bit % 8) & 1);
}

/* SDM 24.6.9: reads of low MSRs, reads of high ones, writes of low ones, writes of high ones. */
static void test_bitmap(void **state)
{
    static uint8_t bitmap[BITMAP_BYTES + GUARD];

    (void)state;
    for (unsigned options = 0; options < 4; options++) {
        bool rdtscp = options & 1, pat = options & 2;

        memset(bitmap, 0, sizeof(bitmap));
        policy_msr_bitmap(bitmap, rdtscp, pat);
        for (uint32_t i = 0; i < 0x4000; i++) {
            uint32_t msr = i < 0x2000 ? i : 0xc0000000 + i - 0x2000;
            bool aux = rdtscp && msr == TSC_AUX;
            bool read = listed(msr) || aux || msr == TSC || msr == EFER || (pat && msr == PAT);
            bool write = listed(msr) || aux;

            assert_int_equal(passes(bitmap, i < 0x2000 ? 0 : 1024, msr), read);
            assert_int_equal(passes(bitmap, i < 0x2000 ? 2048 : 3072, msr), write);
        }
        for (unsigned i = 0; i < GUARD; i++)
            assert_int_equal(bitmap[BITMAP_BYTES + i], 0);
    }
}

/* x2APIC registers by SDM table 10-6: the ISR, TMR and IRR. */
static bool apic_set(uint32_t msr)
{
    return msr >= 0x810 && msr < 0x828;
}

static bool one_of(uint32_t msr, const uint16_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == msr)
            return true;
    }
    return false;
}

/* Beside what every guest has, these and nothing else. */
static void check_apic_bitmap(const uint8_t *bitmap, const uint16_t *reads, size_t read_count,
                              const uint16_t *writes, size_t write_count)
{
    static uint8_t plain[BITMAP_BYTES];

    policy_msr_bitmap(plain, false, false);
    for (uint32_t i = 0; i < 0x4000; i++) {
        uint32_t msr = i < 0x2000 ? i : 0xc0000000 + i - 0x2000;
        unsigned part = i < 0x2000 ? 0 : 1024;

        assert_int_equal(passes(bitmap, part, msr), passes(plain, part, msr) || apic_set(msr) ||
                                                        one_of(msr, reads, read_count));
        assert_int_equal(passes(bitmap, 2048 + part, msr),
                         passes(plain, 2048 + part, msr) || one_of(msr, writes, write_count));
    }
}

static void test_apicv_bitmap(void **state)
{
    static const uint16_t reads[] = {0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f, 0x828, 0x830,
                                     0x832, 0x833, 0x834, 0x835, 0x836, 0x837, 0x838, 0x83e};
    static const uint16_t writes[] = {0x808, 0x80b, 0x83f};
    uint8_t bitmap[BITMAP_BYTES];

    (void)state;
    policy_msr_bitmap(bitmap, false, false);
    policy_msr_bitmap_apicv(bitmap);
    check_apic_bitmap(bitmap, reads, 16, writes, 3);
}

static void test_direct_bitmap(void **state)
{
    static const uint16_t reads[] = {0x808, 0x80a, 0x832, 0x838, 0x839, 0x83e, 0x6e0};
    static const uint16_t writes[] = {0x808, 0x80b, 0x832, 0x838, 0x83e, 0x83f, 0x6e0};
    uint8_t bitmap[BITMAP_BYTES];

    (void)state;
    for (unsigned deadline = 0; deadline < 2; deadline++) {
        policy_msr_bitmap(bitmap, false, false);
        policy_msr_bitmap_direct(bitmap, deadline);
        check_apic_bitmap(bitmap, reads, 6 + deadline, writes, 6 + deadline);
    }
}

static void test_io_bitmap(void **state)
{
    static uint8_t bitmap[IO_BYTES + GUARD];

    (void)state;
    policy_io_bitmap(bitmap);
    for (unsigned i = 0; i < IO_BYTES; i++)
        assert_int_equal(bitmap[i], 0xff);
    for (unsigned i = 0; i < GUARD; i++)
        assert_int_equal(bitmap[IO_BYTES + i], 0);
}

/* The channel's nine ports, and no other one. */
static void test_ata_ports(void **state)
{
    static const struct {
        uint16_t first, control;
    } channels[] = {{0x1f0, 0x3f6}, {0x170, 0x376}};
    static uint8_t bitmap[IO_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        unsigned first = channels[i].first, control = channels[i].control;

        policy_io_bitmap(bitmap);
        policy_io_bitmap_ata(bitmap, channels[i].first, channels[i].control);
        for (unsigned port = 0; port < IO_BYTES * 8; port++) {
            bool passed = (port >= first && port < first + 8) || port == control;

            assert_int_equal(bitmap[port / 8] >> (port % 8) & 1, !passed);
        }
    }
}

static struct policy_msr_guest guest_of(unsigned options)
{
    return (struct policy_msr_guest){
        .efer = options & 8    ? EFER_LME | EFER_LMA | EFER_SCE
                : options & 16 ? EFER_LME
                               : 0,
        .paging = options & 1,
        .pat = options & 2,
        .xsaves = options & 4,
    };
}

/* Whatever the bitmap does not pass comes here, and all but these three are denied. */
static void check_denied(const struct policy_msr_guest *guest, uint32_t msr)
{
    uint64_t value = 0;

    if (msr != XSS || !guest->xsaves)
        assert_int_equal(policy_msr_read(guest, msr, &value), POLICY_MSR_DENY);
    if (msr == EFER || (msr == PAT && guest->pat) || (msr == XSS && guest->xsaves))
        return;
    value = 0;
    assert_int_equal(policy_msr_write(guest, msr, &value), POLICY_MSR_DENY);
    value = random64();
    assert_int_equal(policy_msr_write(guest, msr, &value), POLICY_MSR_DENY);
}

static void test_denied(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 32; options++) {
        struct policy_msr_guest guest = guest_of(options);

        for (uint32_t i = 0; i < 0x2000; i++) {
            check_denied(&guest, i);
            check_denied(&guest, 0xc0000000 + i);
        }
    }
    for (unsigned i = 0; i < RANDOM_MSRS; i++) {
        struct policy_msr_guest guest = guest_of((unsigned)random64() & 31);

        check_denied(&guest, (uint32_t)random64());
    }
}

/* LME is fixed while paging is on; LMA is not the guest's to write; other bits but SCE, NXE: #GP.
 */
static void test_efer(void **state)
{
    static const unsigned known[] = {0, 8, 10, 11};

    (void)state;
    for (unsigned options = 0; options < 32; options++) {
        struct policy_msr_guest guest = guest_of(options);

        for (unsigned bits = 0; bits < 16; bits++) {
            uint64_t wanted = 0, value;

            for (unsigned i = 0; i < 4; i++)
                wanted |= (uint64_t)(bits >> i & 1) << known[i];
            value = wanted;
            if (guest.paging && (wanted & EFER_LME) != (guest.efer & EFER_LME)) {
                assert_int_equal(policy_msr_write(&guest, EFER, &value), POLICY_MSR_DENY);
                continue;
            }
            assert_int_equal(policy_msr_write(&guest, EFER, &value), POLICY_MSR_EFER);
            assert_int_equal(value & EFER_LMA, guest.efer & EFER_LMA);
            assert_int_equal(value & ~(uint64_t)EFER_LMA, wanted & ~(uint64_t)EFER_LMA);
            for (unsigned bit = 0; bit < 64; bit++) {
                if (bit == 0 || bit == 8 || bit == 10 || bit == 11)
                    continue;
                value = wanted | 1ull << bit;
                assert_int_equal(policy_msr_write(&guest, EFER, &value), POLICY_MSR_DENY);
            }
        }
    }
}

/* SDM 11.12.2: 0, 1, 4, 5, 6 and 7 are memory types, every other value of any byte is #GP. */
static void test_pat(void **state)
{
    const uint64_t reset = 0x0007040600070406;
    struct policy_msr_guest guest = {.pat = true};

    (void)state;
    for (unsigned entry = 0; entry < 8; entry++) {
        for (unsigned type = 0; type < 256; type++) {
            bool valid = type == 0 || type == 1 || (type >= 4 && type <= 7);
            uint64_t value = (reset & ~(0xffull << (8 * entry))) | (uint64_t)type << (8 * entry);
            uint64_t before = value;

            guest.pat = true;
            assert_int_equal(policy_msr_write(&guest, PAT, &value),
                             valid ? POLICY_MSR_PAT : POLICY_MSR_DENY);
            assert_int_equal(value, before);
            guest.pat = false;
            assert_int_equal(policy_msr_write(&guest, PAT, &value), POLICY_MSR_DENY);
        }
    }
}

static void test_xss(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 32; options++) {
        struct policy_msr_guest guest = guest_of(options);
        uint64_t value = UINT64_MAX;

        assert_int_equal(policy_msr_read(&guest, XSS, &value),
                         guest.xsaves ? POLICY_MSR_OK : POLICY_MSR_DENY);
        assert_int_equal(value, guest.xsaves ? 0 : UINT64_MAX);
        value = 0;
        assert_int_equal(policy_msr_write(&guest, XSS, &value),
                         guest.xsaves ? POLICY_MSR_OK : POLICY_MSR_DENY);
        for (unsigned bit = 0; bit < 64; bit++) {
            value = 1ull << bit;
            assert_int_equal(policy_msr_write(&guest, XSS, &value), POLICY_MSR_DENY);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitmap),        cmocka_unit_test(test_apicv_bitmap),
        cmocka_unit_test(test_direct_bitmap), cmocka_unit_test(test_io_bitmap),
        cmocka_unit_test(test_ata_ports),     cmocka_unit_test(test_denied),
        cmocka_unit_test(test_efer),          cmocka_unit_test(test_pat),
        cmocka_unit_test(test_xss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
