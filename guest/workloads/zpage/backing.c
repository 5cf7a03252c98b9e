/*
 * The store: the guest's disk where it has one that is large enough, else memory. In memory it
 * takes the time of the copy and no more: what a transfer would add is for the reader to say, and
 * the report counts the transfers.
 */
#include "guest/workloads/zpage/backing.h"

#include <trapline/portable.h>

enum {
    SLOT_SECTORS = TRAPLINE_PAGE_SIZE / DISK_SECTOR,
};

static struct disk *disk; /* NULL: the store is in memory */
static char *memory;
static size_t slots_count;

static bool open_memory(void)
{
    memory = pages_alloc(slots_count, 1);
    if (!memory)
        printf("zpage: no memory for a store of %zu pages\n", slots_count);
    return memory;
}

bool backing_open(size_t slots)
{
    const int result = disk_open(&disk);

    slots_count = slots;
    if (result == 0 && disk_sectors(disk) >= slots * SLOT_SECTORS)
        return true;
    if (result == 0)
        printf("zpage: the disk has %lu sectors, fewer than %zu pages\n", disk_sectors(disk),
               slots);
    else if (result != -TRAPLINE_ENOENT)
        printf("zpage: disk_open: %s\n", trapline_error_name(result));
    disk = NULL;
    return (result == -TRAPLINE_ENOENT) && open_memory();
}

void backing_close(void)
{
    if (memory)
        pages_free(memory, slots_count);
    memory = NULL;
}

/* A page whose transfer failed is lost, and the program with it. */
static void must(int result, const char *call, size_t slot)
{
    if (result == 0)
        return;
    printf("zpage: %s of slot %zu: error %d\n", call, slot, -result);
    abort();
}

static uint64_t sectors(size_t bytes)
{
    return (bytes + DISK_SECTOR - 1) / DISK_SECTOR;
}

void backing_write(size_t slot, const void *from, size_t bytes)
{
    if (disk)
        must(disk_write(disk, slot * SLOT_SECTORS, sectors(bytes), from), "disk_write", slot);
    else
        memcpy(memory + slot * TRAPLINE_PAGE_SIZE, from, bytes);
}

void backing_read(size_t slot, void *to, size_t bytes)
{
    if (disk)
        must(disk_read(disk, slot * SLOT_SECTORS, sectors(bytes), to), "disk_read", slot);
    else
        memcpy(to, memory + slot * TRAPLINE_PAGE_SIZE, bytes);
}

const char *backing_name(void)
{
    return disk ? "disk" : "memory";
}
