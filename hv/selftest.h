/* Faults on purpose, asked for in the configuration, to see what is said and done about them. */
#ifndef TRAPLINE_HV_SELFTEST_H
#define TRAPLINE_HV_SELFTEST_H

#include "boot/handover.h"

/* The faults of root mode itself; returns when another one, or none, is asked for. */
void selftest_root(const struct handover *handover);

/* What a CPU without guests does before it idles: with HANDOVER_SELFTEST_NMI, disturb the others.
 */
void selftest_idle(void);

#endif
