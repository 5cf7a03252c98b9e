/* The hypervisor's image: out of the loader into memory, ready to be jumped to. */
#ifndef TRAPLINE_BOOT_IMAGE_H
#define TRAPLINE_BOOT_IMAGE_H

#include "boot/elf.h"
#include "boot/firmware.h"
#include "boot/handover.h"

/*
 * Load the embedded hv.elf: its segments into one piece of kept memory, its symbols beside them;
 * fills the handover's hv_ and symbol fields. On failure it is reported.
 */
EFI_STATUS image_load(struct firmware *firmware, struct elf_image *image,
                      struct handover *handover);

#endif
