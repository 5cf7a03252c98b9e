/*
 * Guest-physical paging as a data structure: map, protect, alias, split, merge, dirty.
 *
 * Nothing here touches a CPU: table memory comes from the environment, and what the translation
 * caches are owed is reported through ept->flush_owed, which the caller pays (INVEPT on each CPU
 * that may hold translations of this EPT) before it tells the guest that a call is done, and then
 * confirms with ept_flushed(). One caller at a time; CPUs walk the tables and set accessed and dirty
 * flags concurrently.
 *
 * Sources: SDM volume 3, 28.3.2 (EPT format), 28.3.3 (caching), 28.3.5 (accessed and dirty flags).
 */
#ifndef TRAPLINE_EPT_EPT_H
#define TRAPLINE_EPT_EPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ept_access {
    EPT_ACCESS_NONE = 0,
    EPT_ACCESS_R = 1,
    EPT_ACCESS_W = 2,
    EPT_ACCESS_X = 4,
    EPT_ACCESS_RW = 3,
    EPT_ACCESS_RX = 5,
    EPT_ACCESS_RWX = 7,
};

enum ept_error {
    EPT_OK = 0,
    EPT_ENOENT = -2,      /* a page of the range is not mapped */
    EPT_ENOMEM = -12,     /* the environment gave no table page */
    EPT_EEXIST = -17,     /* a page of the range is mapped already */
    EPT_EINVAL = -22,     /* misaligned, wraps, beyond the limit, impossible access, not tracked */
    EPT_EOPNOTSUPP = -95, /* execute-only where the CPU lacks it */
};

/* What the fault handler is to do about an EPT violation. */
enum ept_fault {
    EPT_FAULT_SPURIOUS, /* the tables allow the access by now: retry, no flush owed (28.3.3.4) */
    EPT_FAULT_RESOLVED, /* tracking or an executable huge page was dealt with: retry */
    EPT_FAULT_DENIED,   /* the page's protection forbids it: deliver TRAP */
    EPT_FAULT_UNMAPPED, /* no page there */
    EPT_FAULT_NOMEM,    /* a split was needed and there is no table memory */
};

struct ept_features {
    bool page_2m;
    bool page_1g;
    bool accessed_dirty; /* hardware sets dirty flags; else writes are tracked by write-protection */
    bool exec_only;
    bool nx_huge; /* huge pages are never executable in hardware (iTLB multihit erratum) */
};

struct ept_env {
    uint64_t virt_offset;         /* virtual = physical + virt_offset for every table page */
    uint64_t (*alloc)(void *ctx); /* a zeroed 4 KiB page of the guest's budget, physical; 0 = none */
    void (*free)(void *ctx, uint64_t page);
    void (*flush)(void *ctx); /* pay the owed flush now (rare: limbo is needed as memory) */
    void *ctx;
};

struct ept_stats {
    uint64_t splits;
    uint64_t merges;
    uint64_t tables; /* table and bookkeeping pages in use, limbo included */
};

struct ept {
    const struct ept_env *env;
    struct ept_features features;
    uint64_t root;      /* physical address of the PML4 */
    uint64_t limit;     /* first guest-physical address that cannot be mapped, bytes */
    bool flush_owed;    /* cached translations may allow more than the tables do */
    struct ept_stats stats;
    /* private part: written by the module's owner (index of PDs, limbo list, alias metadata, tracked ranges) */
};

/* The EPTP for a VMCS: root, write-back walk of four levels, dirty flags where features say so. */
uint64_t ept_pointer(const struct ept *ept);
