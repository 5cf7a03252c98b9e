/* The firmware's services; see firmware.h. */
#include "boot/firmware.h"

#include <stdarg.h>
#include <string.h>

#include "hv/format.h"

enum {
    CHUNK = 128, /* characters given to the firmware at once */
};

#define LOW_MEMORY_LAST 0xfffffull

struct screen {
    const struct firmware *firmware;
    size_t used;
    CHAR16 text[CHUNK + 1];
};

static void flush(struct screen *screen)
{
    SIMPLE_TEXT_OUTPUT_INTERFACE *out = screen->firmware->system->ConOut;

    screen->text[screen->used] = 0;
    if (screen->used > 0 && out != NULL)
        out->OutputString(out, screen->text);
    screen->used = 0;
}

static void put(void *context, char c)
{
    struct screen *screen = context;

    if (screen->used + 2 > CHUNK)
        flush(screen);
    if (c == '\n')
        screen->text[screen->used++] = '\r';
    screen->text[screen->used++] = (CHAR16)(unsigned char)c;
}

static void say(const struct firmware *firmware, const char *format, va_list args)
{
    struct screen screen = {.firmware = firmware};

    format_text(put, &screen, format, args);
    flush(&screen);
}

void firmware_say(const struct firmware *firmware, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(firmware, format, args);
    va_end(args);
}

EFI_STATUS firmware_fail(const struct firmware *firmware, EFI_STATUS status, const char *format,
                         ...)
{
    va_list args;

    firmware_say(firmware, "\ntrapline: cannot start: ");
    va_start(args, format);
    say(firmware, format, args);
    va_end(args);
    firmware_say(firmware, "\n");
    return status;
}

static void *take(struct firmware *firmware, EFI_ALLOCATE_TYPE how, uint64_t limit, uint64_t bytes,
                  uint64_t align, bool kept)
{
    uint64_t pages = bytes / FIRMWARE_PAGE + (bytes % FIRMWARE_PAGE != 0);
    uint64_t slack = align / FIRMWARE_PAGE - 1;
    EFI_PHYSICAL_ADDRESS base = limit;

    if (firmware->allocation_count == FIRMWARE_MAX_ALLOCATIONS) {
        firmware_fail(firmware, EFI_OUT_OF_RESOURCES, "more than %u pieces of memory needed",
                      (unsigned)FIRMWARE_MAX_ALLOCATIONS);
        return NULL;
    }
    EFI_STATUS status = firmware->boot->AllocatePages(how, EfiLoaderData, pages + slack, &base);
    if (EFI_ERROR(status)) {
        firmware_fail(firmware, status, "no %llu KiB of memory%s (%s)",
                      (unsigned long long)pages * (FIRMWARE_PAGE >> 10),
                      how == AllocateMaxAddress ? " below 1 MiB" : "", firmware_status(status));
        return NULL;
    }
    /* Give the unaligned ends back: the hypervisor could never use them. */
    uint64_t first = (base + align - 1) & ~(align - 1);
    uint64_t before = (first - base) / FIRMWARE_PAGE;
    if (before > 0)
        firmware->boot->FreePages(base, before);
    if (slack > before)
        firmware->boot->FreePages(first + pages * FIRMWARE_PAGE, slack - before);

    firmware->allocations[firmware->allocation_count++] = (struct firmware_allocation){
        .base = first,
        .size = pages * FIRMWARE_PAGE,
        .kept = kept,
    };
    memset((void *)first, 0, pages * FIRMWARE_PAGE);
    return (void *)first;
}

void *firmware_alloc(struct firmware *firmware, uint64_t bytes, uint64_t align, bool kept)
{
    return take(firmware, AllocateAnyPages, 0, bytes, align, kept);
}

void *firmware_alloc_low(struct firmware *firmware, unsigned pages)
{
    return take(firmware, AllocateMaxAddress, LOW_MEMORY_LAST, (uint64_t)pages * FIRMWARE_PAGE,
                FIRMWARE_PAGE, true);
}

void firmware_release(struct firmware *firmware)
{
    for (size_t i = 0; i < firmware->allocation_count; i++)
        firmware->boot->FreePages(firmware->allocations[i].base,
                                  firmware->allocations[i].size / FIRMWARE_PAGE);
    firmware->allocation_count = 0;
}

size_t firmware_kept(const struct firmware *firmware, struct memmap_kept *kept)
{
    size_t count = 0;

    for (size_t i = 0; i < firmware->allocation_count; i++) {
        if (firmware->allocations[i].kept)
            kept[count++] =
                (struct memmap_kept){firmware->allocations[i].base, firmware->allocations[i].size};
    }
    return count;
}

void *firmware_protocol(const struct firmware *firmware, EFI_GUID guid)
{
    void *interface = NULL;

    if (EFI_ERROR(firmware->boot->LocateProtocol(&guid, NULL, &interface)))
        return NULL;
    return interface;
}

const void *firmware_table(const struct firmware *firmware, EFI_GUID guid)
{
    for (UINTN i = 0; i < firmware->system->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE *table = &firmware->system->ConfigurationTable[i];
        if (memcmp(&table->VendorGuid, &guid, sizeof(guid)) == 0)
            return table->VendorTable;
    }
    return NULL;
}

const char *firmware_status(EFI_STATUS status)
{
    switch (status) {
    case EFI_SUCCESS: return "success";
    case EFI_LOAD_ERROR: return "load error";
    case EFI_INVALID_PARAMETER: return "invalid parameter";
    case EFI_UNSUPPORTED: return "unsupported";
    case EFI_BUFFER_TOO_SMALL: return "buffer too small";
    case EFI_NOT_READY: return "not ready";
    case EFI_DEVICE_ERROR: return "device error";
    case EFI_OUT_OF_RESOURCES: return "out of resources";
    case EFI_VOLUME_CORRUPTED: return "volume corrupted";
    case EFI_NO_MEDIA: return "no media";
    case EFI_MEDIA_CHANGED: return "media changed";
    case EFI_NOT_FOUND: return "not found";
    case EFI_ACCESS_DENIED: return "access denied";
    case EFI_TIMEOUT: return "timeout";
    case EFI_CRC_ERROR: return "checksum error";
    case EFI_SECURITY_VIOLATION: return "security violation";
    default: return "other error";
    }
}
