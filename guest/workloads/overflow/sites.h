/*
 * Instructions that may meet a forbidden page, and where the program goes on if they do. Each is
 * compiled with a note of both places; the TRAP handler looks rip up and changes it.
 */
#ifndef OVERFLOW_SITES_H
#define OVERFLOW_SITES_H

#include <trapline/portable.h>

/* A note: where the instruction "1:" and the label site_full are, each relative to the note itself.
 */
#define SITE_NOTE                                                                                  \
    ".pushsection overflow_sites, \"a\"\n\t"                                                       \
    ".balign 4\n\t"                                                                                \
    ".long 1b - .\n\t"                                                                             \
    ".long %l[site_full] - .\n\t"                                                                  \
    ".popsection"

/* *(slot) = (value), both of 64 bits; or, if that is forbidden, on at the label. */
#define SITE_STORE(slot, value, label)                                                             \
    do {                                                                                           \
        __label__ site_full;                                                                       \
                                                                                                   \
        __asm__ goto("1: movq %[word], %[place]\n\t" SITE_NOTE                                     \
                     : [place] "=m"(*(slot))                                                       \
                     : [word] "r"((uint64_t)(value))                                               \
                     :                                                                             \
                     : site_full);                                                                 \
        break;                                                                                     \
    site_full:                                                                                     \
        goto label;                                                                                \
    } while (0)

/* Make the table that site_recovery() looks in. Returns 0 or -ENOMEM. */
int sites_init(void);

/* Where to go on when the instruction at rip met a forbidden page; 0 when it is none of these. */
TRAP_LEAN_HANDLER uint64_t site_recovery(uint64_t rip);

#endif
