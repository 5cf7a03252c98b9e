/* The last page of the console: what became of each guest and what it cost. */
#ifndef TRAPLINE_HV_SUMMARY_H
#define TRAPLINE_HV_SUMMARY_H

/* Before the first guest is made: remember how much memory is free. */
void summary_begin(void);

/* After the last guest has ended: print it, and destroy the guests; returns 0 when every run of
 * every guest ended by itself with exit code 0, else 1. */
int summary_print(void);

#endif
