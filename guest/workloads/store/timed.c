#include "guest/workloads/store/timed.h"

#include <trapline/portable.h>

static int timed_read(struct block_device *device, uint64_t first, size_t count, void *buffer)
{
    struct timed_disk *const disk = (struct timed_disk *)device;
    const uint64_t start = ticks();
    const int error = disk->below->read(disk->below, first, count, buffer);

    disk->ticks += ticks() - start;
    return error;
}

static int timed_write(struct block_device *device, uint64_t first, size_t count,
                       const void *buffer)
{
    struct timed_disk *const disk = (struct timed_disk *)device;
    const uint64_t start = ticks();
    const int error = disk->below->write(disk->below, first, count, buffer);

    disk->ticks += ticks() - start;
    disk->sectors_written += count;
    return error;
}

static int timed_flush(struct block_device *device)
{
    struct timed_disk *const disk = (struct timed_disk *)device;
    const uint64_t start = ticks();
    const int error = disk->below->flush(disk->below);

    disk->ticks += ticks() - start;
    disk->flushes++;
    return error;
}

void timed_disk_init(struct timed_disk *disk, struct block_device *below)
{
    *disk = (struct timed_disk){
        .device = {timed_read, timed_write, timed_flush, below->sectors},
        .below = below,
    };
}
