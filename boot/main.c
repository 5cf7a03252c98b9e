/*
 * The UEFI application: checks the machine, reads what to run, and hands the machine over to the
 * hypervisor. Every failure before the hand-over goes back to the firmware with a message.
 */
#include <efi.h>
#include <stdbool.h>
#include <stdnoreturn.h>

#include "boot/config.h"
#include "boot/cpus.h"
#include "boot/files.h"
#include "boot/firmware.h"
#include "boot/guests.h"
#include "boot/handover.h"
#include "boot/image.h"
#include "boot/memmap.h"
#include "boot/preflight.h"
#include "boot/space.h"

#define CONFIG_FILE "\\trapline\\trapline.conf"

enum {
    TRAMPOLINE_PAGES = 2,
    MAP_SLACK = 64,    /* descriptors that the map may grow by until the machine is taken */
    EXIT_TRIES = 8,    /* of ExitBootServices() */
    READ_SECONDS = 10, /* how long a failure's message stays before the firmware goes on */
    MS_PER_SECOND = 1000,
    POLL_MS = 50,
    SILENT_APIC_ID = 0xfd, /* of a CPU that no machine so small has */
    US_PER_MS = 1000,
    DEBUG_PORT_ANSWER = 0xe9, /* what an emulator's debug port reads as */
};

struct loader {
    struct firmware firmware;
    struct preflight preflight;
    struct config config;
    struct elf_image image;
    struct handover *handover; /* kept */
    uint64_t *scratch;         /* for memmap_convert() */
    void *map;
    UINTN map_room; /* bytes */
    UINTN map_key;
    uint64_t root; /* physical address of the PML4 table */
    struct memmap_kept kept[FIRMWARE_MAX_ALLOCATIONS];
};

noreturn void leave(uint64_t handover, uint64_t entry, uint64_t root);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static EFI_STATUS run_preflight(struct loader *loader)
{
    struct preflight *preflight = &loader->preflight;
    char line[PREFLIGHT_LINE_LEN];

    preflight_check(preflight, &vmx_this_cpu, read_cr4());
    for (uint32_t i = 0; i < preflight->count; i++) {
        preflight_line(&preflight->items[i], line);
        firmware_say(&loader->firmware, "%s\n", line);
    }
    const struct preflight_item *missing = preflight_missing(preflight);
    if (missing == NULL)
        return EFI_SUCCESS;
    return firmware_fail(&loader->firmware, EFI_UNSUPPORTED, "%s is missing; %s", missing->name,
                         missing->note);
}

static EFI_STATUS read_config(struct loader *loader, EFI_FILE_HANDLE volume)
{
    char error[CONFIG_ERROR_LEN];
    struct file_bytes file;

    EFI_STATUS status = files_read(&loader->firmware, volume, CONFIG_FILE, false, &file);
    if (EFI_ERROR(status))
        return status;
    if (config_parse(file.data, file.size, &loader->config, error) != 0)
        return firmware_fail(&loader->firmware, EFI_LOAD_ERROR, "%s", error);
    return EFI_SUCCESS;
}

static uint32_t debug_port(const struct config *config)
{
    if (config->debug_port != CONFIG_DEBUG_PORT_AUTO)
        return (uint32_t)config->debug_port;
    return inb(CONFIG_DEBUG_PORT) == DEBUG_PORT_ANSWER ? CONFIG_DEBUG_PORT : 0;
}

static struct handover_framebuffer find_framebuffer(const struct firmware *firmware)
{
    EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    EFI_GRAPHICS_OUTPUT_PROTOCOL *gop = firmware_protocol(firmware, guid);
    struct handover_framebuffer none = {.format = HANDOVER_PIXEL_NONE};

    if (gop == NULL || gop->Mode == NULL || gop->Mode->Info == NULL)
        return none;
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info = gop->Mode->Info;
    const EFI_PIXEL_BITMASK *mask = &info->PixelInformation;
    enum handover_pixel_format format = HANDOVER_PIXEL_NONE;
    if (info->PixelFormat == PixelRedGreenBlueReserved8BitPerColor) {
        format = HANDOVER_PIXEL_RGB;
    } else if (info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor) {
        format = HANDOVER_PIXEL_BGR;
    } else if (info->PixelFormat == PixelBitMask && mask->GreenMask == 0xff00) {
        if (mask->RedMask == 0xff && mask->BlueMask == 0xff0000)
            format = HANDOVER_PIXEL_RGB;
        else if (mask->RedMask == 0xff0000 && mask->BlueMask == 0xff)
            format = HANDOVER_PIXEL_BGR;
    }
    uint64_t needed = (uint64_t)info->PixelsPerScanLine * info->VerticalResolution * 4;
    if (format == HANDOVER_PIXEL_NONE || gop->Mode->FrameBufferBase == 0 ||
        gop->Mode->FrameBufferSize < needed || needed == 0)
        return none;
    return (struct handover_framebuffer){
        .base = gop->Mode->FrameBufferBase,
        .size = gop->Mode->FrameBufferSize,
        .width = info->HorizontalResolution,
        .height = info->VerticalResolution,
        .stride = info->PixelsPerScanLine,
        .format = format,
    };
}

