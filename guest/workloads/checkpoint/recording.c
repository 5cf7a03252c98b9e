#include "guest/workloads/checkpoint/recording.h"

#include <trapline/portable.h>

static int record(struct recording_disk *disk, uint64_t first, size_t count)
{
    if (disk->count == disk->room)
        return -TRAPLINE_ENOMEM;
    disk->writes[disk->count++] = (struct recorded_write){first, count};
    return 0;
}

static int recording_read(struct block_device *device, uint64_t first, size_t count, void *buffer)
{
    struct block_device *const below = ((struct recording_disk *)device)->below;

    return below->read(below, first, count, buffer);
}

static int recording_write(struct block_device *device, uint64_t first, size_t count,
                           const void *buffer)
{
    struct recording_disk *const disk = (struct recording_disk *)device;
    const int error = record(disk, first, count);

    return error ? error : disk->below->write(disk->below, first, count, buffer);
}

static int recording_flush(struct block_device *device)
{
    struct recording_disk *const disk = (struct recording_disk *)device;
    const int error = record(disk, RECORDED_FLUSH, 0);

    return error ? error : disk->below->flush(disk->below);
}

int recording_disk_create(struct recording_disk *disk, struct block_device *below, size_t room)
{
    *disk = (struct recording_disk){
        .device = {recording_read, recording_write, recording_flush, below->sectors},
        .below = below,
        .writes = malloc(room * sizeof(*disk->writes)),
        .room = room,
    };
    return disk->writes ? 0 : -TRAPLINE_ENOMEM;
}

void recording_disk_destroy(struct recording_disk *disk)
{
    free(disk->writes);
}
