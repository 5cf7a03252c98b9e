/* The hypercalls by which the vCPUs of a guest start, park and wake one another. */
#ifndef TRAPLINE_HV_VCPU_CALLS_H
#define TRAPLINE_HV_VCPU_CALLS_H

#include <stdbool.h>

#include "hv/hypercall.h"

hypercall_function vcpu_call_start;
hypercall_function vcpu_call_unpark;
hypercall_function vcpu_call_doorbell;

/* PARK that need not sleep: take the token that an UNPARK left. False = there is none. */
bool vcpu_call_take_token(struct vcpu *vcpu);

/* PARK that sleeps: its turn is over, and its result comes when it is loaded again. */
void vcpu_call_park(struct vcpu *vcpu);

#endif