static EFI_STATUS describe_machine(struct loader *loader)
{
    struct firmware *firmware = &loader->firmware;
    struct handover *handover = loader->handover;
    const struct config *config = &loader->config;

    handover->magic = HANDOVER_MAGIC;
    handover->version = HANDOVER_VERSION;
    handover->size = sizeof(*handover);
    handover->on_exit = config->on_exit;
    handover->disable = config->disable;
    handover->selftest = config->selftest;
    handover->measure = config->measure;
    handover->serial_port = config->serial_port;
    handover->serial_baud = config->serial_baud;
    handover->debug_port = debug_port(config);
    handover->framebuffer = find_framebuffer(firmware);
    handover->reset_system = (uint64_t)firmware->system->RuntimeServices->ResetSystem;

    const char *source = cpus_enumerate(firmware, handover);
    if (config->selftest == HANDOVER_SELFTEST_SILENT_CPU && handover->cpu_count < HANDOVER_MAX_CPUS)
        handover->cpus[handover->cpu_count++].apic_id = SILENT_APIC_ID;
    handover->tsc_hz = cpus_tsc_hz(firmware);
    if (handover->tsc_hz == 0)
        return firmware_fail(firmware, EFI_DEVICE_ERROR, "the time-stamp counter stands still");
    firmware_say(firmware, "%u CPU%s (from %s), TSC at %llu MHz\n", handover->cpu_count,
                 handover->cpu_count == 1 ? "" : "s", source,
                 (unsigned long long)handover->tsc_hz / 1000000);
    void *trampoline = firmware_alloc_low(firmware, TRAMPOLINE_PAGES);
    if (trampoline == NULL)
        return EFI_OUT_OF_RESOURCES;
    handover->trampoline = (uint64_t)trampoline;
    return EFI_SUCCESS;
}

/* Room for the memory map, with slack, so that nothing need be allocated once it counts. */
static EFI_STATUS prepare_map(struct loader *loader)
{
    struct firmware *firmware = &loader->firmware;
    UINTN size = 0, descriptor_size = 0;
    UINT32 version = 0;

    EFI_STATUS status =
        firmware->boot->GetMemoryMap(&size, NULL, &loader->map_key, &descriptor_size, &version);
    if (status != EFI_BUFFER_TOO_SMALL)
        return firmware_fail(firmware, EFI_DEVICE_ERROR, "the firmware has no memory map (%s)",
                             firmware_status(status));
    loader->map_room = size + MAP_SLACK * descriptor_size;
    loader->map = firmware_alloc(firmware, loader->map_room, FIRMWARE_PAGE, false);
    loader->scratch =
        firmware_alloc(firmware, MEMMAP_SCRATCH * sizeof(uint64_t), FIRMWARE_PAGE, false);
    return loader->map == NULL || loader->scratch == NULL ? EFI_OUT_OF_RESOURCES : EFI_SUCCESS;
}

/* Get the memory map and convert it into the hand-over. Allocates nothing and prints nothing. */
static EFI_STATUS take_map(struct loader *loader, const char **problem)
{
    const struct firmware *firmware = &loader->firmware;
    UINTN size = loader->map_room, descriptor_size = 0;
    UINT32 version = 0;

    EFI_STATUS status = firmware->boot->GetMemoryMap(&size, loader->map, &loader->map_key,
                                                     &descriptor_size, &version);
    if (EFI_ERROR(status)) {
        *problem = firmware_status(status);
        return status;
    }
    struct memmap_input input = {
        .map = loader->map,
        .map_size = size,
        .descriptor_size = descriptor_size,
        .kept = loader->kept,
        .kept_count = firmware_kept(firmware, loader->kept),
    };
    enum memmap_error error = memmap_convert(&input, loader->scratch, loader->handover->regions,
                                             HANDOVER_MAX_REGIONS, &loader->handover->region_count);
    if (error != MEMMAP_OK) {
        *problem = memmap_error_text(error);
        return EFI_LOAD_ERROR;
    }
    return EFI_SUCCESS;
}

static uint64_t free_bytes(const struct handover *handover)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < handover->region_count; i++) {
        if (handover->regions[i].type == HANDOVER_MEM_FREE)
            bytes += handover->regions[i].size;
    }
    return bytes;
}

static EFI_STATUS check_memory(const struct loader *loader)
{
    const struct handover *handover = loader->handover;
    uint64_t left = free_bytes(handover);

    firmware_say(&loader->firmware, "memory: %llu MiB free\n", (unsigned long long)left >> 20);
    for (uint32_t i = 0; i < handover->guest_count; i++) {
        const struct handover_guest *guest = &handover->guests[i];
        if (guest->memory > left)
            return firmware_fail(&loader->firmware, EFI_OUT_OF_RESOURCES,
                                 "guest %s wants %llu MiB of memory and only %llu MiB are left; "
                                 "give it less in %s",
                                 guest->name, (unsigned long long)guest->memory >> 20,
                                 (unsigned long long)left >> 20, CONFIG_FILE);
        left -= guest->memory;
    }
    return EFI_SUCCESS;
}

