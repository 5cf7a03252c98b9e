#include "hv/disk.h"

#include "guest/include/trapline/abi.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/pci.h"
#include "hv/policy_msr.h"
#include "hv/vmx_setup.h"

/* Where an ATA channel is in its legacy ("compatibility") place. */
static const struct {
    uint16_t first;   /* of the eight command registers */
    uint16_t control; /* device control and alternate status */
} channels[] = {
    [HANDOVER_DISK_NONE] = {0, 0},
    [HANDOVER_DISK_ATA0] = {0x1f0, 0x3f6},
    [HANDOVER_DISK_ATA1] = {0x170, 0x376},
};

void disk_init(const struct handover *handover)
{
    for (uint32_t i = 0; i < handover->guest_count; i++) {
        if (handover->guests[i].disk != HANDOVER_DISK_NONE) {
            pci_stop_bus_masters(PCI_CLASS_IDE);
            return;
        }
    }
}

bool disk_guest_create(struct guest *guest)
{
    uint32_t disk = guest->config->disk;

    if (disk == HANDOVER_DISK_NONE)
        return true;
    guest->ports = memory_alloc_raw(PAGE_SIZE, PAGE_SIZE);
    if (!guest->ports)
        return false;
    policy_io_bitmap(phys_to_virt(guest->ports));
    policy_io_bitmap_ata(phys_to_virt(guest->ports), channels[disk].first, channels[disk].control);
    return true;
}

void disk_guest_release(struct guest *guest)
{
    if (guest->ports)
        memory_free(guest->ports, PAGE_SIZE);
    guest->ports = 0;
}

uint64_t disk_io_bitmap_a(const struct guest *guest)
{
    return guest->ports ? guest->ports : vmx_setup.io_bitmap;
}

void disk_describe(const struct guest *guest, struct trapline_info *info)
{
    info->disk_ports = channels[guest->config->disk].first;
    info->disk_control = channels[guest->config->disk].control;
}
