/* The runtime's disk over a model of an ATA channel: addresses, lengths, failures, odd drives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <trapline/abi.h>
#include <trapline/disk.h>
#include <trapline/thread.h>
#include <trapline/time.h>

#include "guest/runtime/ata.h"
#include "tests/unit/fake_ata.h"

enum {
    MANY = 70000, /* sectors: more than any command takes */
};

static struct trapline_info info = {.disk_ports = FAKE_PORTS, .disk_control = FAKE_CONTROL};
static unsigned locked;

/* Ticks per second, as the runtime believes: few, and every time-out is over at once. */
enum clock {
    IMPATIENT = 1000,
    PATIENT = 1000000000,
};
static enum clock hz = PATIENT;

/* Stand-ins for the rest of the runtime. */

const struct trapline_info *guest_info(void); /* process.h does not go with the host's stdlib.h */

const struct trapline_info *guest_info(void)
{
    return &info;
}

uint64_t tsc_hz(void)
{
    return hz;
}

void mutex_lock(struct mutex *mutex)
{
    (void)mutex;
    assert_int_equal(locked++, 0);
}

void mutex_unlock(struct mutex *mutex)
{
    (void)mutex;
    assert_int_equal(--locked, 0);
}

static struct ata_drive drive_of(uint8_t number)
{
    return (struct ata_drive){.ports = FAKE_PORTS, .control = FAKE_CONTROL, .number = number};
}

/* The model's drive 0, identified. */
static struct ata_drive open_drive(uint64_t sectors, bool lba48)
{
    struct ata_drive drive = drive_of(0);

    fake_ata_open(0, sectors, lba48);
    assert_int_equal(ata_identify(&drive), 0);
    assert_int_equal(drive.sectors, sectors);
    assert_int_equal(drive.lba48, lba48);
    return drive;
}

static void check_read(const struct ata_drive *drive, uint64_t first, uint64_t count)
{
    uint8_t *bytes = malloc(count * FAKE_SECTOR), wanted[FAKE_SECTOR];

    assert_int_equal(ata_read(drive, first, count, bytes), 0);
    for (uint64_t i = 0; i < count; i++) {
        fake_ata_peek(first + i, wanted);
        assert_memory_equal(bytes + i * FAKE_SECTOR, wanted, FAKE_SECTOR);
    }
    free(bytes);
}

static void check_write(const struct ata_drive *drive, uint64_t first, uint64_t count)
{
    uint8_t *bytes = malloc(count * FAKE_SECTOR), got[FAKE_SECTOR];

    for (uint64_t i = 0; i < count * FAKE_SECTOR; i++)
        bytes[i] = (uint8_t)rand();
    assert_int_equal(ata_write(drive, first, count, bytes), 0);
    for (uint64_t i = 0; i < count; i++) {
        fake_ata_peek(first + i, got);
        assert_memory_equal(bytes + i * FAKE_SECTOR, got, FAKE_SECTOR);
    }
    free(bytes);
}

static void bits_28(void **state)
{
    struct ata_drive drive = open_drive(0xfffffff, false);

    (void)state;
    check_read(&drive, 0, 1);
    assert_int_equal(fake_ata.last_command, 0x20);
    check_read(&drive, 0xabcdef1, 3);
    assert_int_equal(fake_ata.last_first, 0xabcdef1);
    check_write(&drive, 0xffffffe, 1);
    assert_int_equal(fake_ata.last_command, 0x30);
    check_read(&drive, 0x1234567, 256);
    assert_int_equal(fake_ata.last_count, 256);
    fake_ata.commands = 0;
    check_write(&drive, 0xffff00, 600);
    assert_int_equal(fake_ata.commands, 3);
    check_read(&drive, 0xfffeff, 602);
    assert_int_equal(fake_ata.most_sectors, 256);
    assert_int_equal(ata_flush(&drive), 0);
    assert_int_equal(fake_ata.last_command, 0xe7);
}

