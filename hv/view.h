/*
 * Views: the calls that make, restrict and switch them (docs/ABI.md), the EPTP list that VMFUNC
 * takes its EPTPs from (SDM 25.5.6.3), and which view a vCPU is in.
 *
 * VMFUNC changes VMCS_EPT_POINTER behind the hypervisor's back. It is read where the view matters,
 * and only while the guest has views.
 */
#ifndef TRAPLINE_HV_VIEW_H
#define TRAPLINE_HV_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "ept/view.h"
#include "hv/guest.h"
#include "hv/hypercall.h"
#include "hv/vcpu.h"

enum {
    VIEW_COUNT = 512,                   /* entries of an EPTP list; 0 is the guest's EPT */
    VIEW_LIST_PAGES = PROTN_CHUNK,      /* entries that VIEW_PROTN takes, of the form PAGES ... */
    VIEW_LIST_RANGES = PROTN_CHUNK / 2, /* ... and RANGES */
};

/* A guest's views, page-aligned. An EPTP of 0 is that of no view: VMFUNC to it exits. */
struct view_set {
    uint64_t eptps[VIEW_COUNT];
    struct ept_view views[VIEW_COUNT]; /* 0 is not used */
};

/* Make the set of a new guest, whose EPT exists; false = no memory. */
bool view_set_create(struct guest *guest);
void view_set_release(struct guest *guest);

/* The fields of the current VMCS, the vCPU's own and new, that VMFUNC needs, where there is one. */
void view_init_vmcs(const struct vcpu *vcpu);

hypercall_function view_create;
hypercall_function view_destroy;
hypercall_function view_switch;

/* With the guest's lock, which the caller takes, and then pays what is owed. */
hypercall_function view_prot;
hypercall_function view_protn;

/*
 * VM exit by VMFUNC: #UD for a function that there is not, #GP for a view that there is not. True:
 * the vCPU goes on.
 */
bool view_vmfunc_exit(struct vcpu *vcpu);

/*
 * ept_fault() and ept_allows() in the view that the vCPU is in; vcpu->view says which from then on.
 * It is current on this CPU and holds the guest's lock, and the guest has views.
 */
enum ept_fault view_fault(struct vcpu *vcpu, uint64_t gpa, unsigned access);
bool view_allows(struct vcpu *vcpu, uint64_t gpa, uint64_t bytes, unsigned access);

/* Remember which EPTP a vCPU has whose VMCS is current, for others to see. */
static inline void view_note(struct vcpu *vcpu)
{
    if (__builtin_expect(vcpu->guest->ept.views != NULL, 0))
        atomic_store(&vcpu->eptp_seen, vmread(VMCS_EPT_POINTER));
}

#endif
