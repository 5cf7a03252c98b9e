/* PCI configuration space by its two ports (PCI Local Bus Specification 3.0, 3.2.2.3.2). */
#ifndef TRAPLINE_HV_PCI_H
#define TRAPLINE_HV_PCI_H

#include <stdint.h>

enum {
    PCI_CLASS_IDE = 0x0101, /* base class and sub-class */
};

/*
 * Have every function of this class stop reading and writing memory by itself (bus master enable
 * off). Called before guests run, on one CPU.
 */
void pci_stop_bus_masters(uint16_t class_code);

#endif
