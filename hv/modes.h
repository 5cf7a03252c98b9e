/* What this machine offers beyond what is required, and which way each primitive takes on it. */
#ifndef TRAPLINE_HV_MODES_H
#define TRAPLINE_HV_MODES_H

/*
 * Print the optional features in use, by the names that `disable` takes, and the modes: two lines
 * on the console, which tools read. After vmx_setup_init().
 */
void modes_print(void);

#endif
