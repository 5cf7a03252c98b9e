#include "guest/workloads/checkpoint/target.h"

#include <trapline/portable.h>

static int check(const struct target *target, uint64_t offset, size_t bytes)
{
    if (offset % TARGET_BLOCK || bytes % TARGET_BLOCK)
        return -TRAPLINE_EINVAL;
    return offset > target->bytes || bytes > target->bytes - offset ? -TRAPLINE_EINVAL : 0;
}

static int memory_write(struct target *target, uint64_t offset, const void *data, size_t bytes)
{
    struct memory_target *const memory = (struct memory_target *)target;
    const int error = check(target, offset, bytes);

    if (error == 0)
        memcpy(memory->data + offset, data, bytes);
    return error;
}

static int memory_read(struct target *target, uint64_t offset, void *data, size_t bytes)
{
    const struct memory_target *const memory = (struct memory_target *)target;
    const int error = check(target, offset, bytes);

    if (error == 0)
        memcpy(data, memory->data + offset, bytes);
    return error;
}

static int memory_flush(struct target *target)
{
    (void)target;
    return 0;
}

int memory_target_create(struct memory_target *memory, uint64_t bytes)
{
    const size_t pages = (bytes + TRAPLINE_PAGE_SIZE - 1) / TRAPLINE_PAGE_SIZE;

    memory->target =
        (struct target){memory_write, memory_read, memory_flush, pages * TRAPLINE_PAGE_SIZE};
    memory->data = pages_alloc(pages, 1);
    return memory->data ? 0 : -TRAPLINE_ENOMEM;
}

void memory_target_destroy(struct memory_target *memory)
{
    pages_free(memory->data, memory->target.bytes / TRAPLINE_PAGE_SIZE);
}

_Static_assert((int)TARGET_BLOCK == (int)DISK_SECTOR, "blocks are sectors");

static int write_sectors(struct target *target, uint64_t offset, const void *data, size_t bytes)
{
    const int error = check(target, offset, bytes);

    return error ? error
                 : disk_write(((struct disk_target *)target)->disk, offset / DISK_SECTOR,
                              bytes / DISK_SECTOR, data);
}

static int read_sectors(struct target *target, uint64_t offset, void *data, size_t bytes)
{
    const int error = check(target, offset, bytes);

    return error ? error
                 : disk_read(((struct disk_target *)target)->disk, offset / DISK_SECTOR,
                             bytes / DISK_SECTOR, data);
}

static int flush_disk(struct target *target)
{
    return disk_flush(((struct disk_target *)target)->disk);
}

int disk_target_open(struct disk_target *target)
{
    const int error = disk_open(&target->disk);

    if (error == 0)
        target->target = (struct target){write_sectors, read_sectors, flush_disk,
                                         disk_sectors(target->disk) * DISK_SECTOR};
    return error;
}

static int record(struct recording_target *recording, uint64_t offset, size_t bytes)
{
    if (recording->count == recording->room)
        return -TRAPLINE_ENOMEM;
    recording->writes[recording->count++] = (struct recorded_write){offset, bytes};
    return 0;
}

static int recording_write(struct target *target, uint64_t offset, const void *data, size_t bytes)
{
    struct recording_target *const recording = (struct recording_target *)target;
    const int error = record(recording, offset, bytes);

    return error ? error : recording->below->write(recording->below, offset, data, bytes);
}

static int recording_read(struct target *target, uint64_t offset, void *data, size_t bytes)
{
    struct target *const below = ((struct recording_target *)target)->below;

    return below->read(below, offset, data, bytes);
}

static int recording_flush(struct target *target)
{
    struct recording_target *const recording = (struct recording_target *)target;
    const int error = record(recording, RECORDED_FLUSH, 0);

    return error ? error : recording->below->flush(recording->below);
}

int recording_target_create(struct recording_target *recording, struct target *below, size_t room)
{
    *recording = (struct recording_target){
        .target = {recording_write, recording_read, recording_flush, below->bytes},
        .below = below,
        .writes = malloc(room * sizeof(*recording->writes)),
        .room = room,
    };
    return recording->writes ? 0 : -TRAPLINE_ENOMEM;
}

void recording_target_destroy(struct recording_target *recording)
{
    free(recording->writes);
}
