/* The end of the machine's run by the firmware's ResetSystem, and what a fatal error does. */
#ifndef TRAPLINE_HV_MACHINE_H
#define TRAPLINE_HV_MACHINE_H

#include <stdnoreturn.h>

#include "boot/handover.h"

/* Remember how to stop. */
void machine_init(const struct handover *handover);

/*
 * Stop the machine in the configured way (shutdown, reset or halt). failed: 0 = the run was good;
 * else the console shows it. In the emulators the way it ends is the same; the runner reads the
 * verdict from the last console line, "trapline: end ok" or "trapline: end failed".
 */
noreturn void machine_stop(int failed);

/* Stop the other CPUs, print a message and a symbolised backtrace, stop the machine. */
noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
