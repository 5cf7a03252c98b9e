/* The disk that the guest's configuration gives it, for all threads. */
/* General registers only, so that it may be used in handlers that save no others. */
#pragma GCC target("general-regs-only")

#include <trapline/abi.h>
#include <trapline/disk.h>
#include <trapline/process.h>
#include <trapline/thread.h>

#include "guest/runtime/ata.h"

struct disk {
    struct mutex lock;
    bool open;
    struct ata_drive drive;
};

static struct disk the_disk;

/* The first drive of the channel that there is. */
static int find_drive(struct ata_drive *drive)
{
    const struct trapline_info *info = guest_info();
    int result = -TRAPLINE_ENOENT;

    if (info->disk_ports == 0)
        return result;
    for (uint8_t i = 0; i < ATA_DRIVES && result == -TRAPLINE_ENOENT; i++) {
        *drive = (struct ata_drive){
            .ports = info->disk_ports,
            .control = info->disk_control,
            .number = i,
        };
        result = ata_identify(drive);
    }
    return result;
}

int disk_open(struct disk **disk)
{
    int result = 0;

    mutex_lock(&the_disk.lock);
    if (!the_disk.open)
        result = find_drive(&the_disk.drive);
    if (result == 0) {
        the_disk.open = true;
        *disk = &the_disk;
    }
    mutex_unlock(&the_disk.lock);
    return result;
}

uint64_t disk_sectors(const struct disk *disk)
{
    return disk->drive.sectors;
}

static bool is_on_disk(const struct disk *disk, uint64_t first, uint64_t count)
{
    return first <= disk->drive.sectors && count <= disk->drive.sectors - first;
}

int disk_read(struct disk *disk, uint64_t first, uint64_t count, void *buffer)
{
    int result;

    if (!is_on_disk(disk, first, count))
        return -TRAPLINE_EINVAL;
    mutex_lock(&disk->lock);
    result = ata_read(&disk->drive, first, count, buffer);
    mutex_unlock(&disk->lock);
    return result;
}

int disk_write(struct disk *disk, uint64_t first, uint64_t count, const void *buffer)
{
    int result;

    if (!is_on_disk(disk, first, count))
        return -TRAPLINE_EINVAL;
    mutex_lock(&disk->lock);
    result = ata_write(&disk->drive, first, count, buffer);
    mutex_unlock(&disk->lock);
    return result;
}

int disk_flush(struct disk *disk)
{
    int result;

    mutex_lock(&disk->lock);
    result = ata_flush(&disk->drive);
    mutex_unlock(&disk->lock);
    return result;
}
