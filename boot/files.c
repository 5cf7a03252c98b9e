/* Files; see files.h. */
#include "boot/files.h"

#include "boot/config.h"

enum {
    READ_CHUNK = 1 << 20, /* bytes; some firmware fails on larger reads */
};

#define END_OF_FILE (~0ull)      /* a position for SetPosition() */
#define MAX_FILE    (1ull << 32) /* bytes */

EFI_STATUS files_open(struct firmware *firmware, EFI_FILE_HANDLE *volume)
{
    EFI_GUID loaded_image_guid = LOADED_IMAGE_PROTOCOL;
    EFI_GUID file_system_guid = SIMPLE_FILE_SYSTEM_PROTOCOL;
    EFI_LOADED_IMAGE *loaded = NULL;
    EFI_FILE_IO_INTERFACE *file_system = NULL;

    EFI_STATUS status =
        firmware->boot->HandleProtocol(firmware->image, &loaded_image_guid, (void **)&loaded);
    if (EFI_ERROR(status))
        return firmware_fail(firmware, status,
                             "the firmware does not say where this program came "
                             "from (%s)",
                             firmware_status(status));
    status = firmware->boot->HandleProtocol(loaded->DeviceHandle, &file_system_guid,
                                            (void **)&file_system);
    if (!EFI_ERROR(status))
        status = file_system->OpenVolume(file_system, volume);
    if (EFI_ERROR(status))
        return firmware_fail(firmware, status,
                             "the device that this program came from has no "
                             "file system that can be read (%s)",
                             firmware_status(status));
    return EFI_SUCCESS;
}

static EFI_STATUS read_all(EFI_FILE_HANDLE file, struct file_bytes *bytes)
{
    for (uint64_t done = 0; done < bytes->size;) {
        UINTN chunk = bytes->size - done < READ_CHUNK ? bytes->size - done : READ_CHUNK;
        EFI_STATUS status = file->Read(file, &chunk, (char *)bytes->data + done);
        if (EFI_ERROR(status))
            return status;
        if (chunk == 0)
            return EFI_END_OF_FILE;
        done += chunk;
    }
    return EFI_SUCCESS;
}

static EFI_STATUS file_size(struct firmware *firmware, EFI_FILE_HANDLE file, const char *path,
                            uint64_t *size)
{
    EFI_STATUS status = file->SetPosition(file, END_OF_FILE);
    if (!EFI_ERROR(status))
        status = file->GetPosition(file, size);
    if (!EFI_ERROR(status))
        status = file->SetPosition(file, 0);
    if (EFI_ERROR(status))
        return firmware_fail(firmware, status, "%s is not a file (%s)", path,
                             firmware_status(status));
    return EFI_SUCCESS;
}

/* Open a file for reading and learn its size; on failure it is reported and nothing stays open. */
static EFI_STATUS open_file(struct firmware *firmware, EFI_FILE_HANDLE volume, const char *path,
                            EFI_FILE_HANDLE *file, uint64_t *size)
{
    CHAR16 wide[CONFIG_PATH_LEN] = {0};

    for (size_t i = 0; i + 1 < CONFIG_PATH_LEN && path[i] != '\0'; i++)
        wide[i] = (CHAR16)(unsigned char)path[i];
    EFI_STATUS status = volume->Open(volume, file, wide, EFI_FILE_MODE_READ, 0);
    if (EFI_ERROR(status))
        return firmware_fail(firmware, status, "%s cannot be opened (%s)", path,
                             firmware_status(status));
    status = file_size(firmware, *file, path, size);
    if (EFI_ERROR(status))
        (*file)->Close(*file);
    return status;
}

static EFI_STATUS read_open(struct firmware *firmware, EFI_FILE_HANDLE file, const char *path,
                            struct file_bytes *bytes)
{
    EFI_STATUS status = read_all(file, bytes);
    file->Close(file);
    if (EFI_ERROR(status))
        return firmware_fail(firmware, status, "%s cannot be read (%s)", path,
                             firmware_status(status));
    return EFI_SUCCESS;
}

EFI_STATUS files_read(struct firmware *firmware, EFI_FILE_HANDLE volume, const char *path,
                      bool kept, struct file_bytes *bytes)
{
    EFI_FILE_HANDLE file = NULL;

    *bytes = (struct file_bytes){0};
    EFI_STATUS status = open_file(firmware, volume, path, &file, &bytes->size);
    if (EFI_ERROR(status))
        return status;
    if (bytes->size > MAX_FILE) {
        file->Close(file);
        return firmware_fail(firmware, EFI_UNSUPPORTED, "%s is larger than 4 GiB", path);
    }
    bytes->data = firmware_alloc(firmware, bytes->size > 0 ? bytes->size : 1, FIRMWARE_PAGE, kept);
    if (bytes->data == NULL) {
        file->Close(file);
        return EFI_OUT_OF_RESOURCES;
    }
    return read_open(firmware, file, path, bytes);
}

EFI_STATUS files_read_into(struct firmware *firmware, EFI_FILE_HANDLE volume, const char *path,
                           void *room, uint64_t room_size, uint64_t *size)
{
    EFI_FILE_HANDLE file = NULL;

    EFI_STATUS status = open_file(firmware, volume, path, &file, size);
    if (EFI_ERROR(status))
        return status;
    if (*size > room_size) {
        file->Close(file);
        return firmware_fail(firmware, EFI_BAD_BUFFER_SIZE,
                             "%s has %llu bytes; there is room for %llu", path,
                             (unsigned long long)*size, (unsigned long long)room_size);
    }
    struct file_bytes bytes = {.data = room, .size = *size};
    return read_open(firmware, file, path, &bytes);
}
