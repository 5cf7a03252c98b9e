/*
 * A disk as a workload sees it: sectors, and a cache of its own that may lose what was not flushed
 * when the power fails. A sector is written whole or not at all; the order in which sectors between
 * two flushes reach the disk is anybody's guess.
 */
#ifndef GUEST_COMMON_BLOCK_H
#define GUEST_COMMON_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include <trapline/disk.h>

/*
 * first and count: sectors of DISK_SECTOR bytes. Each call returns 0; -EINVAL for sectors that the
 * disk does not have, with nothing transferred; or another negative errno value of the medium's
 * own. One call at a time.
 */
struct block_device {
    int (*read)(struct block_device *device, uint64_t first, size_t count, void *buffer);
    int (*write)(struct block_device *device, uint64_t first, size_t count, const void *buffer);
    int (*flush)(struct block_device *device);
    uint64_t sectors;
};

/* Sectors that so many bytes take; at most 2^64 - DISK_SECTOR bytes. */
static inline uint64_t sectors_of(uint64_t bytes)
{
    return (bytes + DISK_SECTOR - 1) / DISK_SECTOR;
}

/* A disk in memory. It does not survive the program. */
struct memory_disk {
    struct block_device device;
    uint8_t *data;
};

/* Returns 0 or -ENOMEM. The disk holds zeros. */
int memory_disk_create(struct memory_disk *disk, uint64_t sectors);
void memory_disk_destroy(struct memory_disk *disk);

/* The disk that the program was given: <trapline/disk.h>. */
struct real_disk {
    struct block_device device;
    struct disk *disk;
};

/* Returns 0 or what disk_open() said. */
int real_disk_open(struct real_disk *disk);

#endif