static EFI_STATUS build_space(struct loader *loader)
{
    struct firmware *firmware = &loader->firmware;
    const struct handover *handover = loader->handover;
    struct space_input input = {
        .regions = handover->regions,
        .region_count = handover->region_count,
        .image = &loader->image,
        .image_phys = handover->hv_phys,
        .pages_1g = loader->preflight.caps.leaf_80000001_edx & CPUID_80000001_EDX_PAGE_1G,
    };
    uint64_t bytes = space_table_bytes(&input);
    void *pool = firmware_alloc(firmware, bytes, FIRMWARE_PAGE, true);

    if (pool == NULL)
        return EFI_OUT_OF_RESOURCES;
    loader->root = space_build(&input, pool, bytes, 0);
    if (loader->root == 0)
        return firmware_fail(firmware, EFI_LOAD_ERROR, "the page tables cannot be built");
    return EFI_SUCCESS;
}

/* Take the machine from the firmware and start the hypervisor. Comes back only on failure. */
static EFI_STATUS take_machine(struct loader *loader)
{
    const struct firmware *firmware = &loader->firmware;
    const char *problem = "no try";
    EFI_STATUS status = EFI_SUCCESS;

    /* A map key is stale when the firmware's own timers allocated something meanwhile. */
    for (unsigned i = 0; i < EXIT_TRIES; i++) {
        status = take_map(loader, &problem);
        if (EFI_ERROR(status))
            break;
        status = firmware->boot->ExitBootServices(firmware->image, loader->map_key);
        if (!EFI_ERROR(status))
            leave((uint64_t)loader->handover + HANDOVER_DIRECT_BASE, loader->image.entry,
                  loader->root);
        problem = firmware_status(status);
    }
    return firmware_fail(firmware, status, "the firmware does not give the machine away: %s",
                         problem);
}

static EFI_STATUS start(struct loader *loader)
{
    struct firmware *firmware = &loader->firmware;
    const char *problem = NULL;
    EFI_FILE_HANDLE volume;

    EFI_STATUS status = run_preflight(loader);
    if (EFI_ERROR(status))
        return status;
    loader->handover = firmware_alloc(firmware, sizeof(*loader->handover), FIRMWARE_PAGE, true);
    if (loader->handover == NULL)
        return EFI_OUT_OF_RESOURCES;
    status = files_open(firmware, &volume);
    if (!EFI_ERROR(status))
        status = read_config(loader, volume);
    if (!EFI_ERROR(status))
        status = guests_load(firmware, volume, &loader->config, loader->handover);
    if (!EFI_ERROR(status))
        status = describe_machine(loader);
    if (!EFI_ERROR(status))
        status = image_load(firmware, &loader->image, loader->handover);
    if (!EFI_ERROR(status))
        status = prepare_map(loader);
    if (EFI_ERROR(status))
        return status;
    /* A first look at the memory; the last one, just before the machine is taken, counts. */
    status = take_map(loader, &problem);
    if (EFI_ERROR(status))
        return firmware_fail(firmware, status, "%s", problem);
    status = check_memory(loader);
    if (!EFI_ERROR(status))
        status = build_space(loader);
    if (EFI_ERROR(status))
        return status;
    firmware_say(firmware, "trapline: taking the machine\n");
    return take_machine(loader);
}

/* Leave time to read: firmware mostly clears the screen for whatever it tries next. */
static void wait_for_reader(const struct firmware *firmware)
{
    SIMPLE_INPUT_INTERFACE *in = firmware->system->ConIn;
    EFI_INPUT_KEY key;

    firmware_say(firmware, "Back to the firmware at a key or in %u seconds.\n",
                 (unsigned)READ_SECONDS);
    for (unsigned ms = 0; ms < READ_SECONDS * MS_PER_SECOND; ms += POLL_MS) {
        if (in != NULL && in->ReadKeyStroke(in, &key) == EFI_SUCCESS)
            return;
        firmware->boot->Stall(POLL_MS * US_PER_MS);
    }
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    static struct loader loader;

    loader.firmware = (struct firmware){.image = image, .system = system};
    loader.firmware.boot = system->BootServices;
    firmware_say(&loader.firmware, "\nTrapline %s\n", TRAPLINE_VERSION);
    EFI_STATUS status = start(&loader);
    firmware_release(&loader.firmware);
    wait_for_reader(&loader.firmware);
    /* Exit(), since the start-up code does not preserve all registers that the caller may expect.
     */
    system->BootServices->Exit(image, status, 0, NULL);
    return status;
}
