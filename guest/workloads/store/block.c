#include "guest/workloads/store/block.h"

#include <trapline/portable.h>

static int memory_check(const struct block_device *device, uint64_t first, size_t count)
{
    return first > device->sectors || count > device->sectors - first ? -TRAPLINE_EINVAL : 0;
}

static int memory_read(struct block_device *device, uint64_t first, size_t count, void *buffer)
{
    const struct memory_disk *const disk = (struct memory_disk *)device;
    const int error = memory_check(device, first, count);

    if (error == 0)
        memcpy(buffer, disk->data + first * SECTOR, count * SECTOR);
    return error;
}

static int memory_write(struct block_device *device, uint64_t first, size_t count,
                        const void *buffer)
{
    struct memory_disk *const disk = (struct memory_disk *)device;
    const int error = memory_check(device, first, count);

    if (error == 0)
        memcpy(disk->data + first * SECTOR, buffer, count * SECTOR);
    return error;
}

static int memory_flush(struct block_device *device)
{
    (void)device;
    return 0;
}

int memory_disk_create(struct memory_disk *disk, uint64_t sectors)
{
    disk->device = (struct block_device){memory_read, memory_write, memory_flush, sectors};
    disk->data = calloc(sectors, SECTOR);
    return disk->data ? 0 : -TRAPLINE_ENOMEM;
}

void memory_disk_destroy(struct memory_disk *disk)
{
    free(disk->data);
}

static int real_read(struct block_device *device, uint64_t first, size_t count, void *buffer)
{
    return disk_read(((struct real_disk *)device)->disk, first, count, buffer);
}

static int real_write(struct block_device *device, uint64_t first, size_t count, const void *buffer)
{
    return disk_write(((struct real_disk *)device)->disk, first, count, buffer);
}

static int real_flush(struct block_device *device)
{
    return disk_flush(((struct real_disk *)device)->disk);
}

int real_disk_open(struct real_disk *disk)
{
    const int error = disk_open(&disk->disk);

    if (error == 0)
        disk->device =
            (struct block_device){real_read, real_write, real_flush, disk_sectors(disk->disk)};
    return error;
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

    if (count > disk->room - disk->count)
        return -TRAPLINE_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct recorded_write *const write = &disk->writes[disk->count++];

        write->sector = first + i;
        memcpy(write->data, (const uint8_t *)buffer + i * SECTOR, SECTOR);
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
