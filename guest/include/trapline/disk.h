/*
 * A disk that keeps what is written to it after the guest's end: the machine's, where the guest's
 * configuration gives it one (`disk` in trapline.conf), all of it and the guest alone. Sectors are
 * DISK_SECTOR bytes long and numbered from 0.
 *
 * Calls return 0 or a negative errno value: those of enum trapline_error and of enum disk_error.
 * They may be made by several threads at once, in a TRAP handler too, registered with whatever
 * flags, but not in an interrupt handler; each read and write is one after the other. A TRAP
 * handler that uses the disk must not be called by an access to the buffer of another call: the
 * disk is in use until that call has returned.
 */
#ifndef TRAPLINE_DISK_H
#define TRAPLINE_DISK_H

#include <stdint.h>

enum {
    DISK_SECTOR = 512, /* bytes */
};

/* Errors that hypercalls do not have. */
enum disk_error {
    DISK_EIO = 5,         /* the disk reports an error; what it has done is uncertain */
    DISK_ETIMEDOUT = 110, /* it does not answer */
};

struct disk;

/*
 * Find the guest's disk, of two on its channel the first, and put it into a known state, whatever
 * an earlier run did with it. Further calls give the same disk.
 * Returns 0 and the disk; -ENOENT when the guest has none, or nothing is connected there;
 * -EOPNOTSUPP for one that has no 512-byte sectors or no LBA; -EIO, -ETIMEDOUT.
 */
int disk_open(struct disk **disk);

/* How many sectors it has. */
uint64_t disk_sectors(const struct disk *disk);

/*
 * Read or write count sectors from first on; 0 do nothing. buffer: count * DISK_SECTOR bytes,
 * aligned to 2.
 *
 * A write is on the disk for good when a disk_flush() after it has returned 0; till then, if the
 * machine loses power, any of its sectors may be old or new, but none is a mixture. When a call
 * fails, some of its sectors may have been transferred.
 * Returns 0; -EINVAL for sectors that the disk does not have, with nothing transferred; -EIO,
 * -ETIMEDOUT.
 */
int disk_read(struct disk *disk, uint64_t first, uint64_t count, void *buffer);
int disk_write(struct disk *disk, uint64_t first, uint64_t count, const void *buffer);

/* Wait until all that was written is on the disk for good. Returns 0, -EIO or -ETIMEDOUT. */
int disk_flush(struct disk *disk);

#endif
