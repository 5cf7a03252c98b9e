/*
 * A guest with a disk of its own: one of the machine's legacy ATA channels by its I/O ports, passed
 * on without exits by an I/O bitmap of the guest's own. The hypervisor itself uses no disk.
 *
 * What the guest cannot do with it: it cannot have the channel move data to or from memory by
 * itself, since it has neither the ports of bus mastering nor those of PCI configuration, and
 * disk_init() has turned bus mastering off. It cannot raise an interrupt for anybody, since the
 * 8259s are masked and the firmware has left the I/O APICs so. It can do to the drives of the
 * channel whatever a command can do.
 */
#ifndef TRAPLINE_HV_DISK_H
#define TRAPLINE_HV_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/handover.h"

struct guest;
struct trapline_info;

/*
 * Before any guest runs: when one is to have a disk, take the right to read and write memory from
 * every IDE controller that PCI configuration space shows (bus master enable).
 */
void disk_init(const struct handover *handover);

/* The guest's I/O bitmap. False: no memory. True for a guest without a disk, too. */
bool disk_guest_create(struct guest *guest);
void disk_guest_release(struct guest *guest);

/* The physical address of the guest's I/O bitmap for ports below 8000H. */
uint64_t disk_io_bitmap_a(const struct guest *guest);

/* Tell the guest which ports it has. */
void disk_describe(const struct guest *guest, struct trapline_info *info);

#endif
