/*
 * A disk that passes everything on and keeps a list of what was written to it, sector by sector,
 * and of what was flushed, for power cuts to be tried at each of them.
 */
#ifndef STORE_RECORDING_H
#define STORE_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "guest/common/block.h"

struct recorded_write {
    uint64_t sector; /* RECORDED_FLUSH: a flush */
    uint8_t data[DISK_SECTOR];
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

#endif