static void bits_48(void **state)
{
    struct ata_drive drive = open_drive(1ull << 45, true);

    (void)state;
    check_read(&drive, 0x123456789ab, 2);
    assert_int_equal(fake_ata.last_command, 0x24);
    assert_int_equal(fake_ata.last_first, 0x123456789ab);
    check_write(&drive, (1ull << 45) - 3, 3);
    assert_int_equal(fake_ata.last_command, 0x34);
    check_write(&drive, (1ull << 28) - 1, 1);
    assert_int_equal(fake_ata.last_command, 0x30);
    check_write(&drive, (1ull << 28) - 1, 2);
    assert_int_equal(fake_ata.last_command, 0x34);
    check_read(&drive, 1ull << 28, 1);
    assert_int_equal(fake_ata.last_command, 0x24);
    check_read(&drive, 7, 257);
    assert_int_equal(fake_ata.last_command, 0x24);
    fake_ata.commands = 0;
    check_read(&drive, 3, MANY);
    assert_int_equal(fake_ata.commands, 2);
    assert_int_equal(fake_ata.most_sectors, 65536);
    assert_int_equal(ata_flush(&drive), 0);
    assert_int_equal(fake_ata.last_command, 0xea);
}

static void old_drive(void **state)
{
    struct ata_drive drive = drive_of(0);

    (void)state;
    fake_ata_open(0, 1000, false);
    fake_ata.drives[0].id[83] = 0xffff; /* a word that means nothing */
    assert_int_equal(ata_identify(&drive), 0);
    assert_false(drive.lba48);
    assert_int_equal(ata_flush(&drive), 0);
    assert_int_equal(fake_ata.flushes, 0);
}

/* Each failure at each sector of three: the call fails, the drive is reset and works again. */
static void failures(void **state)
{
    static const struct {
        enum fake_failure failure;
        int result;
    } rows[] = {
        {FAKE_ERROR, -DISK_EIO},
        {FAKE_FAULT, -DISK_EIO},
        {FAKE_SILENT, -DISK_EIO},
        {FAKE_HANGS, -DISK_ETIMEDOUT},
    };
    uint8_t bytes[3 * FAKE_SECTOR] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned after = 0; after < 3; after++) {
            struct ata_drive drive = open_drive(1000, true);

            fake_ata.fail_after = after;
            for (unsigned write = 0; write < 2; write++) {
                unsigned resets = fake_ata.resets;

                fake_ata.failure = rows[i].failure;
                hz = rows[i].failure == FAKE_HANGS ? IMPATIENT : PATIENT;
                assert_int_equal(write ? ata_write(&drive, 10, 3, bytes)
                                       : ata_read(&drive, 10, 3, bytes),
                                 rows[i].result);
                assert_int_equal(fake_ata.resets, resets + 1);
                fake_ata.failure = FAKE_FINE;
                hz = PATIENT;
                check_read(&drive, 10, 3);
            }
        }
    }
}

static void failing_flush(void **state)
{
    struct ata_drive drive = open_drive(1000, true);

    (void)state;
    fake_ata.failure = FAKE_FAULT;
    assert_int_equal(ata_flush(&drive), -DISK_EIO);
    fake_ata.failure = FAKE_HANGS;
    hz = IMPATIENT;
    assert_int_equal(ata_flush(&drive), -DISK_ETIMEDOUT);
    fake_ata.failure = FAKE_FINE;
    hz = PATIENT;
    assert_int_equal(ata_flush(&drive), 0);
}

static void a_drive_that_goes(void **state)
{
    struct ata_drive drive = open_drive(1000, true);
    uint8_t bytes[FAKE_SECTOR];

    (void)state;
    fake_ata.failure = FAKE_VANISHES;
    assert_int_equal(ata_read(&drive, 10, 1, bytes), -DISK_EIO);
    assert_int_equal(ata_read(&drive, 10, 1, bytes), -DISK_EIO);
    assert_int_equal(ata_flush(&drive), -DISK_EIO);
}

static void nobody(void **state)
{
    static const uint8_t floating[] = {0xff, 0x7f, 0};

    (void)state;
    for (size_t i = 0; i < sizeof(floating); i++) {
        struct ata_drive drive = drive_of(0);

        fake_ata_open(1, 1000, true);
        fake_ata.drives[1].present = false;
        fake_ata.drives[0].floating = fake_ata.drives[1].floating = floating[i];
        assert_int_equal(ata_identify(&drive), -TRAPLINE_ENOENT);
        assert_int_equal(fake_ata.commands, 0);
    }
}

