/*
 * The primitives of Appel and Li (ASPLOS 1991) as hypercalls, and the EPT violations they cause.
 * The contract with the guest is in docs/ABI.md.
 */
#ifndef TRAPLINE_HV_PRIMITIVES_H
#define TRAPLINE_HV_PRIMITIVES_H

#include <stdbool.h>

#include "hv/hypercall.h"
#include "vmx/exits.h"

/* TRAP's vector as a hardware exception without error code, for VMCS_ENTRY_INTERRUPTION_INFO. */
#define PRIMITIVES_TRAP_EVENT                                                                      \
    (INTERRUPTION_VALID | EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT |                    \
     TRAPLINE_VECTOR_TRAP)

/* Takes the guest's lock where it needs it. */
hypercall_function primitive_trap;

/*
 * With the guest's lock, which the caller takes, and then pays what is owed (flush_and_unlock()).
 * HYPERCALL_AGAIN from PROTN: unlock without paying.
 */
hypercall_function primitive_prot1;
hypercall_function primitive_protn;
hypercall_function primitive_unprot;
hypercall_function primitive_prot1_unprot;
hypercall_function primitive_dirty;
hypercall_function primitive_map2;
hypercall_function primitive_unmap2;
hypercall_function primitive_track;

/*
 * Give up the PROTN that the vCPU is in the middle of, if any: it begins anew when the vCPU comes
 * back to it. True: there was one. The caller has the guest's lock.
 */
bool protn_abandon(struct vcpu *vcpu);

/* PROTN of a list of at most PROTN_CHUNK pages or of one range in one slice; else HYPERCALL_AGAIN,
 * with nothing changed. */
hypercall_function protn_short;

/*
 * An EPT violation on the fast tier (vmx/entry.h): retry or TRAP. Returns what
 * vmx_handle_fast_exit() is to return; whatever ends the guest is left to the slow tier, with
 * nothing changed.
 */
uintptr_t primitives_fast_violation(struct vcpu *vcpu);

/* The exit handler for EPT violations: retry, TRAP, or the guest's end. True: the vCPU goes on. */
bool primitives_ept_violation(struct vcpu *vcpu);

#endif
