/*
 * A UEFI application that starts a Linux kernel as a bench's other side, in an emulator whose
 * firmware leaves out what Linux needs. On the boot volume lie, made by tools/runner:
 *
 *   \linux\setup    the first sectors of the kernel package's bzImage, with its setup header; its
 *                   code32_start says how far from its first byte the unpacked kernel starts
 *   \linux\kernel   the kernel itself, unpacked, as it lies in memory (unpacking it here would cost
 *                   more than the whole start does), without the zeroes at its end
 *   \linux\initrd   the initial RAM file system
 *   \linux\cmdline  the command line
 *
 * The kernel is read to the address that it prefers or, where that memory is taken, to another with
 * the same alignment, to which it relocates itself. Where the firmware has no ACPI tables, those of
 * acpi.h are made. Then Linux gets the machine by its 64-bit boot protocol; no UEFI is shown to it.
 * Source: Linux, Documentation/arch/x86/boot.rst and zero-page.rst.
 */
#include <efi.h>
#include <stdbool.h>
#include <stdnoreturn.h>
#include <string.h>

#include <asm/bootparam.h>

#include "boot/cpus.h"
#include "boot/files.h"
#include "boot/firmware.h"
#include "tools/linux/acpi.h"
#include "tools/linux/chipset.h"
#include "tools/linux/e820.h"
#include "vmx/x86.h"

#define FILE_SETUP   "\\linux\\setup"
#define FILE_KERNEL  "\\linux\\kernel"
#define FILE_INITRD  "\\linux\\initrd"
#define FILE_CMDLINE "\\linux\\cmdline"

#define LAST_32_BIT  0xffffffffull
#define SETUP_MAGIC  0x53726448u /* "HdrS" */
#define APIC_ADDRESS 0xfffff000u /* in IA32_APIC_BASE */

enum {
    VERSION_2_12 = 0x20c,     /* of the boot protocol: the first with all that is used here */
    LOADER_UNKNOWN = 0xff,    /* type_of_loader without an assigned number */
    SETUP_AFTER_JUMP = 0x202, /* the setup header ends the byte at 0x201 later */
    SETUP_JUMP = 0x201,
    MAP_ROOM = 64 << 10, /* bytes for the memory map */
    EXIT_TRIES = 8,      /* of ExitBootServices() */
};

struct loader {
    struct firmware firmware;
    struct boot_params *params;
    uint64_t entry;
    void *map;
};

noreturn void jump_to_linux(uint64_t params, uint64_t entry);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* Zeroed pages of a type, at or below an address; NULL = none. */
static void *pages(const struct firmware *firmware, EFI_ALLOCATE_TYPE how, EFI_MEMORY_TYPE type,
                   EFI_PHYSICAL_ADDRESS address, uint64_t bytes)
{
    if (EFI_ERROR(firmware->boot->AllocatePages(how, type, EFI_SIZE_TO_PAGES(bytes), &address)))
        return NULL;
    memset((void *)address, 0, bytes);
    return (void *)address;
}

static EFI_STATUS no_memory(const struct firmware *firmware, const char *what, uint64_t bytes)
{
    return firmware_fail(firmware, EFI_OUT_OF_RESOURCES, "no %llu KiB of memory for %s",
                         (unsigned long long)bytes >> 10, what);
}

/* Make boot_params with the kernel's setup header in it. */
static EFI_STATUS read_setup(struct loader *loader, EFI_FILE_HANDLE volume)
{
    struct firmware *firmware = &loader->firmware;
    struct file_bytes file;

    EFI_STATUS status = files_read(firmware, volume, FILE_SETUP, false, &file);
    if (EFI_ERROR(status))
        return status;
    loader->params =
        pages(firmware, AllocateMaxAddress, EfiLoaderData, LAST_32_BIT, sizeof(*loader->params));
    if (loader->params == NULL)
        return no_memory(firmware, "the boot parameters", sizeof(*loader->params));

    struct setup_header *header = &loader->params->hdr;
    const uint8_t *bytes = file.data;
    size_t first = offsetof(struct boot_params, hdr);
    if (file.size < first + sizeof(*header))
        return firmware_fail(firmware, EFI_LOAD_ERROR, "%s is too short", FILE_SETUP);
    size_t end = SETUP_AFTER_JUMP + (size_t)bytes[SETUP_JUMP];
    if (end > first + sizeof(*header))
        end = first + sizeof(*header);
    memcpy(header, bytes + first, end - first);
    if (header->header != SETUP_MAGIC || header->version < VERSION_2_12 ||
        !(header->xloadflags & XLF_KERNEL_64) || !header->relocatable_kernel)
        return firmware_fail(firmware, EFI_UNSUPPORTED,
                             "%s is not of a relocatable 64-bit Linux kernel with boot protocol "
                             "2.12 or later",
                             FILE_SETUP);
    header->type_of_loader = LOADER_UNKNOWN;
    return EFI_SUCCESS;
}

