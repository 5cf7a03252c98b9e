/* What limit.c and limit.asm have to do with one another. */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include <stdint.h>

/* Entries for page faults. Each leaves all registers as they were. */
void limit_skip(void);   /* goes on behind bench_touch()'s access */
void limit_appel1(void); /* allows the page, and no longer the one numbered limit_allowed */
void limit_appel2(void); /* allows the page */

extern uint64_t limit_allowed; /* number of the page that limit_appel1 allowed last */

#endif
