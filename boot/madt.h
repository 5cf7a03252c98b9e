/*
 * The processors that the ACPI MADT lists. Pure.
 * Source: ACPI specification 6.5, 5.2.12 (MADT; types 0 and 9).
 */
#ifndef TRAPLINE_BOOT_MADT_H
#define TRAPLINE_BOOT_MADT_H

#include <stddef.h>
#include <stdint.h>

#include "boot/handover.h"

/*
 * Collect the enabled processors' APIC ids of a MADT of size bytes (the whole table, header
 * included), each once, at most max of them; *found gets how many there are, which may be more than
 * max.
 *
 * Returns 0, or -1 when the table is damaged (signature, length or checksum).
 */
int madt_processors(const void *table, size_t size, uint32_t *apic_ids, size_t max, size_t *found);

#endif
