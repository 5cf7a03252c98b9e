/* The last page of the console: what became of each guest and what it cost. */
#ifndef TRAPLINE_HV_SUMMARY_H
#define TRAPLINE_HV_SUMMARY_H

/* Print it; returns 0 when every guest ended by itself with exit code 0, else 1. */
int summary_print(void);

#endif
