/* Reading files from the volume that the loader was started from. */
#ifndef TRAPLINE_BOOT_FILES_H
#define TRAPLINE_BOOT_FILES_H

#include "boot/firmware.h"

struct file_bytes {
    void *data; /* at least one page, of the loader's allocations */
    uint64_t size;
};

/* Open the volume; on failure it is reported. */
EFI_STATUS files_open(struct firmware *firmware, EFI_FILE_HANDLE *volume);

/*
 * Read a whole file. path: ASCII, from the volume's root, with backslashes. kept: its bytes go to
 * the hypervisor. On failure it is reported with the path.
 */
EFI_STATUS files_read(struct firmware *firmware, EFI_FILE_HANDLE volume, const char *path,
                      bool kept, struct file_bytes *file);

/*
 * The same into memory that is there: room_size bytes at room. *size gets the file's size; a larger
 * file than there is room for is a failure.
 */
EFI_STATUS files_read_into(struct firmware *firmware, EFI_FILE_HANDLE volume, const char *path,
                           void *room, uint64_t room_size, uint64_t *size);

#endif
