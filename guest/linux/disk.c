/* The disk of a program on Linux: the file that the environment variable TRAPLINE_DISK names. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <trapline/abi.h>
#include <trapline/disk.h>

struct disk {
    int file;
    uint64_t sectors;
};

int disk_open(struct disk **disk)
{
    static struct disk opened = {.file = -1};
    const char *const path = getenv("TRAPLINE_DISK");
    struct stat status;

    if (opened.file < 0) {
        if (!path)
            return -TRAPLINE_ENOENT;
        opened.file = open(path, O_RDWR | O_CLOEXEC);
        if (opened.file < 0)
            return errno == ENOENT ? -TRAPLINE_ENOENT : -DISK_EIO;
        if (fstat(opened.file, &status) != 0) {
            close(opened.file);
            opened.file = -1;
            return -DISK_EIO;
        }
        opened.sectors = (uint64_t)status.st_size / DISK_SECTOR;
    }
    *disk = &opened;
    return 0;
}

uint64_t disk_sectors(const struct disk *disk)
{
    return disk->sectors;
}

static int check(const struct disk *disk, uint64_t first, uint64_t count)
{
    return first > disk->sectors || count > disk->sectors - first ? -TRAPLINE_EINVAL : 0;
}

int disk_read(struct disk *disk, uint64_t first, uint64_t count, void *buffer)
{
    const int error = check(disk, first, count);

    for (uint64_t done = 0; !error && done < count * DISK_SECTOR;) {
        const ssize_t got = pread(disk->file, (char *)buffer + done, count * DISK_SECTOR - done,
                                  (off_t)(first * DISK_SECTOR + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -DISK_EIO;
        done += (uint64_t)got;
    }
    return error;
}

int disk_write(struct disk *disk, uint64_t first, uint64_t count, const void *buffer)
{
    const int error = check(disk, first, count);

    for (uint64_t done = 0; !error && done < count * DISK_SECTOR;) {
        const ssize_t put = pwrite(disk->file, (const char *)buffer + done,
                                   count * DISK_SECTOR - done, (off_t)(first * DISK_SECTOR + done));

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -DISK_EIO;
        done += (uint64_t)put;
    }
    return error;
}

int disk_flush(struct disk *disk)
{
    return fdatasync(disk->file) == 0 ? 0 : -DISK_EIO;
}
