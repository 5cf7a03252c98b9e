/*
 * One ATA drive by its channel's registers: commands whose data go through a port (PIO), waited for
 * by looking at the status. Source: ATA/ATAPI-7 (INCITS 397), volume 2, "Host transport protocol";
 * section numbers of volume 1.
 *
 * All calls return 0, -ENOENT (no drive there), -EOPNOTSUPP, -DISK_EIO or -DISK_ETIMEDOUT. Behind
 * an error of a command the channel is reset. Not for several callers at once.
 */
#ifndef GUEST_RUNTIME_ATA_H
#define GUEST_RUNTIME_ATA_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ATA_DRIVES = 2, /* of one channel */
};

struct ata_drive {
    uint16_t ports;   /* the first of the channel's eight command registers */
    uint16_t control; /* its control register */
    uint8_t number;   /* 0 or 1 */
    bool lba48;       /* 48-bit addresses */
    bool flush;       /* it knows FLUSH CACHE ... */
    bool flush_ext;   /* ... and its 48-bit kind */
    uint64_t sectors;
};

/*
 * Reset the channel and find the drive of this number. drive->ports, control and number are given,
 * the rest is filled in.
 */
int ata_identify(struct ata_drive *drive);

/*
 * Transfer count sectors from first on, all within the drive; the buffer is aligned to 2. Each
 * command takes as many as one can.
 */
int ata_read(const struct ata_drive *drive, uint64_t first, uint64_t count, void *buffer);
int ata_write(const struct ata_drive *drive, uint64_t first, uint64_t count, const void *buffer);

/* Have the drive empty its write cache. */
int ata_flush(const struct ata_drive *drive);

#endif
