/*
 * The ACPI tables of a machine whose firmware publishes none: what Linux needs to find the CPUs and
 * the I/O APIC and to switch the machine off. The machine is a PC with Intel's 440FX chipset, whose
 * power management is the PIIX4's. Pure.
 * Source: ACPI specification 6.5, 5.2 (RSDP, XSDT, FADT, FACS, MADT), 20.2 (AML); the FADT is that
 * of ACPI 1.0, 5.2.5, which suffices for the PIIX4.
 */
#ifndef TRAPLINE_LINUX_ACPI_H
#define TRAPLINE_LINUX_ACPI_H

#include <stddef.h>
#include <stdint.h>

#include "boot/handover.h"

enum {
    ACPI_MAX_CPUS = 255, /* with APIC ids of one byte */
};

struct acpi_machine {
    const struct handover_cpu *cpus; /* those with an APIC id above 254 are left out */
    uint32_t cpu_count;
    uint32_t local_apic; /* physical address */
    uint32_t io_apic;    /* physical address */
    uint8_t io_apic_id;
    uint16_t pm_base; /* the I/O port where the PIIX4's power management registers begin */
};

/* Bytes that the tables take at most. */
size_t acpi_bytes(void);

/*
 * Write the tables to acpi_bytes() bytes of zeroed memory at memory, below 4 GiB, where Linux will
 * see them at the same physical address. facs: 64 bytes of zeroed memory at a multiple of 64, below
 * 4 GiB too, of a kind that Linux never reclaims. Returns the physical address of the RSDP.
 */
uint64_t acpi_build(const struct acpi_machine *machine, void *memory, void *facs);

#endif
