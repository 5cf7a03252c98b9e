#include "hv/pci.h"

#include <stdbool.h>

#include "hv/console.h"
#include "vmx/x86.h"

enum pci_port {
    PCI_ADDRESS = 0xcf8,
    PCI_DATA = 0xcfc,
};

/* Registers of a function, by their offset (PCI Local Bus Specification 3.0, 6.1). */
enum pci_register {
    PCI_ID = 0x00,
    PCI_COMMAND = 0x04, /* 16 bits; status above them */
    PCI_CLASS = 0x08,   /* revision, interface, sub-class, base class */
    PCI_HEADER = 0x0c,  /* cache line, latency, header type */
};

#define PCI_ADDRESS_ENABLE (1u << 31)

enum pci_bits {
    COMMAND_BUS_MASTER = 1u << 2,
    COMMAND_MASK = 0xffff, /* a 1 written to a status bit would clear it */
    CLASS_SHIFT = 16,
    HEADER_MULTI_FUNCTION = 1u << 23,
    NO_FUNCTION = 0xffff, /* vendor of a function that is not there */
    VENDOR_MASK = 0xffff,
};

enum pci_size {
    PCI_BUSES = 256,
    PCI_DEVICES = 32,
    PCI_FUNCTIONS = 8,
    BUS_SHIFT = 16,
    DEVICE_SHIFT = 11,
    FUNCTION_SHIFT = 8,
};

static uint32_t read(uint32_t function, enum pci_register reg)
{
    outl(PCI_ADDRESS, function | reg);
    return inl(PCI_DATA);
}

static void write(uint32_t function, enum pci_register reg, uint32_t value)
{
    outl(PCI_ADDRESS, function | reg);
    outl(PCI_DATA, value);
}

static bool is_there(uint32_t function)
{
    return (read(function, PCI_ID) & VENDOR_MASK) != NO_FUNCTION;
}

static void stop_bus_master(uint32_t function, uint16_t class_code)
{
    uint32_t command = read(function, PCI_COMMAND) & COMMAND_MASK;

    if (read(function, PCI_CLASS) >> CLASS_SHIFT != class_code)
        return;
    write(function, PCI_COMMAND, command & ~(uint32_t)COMMAND_BUS_MASTER);
    kprintf("trapline: PCI %02x:%02x.%x: bus mastering is off\n", function >> BUS_SHIFT & 0xff,
            function >> DEVICE_SHIFT & (PCI_DEVICES - 1),
            function >> FUNCTION_SHIFT & (PCI_FUNCTIONS - 1));
}

void pci_stop_bus_masters(uint16_t class_code)
{
    for (uint32_t device = 0; device < PCI_BUSES * PCI_DEVICES; device++) {
        uint32_t first = PCI_ADDRESS_ENABLE | device << DEVICE_SHIFT;
        uint32_t functions = 1;

        if (!is_there(first))
            continue;
        if (read(first, PCI_HEADER) & HEADER_MULTI_FUNCTION)
            functions = PCI_FUNCTIONS;
        for (uint32_t i = 0; i < functions; i++) {
            if (is_there(first | i << FUNCTION_SHIFT))
                stop_bus_master(first | i << FUNCTION_SHIFT, class_code);
        }
    }
}
