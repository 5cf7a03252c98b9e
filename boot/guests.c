/* The guests; see guests.h. */
#include "boot/guests.h"

#include <string.h>

#include "boot/elf.h"
#include "boot/files.h"

/* Describe a guest whose image file was read. */
static EFI_STATUS load_guest(struct firmware *firmware, const struct config_guest *config,
                             const struct file_bytes *file, struct handover_guest *guest)
{
    struct elf_rules rules = elf_guest_rules(config->memory);
    struct elf_image image;

    enum elf_error error = elf_parse(file->data, file->size, &rules, &image);
    if (error != ELF_OK)
        return firmware_fail(firmware, EFI_LOAD_ERROR, "guest %s: %s: %s", config->name,
                             config->image, elf_error_text(error));

    memcpy(guest->name, config->name, sizeof(guest->name));
    memcpy(guest->args, config->args, sizeof(guest->args));
    guest->memory = config->memory;
    guest->table_budget = config->tables;
    guest->time_limit_ms = config->time_limit_ms;
    guest->vcpus = config->vcpus;
    guest->interrupts = config->interrupts;
    guest->disk = config->disk;
    guest->repeat = config->repeat;
    guest->cpu_count = config->cpu_count;
    memcpy(guest->cpus, config->cpus, sizeof(guest->cpus));
    guest->entry = image.entry;
    guest->segment_count = image.segment_count;
    for (uint32_t i = 0; i < image.segment_count; i++) {
        const struct elf_segment *segment = &image.segments[i];
        guest->segments[i] = (struct handover_segment){
            .gpa = segment->address,
            .data = (uint64_t)file->data + segment->offset,
            .file_size = segment->file_size,
            .mem_size = segment->mem_size,
            .flags = segment->flags,
        };
    }
    firmware_say(firmware, "guest %s: %s, %llu MiB, %u vCPU%s\n", guest->name, config->image,
                 (unsigned long long)guest->memory >> 20, guest->vcpus,
                 guest->vcpus == 1 ? "" : "s");
    return EFI_SUCCESS;
}

EFI_STATUS guests_load(struct firmware *firmware, EFI_FILE_HANDLE volume,
                       const struct config *config, struct handover *handover)
{
    static struct file_bytes files[HANDOVER_MAX_GUESTS];

    for (uint32_t i = 0; i < config->guest_count; i++) {
        const struct config_guest *guest = &config->guests[i];
        EFI_STATUS status = EFI_SUCCESS;
        uint32_t same = 0; /* guests of one image share its bytes */

        while (memcmp(config->guests[same].image, guest->image, sizeof(guest->image)) != 0)
            same++;
        if (same < i)
            files[i] = files[same];
        else
            status = files_read(firmware, volume, guest->image, true, &files[i]);
        if (!EFI_ERROR(status))
            status = load_guest(firmware, guest, &files[i], &handover->guests[i]);
        if (EFI_ERROR(status))
            return status;
    }
    handover->guest_count = config->guest_count;
    return EFI_SUCCESS;
}
