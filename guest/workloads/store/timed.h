/* A disk that passes everything on and measures how long it takes. */
#ifndef STORE_TIMED_H
#define STORE_TIMED_H

#include <stdint.h>

#include "guest/common/block.h"

struct timed_disk {
    struct block_device device;
    struct block_device *below;
    uint64_t ticks;
    uint64_t sectors_written, flushes;
};

void timed_disk_init(struct timed_disk *disk, struct block_device *below);

#endif
