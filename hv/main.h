/* What entry.asm calls, and what it offers. */
#ifndef TRAPLINE_HV_MAIN_H
#define TRAPLINE_HV_MAIN_H

#include <stdnoreturn.h>

#include "boot/handover.h"

/* The first C code, on the boot stack, with the loader's page tables. */
noreturn void hv_main(struct handover *handover);

/* Call function(argument), which does not return, on another stack. */
noreturn void cpu_run_on(void *stack_top, void (*function)(void *), void *argument);

#endif
