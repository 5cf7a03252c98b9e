/*
 * A disk as the store sees it: sectors, and a cache of its own that may lose what was not flushed
 * when the power fails. A sector is written whole or not at all; the order in which sectors between
 * two flushes reach the disk is anybody's guess.
 */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

enum {
    SECTOR = 512,
};

/* Each call returns 0 or a negative errno value. first and count: sectors. */
struct block_device {
    int (*read)(struct block_device *device, uint64_t first, size_t count, void *buffer);
    int (*write)(struct block_device *device, uint64_t first, size_t count, const void *buffer);
    int (*flush)(struct block_device *device);
    uint64_t sectors;
};

/* A disk in memory. */
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

/*
 * A disk that passes everything on and keeps a list of what was written to it, sector by sector,
 * and of what was flushed, for power cuts to be tried at each of them.
 */
struct recorded_write {
    uint64_t sector; /* RECORDED_FLUSH: a flush */
    uint8_t data[SECTOR];
};

#define RECORDED_FLUSH UINT64_MAX

struct recording_disk {
    struct block_device device;
    struct block_device *below;
    struct recorded_write *writes;
    size_t count, room;
};

/* room: how many writes and flushes are kept; those beyond fail with -ENOMEM. 0 or -ENOMEM. */
int recording_disk_create(struct recording_disk *disk, struct block_device *below, size_t room);
void recording_disk_destroy(struct recording_disk *disk);

/* A disk that passes everything on and measures how long it takes. */
struct timed_disk {
    struct block_device device;
    struct block_device *below;
    uint64_t ticks;
    uint64_t sectors_written, flushes;
};

void timed_disk_init(struct timed_disk *disk, struct block_device *below);

#endif
