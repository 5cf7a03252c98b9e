#include "guest/common/block.h"

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
        memcpy(buffer, disk->data + first * DISK_SECTOR, count * DISK_SECTOR);
    return error;
}

static int memory_write(struct block_device *device, uint64_t first, size_t count,
                        const void *buffer)
{
    struct memory_disk *const disk = (struct memory_disk *)device;
    const int error = memory_check(device, first, count);

    if (error == 0)
        memcpy(disk->data + first * DISK_SECTOR, buffer, count * DISK_SECTOR);
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
    disk->data = calloc(sectors, DISK_SECTOR);
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
