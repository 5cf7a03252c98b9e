/* What the handlers of VM exits share. */
#ifndef TRAPLINE_HV_EXIT_H
#define TRAPLINE_HV_EXIT_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/guest.h"

struct vcpu;

/* Stop the guest of this vCPU with a dump and a reason; returns false: its turn is over. */
bool exit_stop(struct vcpu *vcpu, const char *why);

/* Refuse what the guest tried with #GP; the first of a kind is reported as "what 0xwhich". Returns
 * true. */
bool exit_deny(struct vcpu *vcpu, enum guest_denial kind, const char *what, uint64_t which);

/*
 * The exit came in the middle of an event's delivery and its cause is dealt with: have the event
 * delivered again at the next entry (SDM 27.2.4). Nothing happens when there was none.
 */
void exit_redeliver(void);

#endif
