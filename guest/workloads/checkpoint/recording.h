/*
 * A disk that passes everything on and keeps a list of what was written and flushed, to find out
 * what may be left of it when the power fails. It keeps no data: no sector of a log is written
 * twice, see image.h.
 */
#ifndef CHECKPOINT_RECORDING_H
#define CHECKPOINT_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "guest/common/block.h"

struct recorded_write {
    uint64_t first; /* sector; RECORDED_FLUSH: a flush */
    size_t count;
};

#define RECORDED_FLUSH UINT64_MAX

struct recording_disk {
    struct block_device device;
    struct block_device *below;
    struct recorded_write *writes;
    size_t count, room;
};

/* room: how many calls are kept; those beyond fail with -ENOMEM. Returns 0 or -ENOMEM. */
int recording_disk_create(struct recording_disk *disk, struct block_device *below, size_t room);
void recording_disk_destroy(struct recording_disk *disk);

#endif
