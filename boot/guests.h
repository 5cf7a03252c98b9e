/* The guests of the configuration: their images read, checked and described for the hypervisor. */
#ifndef TRAPLINE_BOOT_GUESTS_H
#define TRAPLINE_BOOT_GUESTS_H

#include "boot/config.h"
#include "boot/firmware.h"
#include "boot/handover.h"

/* Fill handover->guests. On failure it is reported. */
EFI_STATUS guests_load(struct firmware *firmware, EFI_FILE_HANDLE volume,
                       const struct config *config, struct handover *handover);

#endif
