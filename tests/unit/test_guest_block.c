/* The disks that workloads use: one in memory, with its bounds, and the program's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <trapline/abi.h>

#include "guest/common/block.h"

enum {
    SECTORS = 5,
};

/* A stand-in for the runtime's disk: it says what it was asked for. */
struct disk {
    uint64_t sectors, first, count;
    const void *buffer;
    int writes, flushes, error;
};

static struct disk the_disk;

int disk_open(struct disk **disk)
{
    *disk = &the_disk;
    return the_disk.error;
}

uint64_t disk_sectors(const struct disk *disk)
{
    return disk->sectors;
}

int disk_read(struct disk *disk, uint64_t first, uint64_t count, void *buffer)
{
    disk->first = first;
    disk->count = count;
    disk->buffer = buffer;
    return disk->error;
}

int disk_write(struct disk *disk, uint64_t first, uint64_t count, const void *buffer)
{
    disk->first = first;
    disk->count = count;
    disk->buffer = buffer;
    disk->writes++;
    return disk->error;
}

int disk_flush(struct disk *disk)
{
    disk->flushes++;
    return disk->error;
}

static void test_sectors_of(void **state)
{
    (void)state;
    assert_int_equal(sectors_of(0), 0);
    assert_int_equal(sectors_of(1), 1);
    assert_int_equal(sectors_of(DISK_SECTOR), 1);
    assert_int_equal(sectors_of(DISK_SECTOR + 1), 2);
    assert_int_equal(sectors_of(0 - (uint64_t)DISK_SECTOR), UINT64_MAX / DISK_SECTOR);
}

static void test_memory_keeps(void **state)
{
    static const uint8_t zeros[SECTORS * DISK_SECTOR];
    uint8_t in[2 * DISK_SECTOR], out[SECTORS * DISK_SECTOR];
    struct memory_disk disk;
    struct block_device *const device = &disk.device;

    (void)state;
    assert_int_equal(memory_disk_create(&disk, SECTORS), 0);
    assert_int_equal(device->sectors, SECTORS);
    assert_int_equal(device->read(device, 0, SECTORS, out), 0);
    assert_memory_equal(out, zeros, sizeof(out));
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(device->write(device, 2, 2, in), 0);
    assert_int_equal(device->flush(device), 0);
    assert_int_equal(device->read(device, 0, SECTORS, out), 0);
    assert_memory_equal(out, zeros, 2 * DISK_SECTOR);
    assert_memory_equal(out + 2 * DISK_SECTOR, in, sizeof(in));
    assert_memory_equal(out + 4 * DISK_SECTOR, zeros, DISK_SECTOR);
    memory_disk_destroy(&disk);
}

/* Beyond the end nothing is transferred, however large the numbers are. */
static void test_memory_bounds(void **state)
{
    static const struct {
        uint64_t first;
        size_t count;
        int error;
    } cases[] = {
        {SECTORS - 1, 1, 0},
        {SECTORS, 0, 0},
        {SECTORS, 1, -TRAPLINE_EINVAL},
        {SECTORS - 1, 2, -TRAPLINE_EINVAL},
        {SECTORS + 1, 0, -TRAPLINE_EINVAL},
        {0, SECTORS + 1, -TRAPLINE_EINVAL},
        {1, SIZE_MAX, -TRAPLINE_EINVAL},
        {UINT64_MAX, 1, -TRAPLINE_EINVAL},
        {UINT64_MAX, 2, -TRAPLINE_EINVAL},
        {1, SIZE_MAX / DISK_SECTOR + 1, -TRAPLINE_EINVAL},
    };
    uint8_t buffer[SECTORS * DISK_SECTOR];
    struct memory_disk disk;
    struct block_device *const device = &disk.device;

    (void)state;
    assert_int_equal(memory_disk_create(&disk, SECTORS), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(buffer, 0xa5, sizeof(buffer));
        assert_int_equal(device->write(device, cases[i].first, cases[i].count, buffer),
                         cases[i].error);
        assert_int_equal(device->read(device, cases[i].first, cases[i].count, buffer),
                         cases[i].error);
    }
    assert_int_equal(device->read(device, 0, SECTORS - 1, buffer), 0);
    for (size_t i = 0; i < (SECTORS - 1) * DISK_SECTOR; i++)
        assert_int_equal(buffer[i], 0);
    memory_disk_destroy(&disk);
}

static void test_real(void **state)
{
    uint8_t buffer[DISK_SECTOR];
    struct real_disk disk;
    struct block_device *const device = &disk.device;

    (void)state;
    the_disk = (struct disk){.error = -TRAPLINE_ENOENT};
    assert_int_equal(real_disk_open(&disk), -TRAPLINE_ENOENT);
    the_disk = (struct disk){.sectors = 9};
    assert_int_equal(real_disk_open(&disk), 0);
    assert_int_equal(device->sectors, 9);
    assert_int_equal(device->write(device, 3, 1, buffer), 0);
    assert_int_equal(the_disk.writes, 1);
    assert_int_equal(the_disk.first, 3);
    assert_int_equal(the_disk.count, 1);
    assert_ptr_equal(the_disk.buffer, buffer);
    assert_int_equal(device->flush(device), 0);
    assert_int_equal(the_disk.flushes, 1);
    the_disk.error = -DISK_EIO;
    assert_int_equal(device->read(device, 8, 1, buffer), -DISK_EIO);
    assert_int_equal(the_disk.writes, 1);
    assert_int_equal(the_disk.first, 8);
    assert_int_equal(device->write(device, 8, 1, buffer), -DISK_EIO);
    assert_int_equal(device->flush(device), -DISK_EIO);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sectors_of),
        cmocka_unit_test(test_memory_keeps),
        cmocka_unit_test(test_memory_bounds),
        cmocka_unit_test(test_real),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