static EFI_STATUS read_kernel(struct loader *loader, EFI_FILE_HANDLE volume)
{
    struct firmware *firmware = &loader->firmware;
    const struct setup_header *header = &loader->params->hdr;
    uint64_t align = header->kernel_alignment, size;
    uint64_t room = header->init_size;

    if (align < FIRMWARE_PAGE || (align & (align - 1)) != 0)
        return firmware_fail(firmware, EFI_LOAD_ERROR, "%s: a kernel alignment of %llu bytes",
                             FILE_SETUP, (unsigned long long)align);
    if (header->code32_start >= room)
        return firmware_fail(firmware, EFI_LOAD_ERROR, "%s: a start outside the kernel",
                             FILE_SETUP);
    void *kernel = pages(firmware, AllocateAddress, EfiLoaderCode, header->pref_address, room);
    if (kernel == NULL) {
        kernel = pages(firmware, AllocateMaxAddress, EfiLoaderCode, LAST_32_BIT, room + align);
        if (kernel == NULL)
            return no_memory(firmware, "the kernel", room + align);
        kernel = (void *)(((uint64_t)kernel + align - 1) & ~(align - 1));
    }
    loader->entry = (uint64_t)kernel + header->code32_start;
    return files_read_into(firmware, volume, FILE_KERNEL, kernel, room, &size);
}

static EFI_STATUS read_initrd(struct loader *loader, EFI_FILE_HANDLE volume)
{
    struct boot_params *params = loader->params;
    struct file_bytes file;

    EFI_STATUS status = files_read(&loader->firmware, volume, FILE_INITRD, false, &file);
    if (EFI_ERROR(status))
        return status;
    params->hdr.ramdisk_image = (uint32_t)(uint64_t)file.data;
    params->ext_ramdisk_image = (uint32_t)((uint64_t)file.data >> 32);
    params->hdr.ramdisk_size = (uint32_t)file.size;
    params->ext_ramdisk_size = (uint32_t)(file.size >> 32);
    return EFI_SUCCESS;
}

static EFI_STATUS read_cmdline(struct loader *loader, EFI_FILE_HANDLE volume)
{
    struct firmware *firmware = &loader->firmware;
    struct boot_params *params = loader->params;
    uint64_t room = params->hdr.cmdline_size, size;

    char *line = pages(firmware, AllocateMaxAddress, EfiLoaderData, LAST_32_BIT, room + 1);
    if (line == NULL)
        return no_memory(firmware, "the command line", room + 1);
    EFI_STATUS status = files_read_into(firmware, volume, FILE_CMDLINE, line, room, &size);
    if (EFI_ERROR(status))
        return status;
    params->hdr.cmd_line_ptr = (uint32_t)(uint64_t)line;
    firmware_say(firmware, "command line: %s\n", line);
    return EFI_SUCCESS;
}

