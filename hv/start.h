/* Where the platform part hands over to the part that runs guests. */
#ifndef TRAPLINE_HV_START_H
#define TRAPLINE_HV_START_H

#include <stdnoreturn.h>

#include "boot/handover.h"

/*
 * Start the other CPUs, run the hand-over's guests to their ends and stop the machine. Called once,
 * on the bootstrap processor with its final stack, after console, memory and CPU are set up.
 */
noreturn void hv_start(const struct handover *handover);

#endif
