/*
 * The loader's view of the firmware: messages, memory that is remembered, protocols.
 * Source: UEFI specification 2.10.
 */
#ifndef TRAPLINE_BOOT_FIRMWARE_H
#define TRAPLINE_BOOT_FIRMWARE_H

#include <efi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/memmap.h"

enum {
    FIRMWARE_PAGE = 4096,
    FIRMWARE_MAX_ALLOCATIONS = MEMMAP_MAX_KEPT,
};

struct firmware_allocation {
    uint64_t base;
    uint64_t size;
    bool kept; /* the hypervisor needs it */
};

struct firmware {
    EFI_HANDLE image;
    EFI_SYSTEM_TABLE *system;
    EFI_BOOT_SERVICES *boot;
    size_t allocation_count;
    struct firmware_allocation allocations[FIRMWARE_MAX_ALLOCATIONS];
};

/* Print on the firmware's console, in kprintf()'s format; "\n" ends a line. */
void firmware_say(const struct firmware *firmware, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Print "trapline: cannot start: " and the rest, and return status: the last thing to do before
 * going back to the firmware.
 */
EFI_STATUS firmware_fail(const struct firmware *firmware, EFI_STATUS status, const char *format,
                         ...) __attribute__((format(printf, 3, 4)));

/*
 * Allocate bytes bytes of memory, zeroed, at a multiple of align (a power of two of at least 4096).
 * kept: it goes to the hypervisor. NULL = none left, already reported.
 */
void *firmware_alloc(struct firmware *firmware, uint64_t bytes, uint64_t align, bool kept);

/* Allocate kept pages below 1 MiB; NULL = none, already reported. */
void *firmware_alloc_low(struct firmware *firmware, unsigned pages);

/* Give back everything that was allocated. */
void firmware_release(struct firmware *firmware);

/* The kept allocations, in kept (room for FIRMWARE_MAX_ALLOCATIONS); returns how many. */
size_t firmware_kept(const struct firmware *firmware, struct memmap_kept *kept);

/* The first instance of a protocol, NULL = there is none. */
void *firmware_protocol(const struct firmware *firmware, EFI_GUID guid);

/* The configuration table of this name, NULL = there is none. */
const void *firmware_table(const struct firmware *firmware, EFI_GUID guid);

/* The name of a status, as the specification has it, for messages. */
const char *firmware_status(EFI_STATUS status);

#endif
