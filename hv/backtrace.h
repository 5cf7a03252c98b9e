/* Symbolised backtraces by frame pointers. */
#ifndef TRAPLINE_HV_BACKTRACE_H
#define TRAPLINE_HV_BACKTRACE_H

#include <stdint.h>

#include "boot/handover.h"

/* Remember where the symbols are. */
void backtrace_init(const struct handover *handover);

/*
 * Print where rip is and its callers. rbp: the frame pointer that goes with it; every step is
 * checked to be mapped and upwards, so that a broken chain ends the list and nothing else.
 */
void backtrace_print(uint64_t rip, uint64_t rbp);

#endif