static void unfit(void **state)
{
    struct ata_drive drive = drive_of(0);

    (void)state;
    fake_ata_open(0, 1000, true);
    fake_ata.failure = FAKE_ERROR; /* as a drive for CDs answers */
    assert_int_equal(ata_identify(&drive), -TRAPLINE_ENOENT);
    fake_ata_open(0, 1000, true);
    fake_ata.drives[0].id[49] = 0;
    assert_int_equal(ata_identify(&drive), -TRAPLINE_EOPNOTSUPP);
    fake_ata_open(0, 1000, true);
    fake_ata.drives[0].id[106] = 1 << 14 | 1 << 12;
    assert_int_equal(ata_identify(&drive), -TRAPLINE_EOPNOTSUPP);
    fake_ata_open(0, 1000, true);
    fake_ata.drives[0].id[106] = 1 << 12; /* a word that means nothing */
    assert_int_equal(ata_identify(&drive), 0);
    fake_ata_open(0, 1000, true);
    fake_ata.failure = FAKE_HANGS;
    hz = IMPATIENT;
    assert_int_equal(ata_identify(&drive), -DISK_ETIMEDOUT);
    hz = PATIENT;
}

/* What the calls add: which drive, ranges, the lock. The disk stays open from the first on. */
static void calls(void **state)
{
    struct disk *disk = NULL, *again = NULL;
    uint8_t bytes[2 * FAKE_SECTOR], wanted[FAKE_SECTOR];

    (void)state;
    info.disk_ports = 0;
    assert_int_equal(disk_open(&disk), -TRAPLINE_ENOENT);
    info.disk_ports = FAKE_PORTS;
    fake_ata_open(0, 1000, true);
    fake_ata.drives[0].present = false;
    assert_int_equal(disk_open(&disk), -TRAPLINE_ENOENT);
    assert_null(disk);
    fake_ata_open(1, 1000, true);
    assert_int_equal(disk_open(&disk), 0);
    assert_int_equal(disk_open(&again), 0);
    assert_ptr_equal(disk, again);
    assert_int_equal(disk_sectors(disk), 1000);

    assert_int_equal(disk_read(disk, 998, 2, bytes), 0);
    fake_ata_initial(999, wanted);
    assert_memory_equal(bytes + FAKE_SECTOR, wanted, FAKE_SECTOR);
    memset(bytes, 0x5a, sizeof(bytes));
    assert_int_equal(disk_write(disk, 999, 1, bytes), 0);
    fake_ata_peek(999, wanted);
    assert_memory_equal(bytes, wanted, FAKE_SECTOR);
    assert_int_equal(disk_flush(disk), 0);
    fake_ata.commands = 0;
    assert_int_equal(disk_write(disk, 1000, 0, bytes), 0);
    assert_int_equal(disk_read(disk, 999, 2, bytes), -TRAPLINE_EINVAL);
    assert_int_equal(disk_write(disk, 1001, 0, bytes), -TRAPLINE_EINVAL);
    assert_int_equal(disk_write(disk, UINT64_MAX, 2, bytes), -TRAPLINE_EINVAL);
    assert_int_equal(disk_read(disk, 2, UINT64_MAX, bytes), -TRAPLINE_EINVAL);
    assert_int_equal(fake_ata.commands, 0);
    fake_ata.failure = FAKE_ERROR;
    assert_int_equal(disk_read(disk, 0, 1, bytes), -DISK_EIO);
    assert_int_equal(disk_write(disk, 0, 1, bytes), -DISK_EIO);
    assert_int_equal(disk_flush(disk), -DISK_EIO);
    assert_int_equal(locked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_28),       cmocka_unit_test(bits_48),
        cmocka_unit_test(old_drive),     cmocka_unit_test(failures),
        cmocka_unit_test(failing_flush), cmocka_unit_test(a_drive_that_goes),
        cmocka_unit_test(nobody),        cmocka_unit_test(unfit),
        cmocka_unit_test(calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
