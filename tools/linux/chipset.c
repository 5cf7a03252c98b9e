/* The chipset; see chipset.h. Source: Intel 82371AB (PIIX4), 7.1; 82093AA (IOAPIC), 3.1. */
#include "tools/linux/chipset.h"

#include "vmx/x86.h"

enum {
    PCI_ADDRESS = 0xcf8,
    PCI_DATA = 0xcfc,
};

#define PIIX4_POWER_FUNCTION (1u << 31 | 1u << 11 | 3u << 8) /* bus 0, device 1, function 3 */
#define PIIX4_POWER_ID       0x71138086u

enum piix4_register {
    PIIX4_ID = 0x00,
    PIIX4_PM_BASE = 0x40,
    PIIX4_PM_ENABLE = 0x80,
};

enum {
    PM_BASE_MASK = 0xffc0,
    PM_ENABLE_IO = 1u << 0,
    IO_APIC_SELECT = 0x00, /* bytes from the base */
    IO_APIC_WINDOW = 0x10,
    IO_APIC_REGISTER_ID = 0,
    IO_APIC_ID_SHIFT = 24,
    IO_APIC_ID_MASK = 0xf,
};

static uint32_t read_power_register(enum piix4_register which)
{
    outl(PCI_ADDRESS, PIIX4_POWER_FUNCTION | which);
    return inl(PCI_DATA);
}

uint16_t chipset_pm_base(void)
{
    if (read_power_register(PIIX4_ID) != PIIX4_POWER_ID)
        return 0;
    if (!(read_power_register(PIIX4_PM_ENABLE) & PM_ENABLE_IO))
        return 0;
    return (uint16_t)(read_power_register(PIIX4_PM_BASE) & PM_BASE_MASK);
}

uint8_t chipset_io_apic_id(void)
{
    volatile uint32_t *select = (volatile uint32_t *)(uintptr_t)(CHIPSET_IO_APIC + IO_APIC_SELECT);
    volatile uint32_t *window = (volatile uint32_t *)(uintptr_t)(CHIPSET_IO_APIC + IO_APIC_WINDOW);

    *select = IO_APIC_REGISTER_ID;
    return (uint8_t)(*window >> IO_APIC_ID_SHIFT & IO_APIC_ID_MASK);
}
