/* The hypervisor's image; see image.h. */
#include "boot/image.h"

#include <string.h>

/* What linker and memory models allow: 2 GiB at the top of the address space, less the last page.
 */
#define HV_LAST 0xfffffffffffff000ull

extern const char hv_elf_start[], hv_elf_end[];

static EFI_STATUS keep_symbols(struct firmware *firmware, const struct elf_image *image,
                               struct handover *handover)
{
    enum {
        SYMBOL_SIZE = 24
    }; /* Elf64_Sym */
    uint64_t symbols = image->symtab_count * SYMBOL_SIZE;

    if (symbols == 0)
        return EFI_SUCCESS;
    char *memory = firmware_alloc(firmware, symbols + image->strtab_size, FIRMWARE_PAGE, true);
    if (memory == NULL)
        return EFI_OUT_OF_RESOURCES;
    memcpy(memory, hv_elf_start + image->symtab_offset, symbols);
    memcpy(memory + symbols, hv_elf_start + image->strtab_offset, image->strtab_size);
    handover->symtab = (uint64_t)memory;
    handover->symtab_count = image->symtab_count;
    handover->strtab = (uint64_t)memory + symbols;
    handover->strtab_size = image->strtab_size;
    return EFI_SUCCESS;
}

EFI_STATUS image_load(struct firmware *firmware, struct elf_image *image, struct handover *handover)
{
    const struct elf_rules rules = {
        .low = HANDOVER_HV_BASE,
        .high = HV_LAST,
        .granule = FIRMWARE_PAGE,
        .write_xor_execute = true,
    };
    uint64_t size = 0, align = FIRMWARE_PAGE;

    enum elf_error error =
        elf_parse(hv_elf_start, (size_t)(hv_elf_end - hv_elf_start), &rules, image);
    if (error != ELF_OK)
        return firmware_fail(firmware, EFI_LOAD_ERROR, "the hypervisor's image: %s",
                             elf_error_text(error));
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        uint64_t end = segment->address - HANDOVER_HV_BASE + segment->mem_size;
        if (end > size)
            size = end;
        if (segment->align > align)
            align = segment->align;
    }
    size = (size + FIRMWARE_PAGE - 1) & ~(uint64_t)(FIRMWARE_PAGE - 1);
    char *memory = firmware_alloc(firmware, size, align, true);
    if (memory == NULL)
        return EFI_OUT_OF_RESOURCES;
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        memcpy(memory + (segment->address - HANDOVER_HV_BASE), hv_elf_start + segment->offset,
               segment->file_size);
    }
    handover->hv_phys = (uint64_t)memory;
    handover->hv_size = size;
    return keep_symbols(firmware, image, handover);
}
