/* MULTI: a list of primitives in one call, under one lock and with one flush. See docs/ABI.md. */
#ifndef TRAPLINE_HV_MULTI_H
#define TRAPLINE_HV_MULTI_H

#include "hv/hypercall.h"

/* With the guest's lock, which the caller takes, and then pays what is owed. */
hypercall_function multi_call;

/*
 * Whether the list lies in the page of the vCPU's own trap area, behind the structure: there the
 * page's protection does not matter, as it does not for the delivery of TRAP.
 */
bool multi_in_area(const struct vcpu *vcpu, uint64_t list, uint64_t bytes);

#endif
