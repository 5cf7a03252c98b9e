/* Which processors the machine has, and how fast the time-stamp counter runs. */
#ifndef TRAPLINE_BOOT_CPUS_H
#define TRAPLINE_BOOT_CPUS_H

#include "boot/firmware.h"
#include "boot/handover.h"

/*
 * Fill handover->cpus: the bootstrap processor first, then the others that the firmware's MP
 * Services protocol (PI specification 1.7, volume 2, 13.4) or else the ACPI MADT calls usable.
 * Returns what it was learned from, as a phrase.
 */
const char *cpus_enumerate(const struct firmware *firmware, struct handover *handover);

/* Ticks of the time-stamp counter per second, measured against the firmware's timer; 0 = it stands.
 */
uint64_t cpus_tsc_hz(const struct firmware *firmware);

#endif
