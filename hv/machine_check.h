/* The machine-check architecture (SDM volume 3, chapter 15). */
#ifndef TRAPLINE_HV_MACHINE_CHECK_H
#define TRAPLINE_HV_MACHINE_CHECK_H

/* Let this CPU report all errors by #MC; cpu_handle_machine_check() in cpu.h is what follows. */
void machine_check_enable(void);

#endif
