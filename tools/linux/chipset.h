/* What ACPI tables would say about the chipset, read from the hardware. */
#ifndef TRAPLINE_LINUX_CHIPSET_H
#define TRAPLINE_LINUX_CHIPSET_H

#include <stdint.h>

enum {
    CHIPSET_IO_APIC = 0xfec00000u, /* where PC chipsets have it */
};

/*
 * The I/O port where the PIIX4's power management registers begin, 0 = there is no PIIX4 or the
 * firmware has not switched them on.
 */
uint16_t chipset_pm_base(void);

/* The id of the I/O APIC at CHIPSET_IO_APIC. */
uint8_t chipset_io_apic_id(void);

#endif
