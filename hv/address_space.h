/*
 * The hypervisor's page tables, shared by all CPUs: direct map of RAM, the image with its segments'
 * rights, stacks with guard pages, device memory. memory.h is what the rest of the hypervisor uses.
 */
#ifndef TRAPLINE_HV_ADDRESS_SPACE_H
#define TRAPLINE_HV_ADDRESS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/handover.h"
#include "hv/paging.h"

/* Build the tables; after the page allocator works. Panics when memory runs out. */
void address_space_init(const struct handover *handover);

/*
 * Tables that have the hypervisor's upper half, as it is now, and an empty lower half.
 *
 * root: physical address of a zeroed page for the PML4 table.
 */
struct paging address_space_derive(uint64_t root);

/* Load the tables for calling the firmware: its regions and the low 4 GiB, virtual = physical. */
void address_space_load_firmware(void);

/* Whether the page that holds this address is mapped by the tables that the CPU uses now. */
bool address_space_mapped(uint64_t virt);

/* Whether execute-disable had to be brought back by IA32_MISC_ENABLE on the bootstrap processor. */
bool address_space_noexec_was_hidden(void);

#endif
