/*
 * What the hypervisor needs of a CPU, asked before anything is touched. Pure: it reads the CPU
 * through a reader, and never an MSR that the CPU does not announce.
 * Sources: SDM volume 3, 23.6 and 23.7 (VMX and feature control), appendix A (capabilities).
 */
#ifndef TRAPLINE_BOOT_PREFLIGHT_H
#define TRAPLINE_BOOT_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmx/caps.h"

enum {
    PREFLIGHT_MAX_ITEMS = 48,
    PREFLIGHT_LINE_LEN = 160,
};

enum preflight_state {
    PREFLIGHT_PRESENT,
    PREFLIGHT_MISSING,
    PREFLIGHT_UNKNOWN, /* not to be asked for without what is missing further up */
};

struct preflight_item {
    const char *name;
    const char *note; /* of a present one: more about it, or NULL; else what to do about it */
    enum preflight_state state;
    bool required;
};

struct preflight {
    struct vmx_caps caps;
    uint32_t count;
    struct preflight_item items[PREFLIGHT_MAX_ITEMS];
};

/* Check the CPU behind reader. cr4: its control register, for the firmware's paging mode. */
void preflight_check(struct preflight *preflight, const struct vmx_cpu_reader *reader,
                     uint64_t cr4);

/* The first requirement that is missing, NULL when the machine will do. */
const struct preflight_item *preflight_missing(const struct preflight *preflight);

/* One item as a line of text without its end, in PREFLIGHT_LINE_LEN bytes. */
void preflight_line(const struct preflight_item *item, char *line);

#endif
