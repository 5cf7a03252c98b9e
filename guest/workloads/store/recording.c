#include "guest/workloads/store/recording.h"

#include <trapline/portable.h>

static int recording_read(struct block_device *device, uint64_t first, size_t count, void *buffer)
{
    struct block_device *const below = ((struct recording_disk *)device)->below;

    return below->read(below, first, count, buffer);
}

static int recording_write(struct block_device *device, uint64_t first, size_t count,
                           const void *buffer)
{
    struct recording_disk *const disk = (struct recording_disk *)device;

    if (count > disk->room - disk->count)
        return -TRAPLINE_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct recorded_write *const write = &disk->writes[disk->count++];

        write->sector = first + i;
        memcpy(write->data, (const uint8_t *)buffer + i * DISK_SECTOR, DISK_SECTOR);
    }
    return disk->below->write(disk->below, first, count, buffer);
}

static int recording_flush(struct block_device *device)
{
    struct recording_disk *const disk = (struct recording_disk *)device;

    if (disk->count == disk->room)
        return -TRAPLINE_ENOMEM;
    disk->writes[disk->count++].sector = RECORDED_FLUSH;
    return disk->below->flush(disk->below);
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
