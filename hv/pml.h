/*
 * Page-modification logging (SDM 28.3.6): each vCPU's CPU logs the guest-physical addresses of the
 * pages whose dirty flags it sets, so that DIRTY need not look at every page of its range.
 *
 * Leaves that are not tracked are always dirty (ept/), so that only first writes to tracked pages
 * are logged. A log is emptied into the guest's when it is full, when its vCPU calls DIRTY, and
 * before its VMCS is not current any more; always by the vCPU's own CPU and with the guest's lock.
 *
 * DIRTY goes by the log only while no other vCPU of its guest is loaded (see flush.h): then every
 * write that happened before the call is in the guest's log. A vCPU that is loaded later writes
 * later, and its writes are for the next call. Otherwise DIRTY looks at the dirty flags themselves,
 * which are up to date at any moment: what a running vCPU has logged could be had only by stopping
 * it, and keeping it stopped until the flags are cleared, since a translation that it caches
 * before, as dirty, would hide its writes after. Either way each other loaded vCPU gets one NMI,
 * behind the clearing: a write that its CPU makes until then without setting a flag is to a page
 * that is being reported, and happens before the call returns.
 */
#ifndef TRAPLINE_HV_PML_H
#define TRAPLINE_HV_PML_H

#include <stdbool.h>
#include <stdint.h>

struct guest;
struct vcpu;

/* The guest's log; the EPT was made. False: no memory. True without PML, too. */
bool pml_guest_create(struct guest *guest);
void pml_guest_release(struct guest *guest);

/* A vCPU's log. False: no memory. */
bool pml_create(struct vcpu *vcpu);
void pml_release(struct vcpu *vcpu);

/* Fill in the fields of the current VMCS, the vCPU's. */
void pml_init_vmcs(const struct vcpu *vcpu);

/*
 * Empty the current vCPU's log, whose guest's lock is held, before DIRTY. Returns whether the
 * guest's log then has every write until now.
 */
bool pml_collect(struct vcpu *vcpu);

/* The vCPU, whose VMCS is current, is about to be loaded no more. */
void pml_unload(struct vcpu *vcpu);

/*
 * The exit for a full log, reason 62, on the fast tier (vmx/entry.h) and on the slow one: the write
 * has not happened and is tried again.
 */
uintptr_t pml_fast_full(struct vcpu *vcpu);
bool pml_full(struct vcpu *vcpu);

#endif