/* Make ACPI tables of what the hardware and the firmware's MP services say. */
static EFI_STATUS make_acpi(struct loader *loader)
{
    static struct handover machine; /* only its CPUs count here */
    struct firmware *firmware = &loader->firmware;

    const char *source = cpus_enumerate(firmware, &machine);
    struct acpi_machine acpi = {
        .cpus = machine.cpus,
        .cpu_count = machine.cpu_count,
        .local_apic = (uint32_t)rdmsr(MSR_IA32_APIC_BASE) & APIC_ADDRESS,
        .io_apic = CHIPSET_IO_APIC,
        .io_apic_id = chipset_io_apic_id(),
        .pm_base = chipset_pm_base(),
    };
    if (acpi.pm_base == 0)
        return firmware_fail(firmware, EFI_UNSUPPORTED,
                             "the firmware has no ACPI tables, and the chipset is not the one that "
                             "they could be made for (a PIIX4 with its power management on)");
    void *tables =
        pages(firmware, AllocateMaxAddress, EfiACPIReclaimMemory, LAST_32_BIT, acpi_bytes());
    void *facs = pages(firmware, AllocateMaxAddress, EfiACPIMemoryNVS, LAST_32_BIT, FIRMWARE_PAGE);
    if (tables == NULL || facs == NULL)
        return no_memory(firmware, "the ACPI tables", acpi_bytes() + FIRMWARE_PAGE);
    loader->params->acpi_rsdp_addr = acpi_build(&acpi, tables, facs);
    firmware_say(firmware, "ACPI tables made: %u CPUs (from %s)\n", machine.cpu_count, source);
    return EFI_SUCCESS;
}

static EFI_STATUS find_acpi(struct loader *loader)
{
    EFI_GUID acpi_2_guid = ACPI_20_TABLE_GUID;
    EFI_GUID acpi_1_guid = ACPI_TABLE_GUID;
    const void *rsdp = firmware_table(&loader->firmware, acpi_2_guid);

    if (rsdp == NULL)
        rsdp = firmware_table(&loader->firmware, acpi_1_guid);
    if (rsdp == NULL)
        return make_acpi(loader);
    loader->params->acpi_rsdp_addr = (uint64_t)rsdp;
    return EFI_SUCCESS;
}

/* Take the machine from the firmware and start Linux. Comes back only on failure. */
static EFI_STATUS take_machine(struct loader *loader)
{
    const struct firmware *firmware = &loader->firmware;
    struct boot_params *params = loader->params;
    EFI_STATUS status = EFI_SUCCESS;

    /* A map key is stale when the firmware's own timers allocated something meanwhile. */
    for (unsigned i = 0; i < EXIT_TRIES; i++) {
        UINTN size = MAP_ROOM, key = 0, descriptor_size = 0;
        UINT32 version = 0;
        status = firmware->boot->GetMemoryMap(&size, loader->map, &key, &descriptor_size, &version);
        if (EFI_ERROR(status))
            break;
        int count = e820_convert(loader->map, size, descriptor_size, params->e820_table,
                                 E820_MAX_ENTRIES_ZEROPAGE);
        if (count < 0)
            return firmware_fail(firmware, EFI_UNSUPPORTED,
                                 "the firmware's memory map has more than %u pieces",
                                 (unsigned)E820_MAX_ENTRIES_ZEROPAGE);
        params->e820_entries = (uint8_t)count;
        status = firmware->boot->ExitBootServices(firmware->image, key);
        if (!EFI_ERROR(status))
            jump_to_linux((uint64_t)params, loader->entry);
    }
    return firmware_fail(firmware, status, "the firmware does not give the machine away: %s",
                         firmware_status(status));
}

static EFI_STATUS start(struct loader *loader)
{
    struct firmware *firmware = &loader->firmware;
    EFI_FILE_HANDLE volume;

    EFI_STATUS status = files_open(firmware, &volume);
    if (!EFI_ERROR(status))
        status = read_setup(loader, volume);
    if (!EFI_ERROR(status))
        status = read_kernel(loader, volume);
    if (!EFI_ERROR(status))
        status = read_initrd(loader, volume);
    if (!EFI_ERROR(status))
        status = read_cmdline(loader, volume);
    if (!EFI_ERROR(status))
        status = find_acpi(loader);
    if (EFI_ERROR(status))
        return status;
    loader->map = firmware_alloc(firmware, MAP_ROOM, FIRMWARE_PAGE, false);
    if (loader->map == NULL)
        return EFI_OUT_OF_RESOURCES;
    firmware_say(firmware, "starting the kernel at 0x%llx\n", (unsigned long long)loader->entry);
    return take_machine(loader);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    static struct loader loader;

    loader.firmware = (struct firmware){.image = image, .system = system};
    loader.firmware.boot = system->BootServices;
    firmware_say(&loader.firmware, "\nTrapline's loader for Linux\n");
    EFI_STATUS status = start(&loader);
    firmware_release(&loader.firmware);
    return status;
}
