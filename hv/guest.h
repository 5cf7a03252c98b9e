/*
 * A guest: its memory, its EPT with a table budget of its own, its vCPUs, and how it ended.
 */
#ifndef TRAPLINE_HV_GUEST_H
#define TRAPLINE_HV_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handover.h"
#include "ept/ept.h"
#include "guest/include/trapline/abi.h"
#include "hv/lock.h"

struct cpu;
struct vcpu;
struct view_set;

enum {
    GUEST_MAX_VCPUS = HANDOVER_MAX_VCPUS,
    GUEST_PAGE_SHIFT = 12,
    GUEST_BLOCK_SHIFT = 21, /* RAM is allocated in 2 MiB blocks */
    GUEST_BLOCK_BYTES = 1 << GUEST_BLOCK_SHIFT,
    GUEST_LINE_LEN = 256, /* longest console line kept together when several guests print */
    GUEST_BOOT_AREA =
        2u << 20, /* bytes at the end of RAM for struct trapline_info and page tables */
};

/* Why a guest's calls may not take the shortest way, which looks after one CPU alone: leaf.c. */
enum guest_leaf_bar {
    LEAF_BAR_VCPUS = 1u << 0,  /* more than one vCPU was started */
    LEAF_BAR_OWES = 1u << 1,   /* a flush is owed while nobody has the lock: by a PROTN */
    LEAF_BAR_RAISED = 1u << 2, /* pages are noted as raised: raised.h */
};

enum guest_state {
    GUEST_RUNNING,
    GUEST_ENDING,  /* somebody is about to say how it ended */
    GUEST_EXITED,  /* by TRAPLINE_HC_EXIT: exit_code holds */
    GUEST_STOPPED, /* by the hypervisor: stop_reason holds */
};

/* What is said once a guest and then only counted. */
enum guest_denial {
    DENIAL_RDMSR,
    DENIAL_WRMSR,
    DENIAL_IN,
    DENIAL_OUT,
    DENIAL_RDPMC,
    DENIAL_CR,
    DENIAL_XSETBV,
    DENIAL_VMX,
    DENIAL_COUNT
};

/* The guest's EPT table memory, set aside when the guest is made. */
struct table_pool {
    uint64_t base;      /* physical */
    uint64_t pages;     /* the budget */
    uint64_t next;      /* pages from here on were never used and are zero */
    uint64_t free_list; /* physical address of the first free page, which holds the next one's */
    uint64_t used;
};

struct guest {
    const struct handover_guest *config;
    unsigned id;
    _Atomic enum guest_state state;
    struct cpu *ender; /* the CPU that says how it ended */
    int64_t exit_code;
    char stop_reason[96];

    uint64_t ram_size;    /* bytes, from guest-physical 0 */
    uint64_t *blocks;     /* physical address of each 2 MiB block of RAM */
    uint64_t block_bytes; /* size of that array */
    uint64_t alias_base;
    uint64_t alias_size;
    uint32_t features;     /* enum trapline_feature */
    bool direct;           /* its vCPUs have their CPUs' own interrupts */
    atomic_bool listening; /* other guests may wake its vCPUs: channels */

    struct spinlock lock; /* guards ept, pool and vcpus_started: guest_lock() in flush.h */
    uint32_t leaf_barred; /* enum guest_leaf_bar; under the lock */
    struct vcpu *holder;  /* who had the lock last; NULL = nobody ever */
    atomic_uint_fast64_t flush_gen; /* see flush.h */
    struct ept ept;
    struct ept_env ept_env;
    struct table_pool pool;
    uint64_t log;   /* physical: the EPT's log of dirty pages; 0 = none, see pml.h */
    uint64_t ports; /* physical: its I/O bitmap A; 0 = the one that all share, see disk.h */

    struct view_set *views;
    unsigned flush_type; /* enum invept_type: for all EPTPs that it ever had */

    struct vcpu *vcpus[GUEST_MAX_VCPUS];
    unsigned vcpu_count;
    unsigned vcpus_started;         /* vCPUs that have run or are about to */
    atomic_uint vcpus_left;         /* vCPUs that a CPU may still touch */
    atomic_uint_fast64_t time_used; /* ticks, of all vCPUs */

    /* Of a guest that runs several times, one run after the other. */
    unsigned runs;         /* that are over */
    unsigned failures;     /* runs that did not end with exit code 0 */
    struct ept_stats past; /* of the runs before this one */
    uint64_t start_ticks;  /* what making it anew took in all */
    uint64_t end_ticks;    /* what giving it back took in all */

    uint64_t denials[DENIAL_COUNT];
    struct spinlock print_lock; /* guards what follows */
    char line[GUEST_LINE_LEN];
    unsigned line_length;
};

extern struct guest *guests[HANDOVER_MAX_GUESTS];
extern unsigned guest_count;
extern atomic_uint guests_alive;

/*
 * Make a guest from its configuration: memory, EPT, image, vCPUs (not yet queued on a CPU).
 *
 * Returns NULL after printing why when the machine cannot give what the configuration asks.
 */
struct guest *guest_create(const struct handover_guest *config, unsigned id);

/* Show a guest that has not run more features: enum trapline_feature. */
void guest_add_features(struct guest *guest, uint32_t features);

/* Host address of guest RAM at gpa; the caller has checked that it lies in RAM. Valid to the end of
 * its 2 MiB block. */
void *guest_ram(const struct guest *guest, uint64_t gpa);

/* Whether [gpa, gpa + bytes) lies in the guest's RAM, without wrapping. */
bool guest_in_ram(const struct guest *guest, uint64_t gpa, uint64_t bytes);

/*
 * Whether the guest itself could make this access to [gpa, gpa + bytes) now: in RAM and allowed by
 * each page's protection, in the view that the vCPU is in that holds the guest's lock. bytes 0 asks
 * nothing of any page.
 */
bool guest_may_access(struct guest *guest, uint64_t gpa, uint64_t bytes, enum ept_access access);

/* Copy between the hypervisor and guest RAM; the range was checked. Writing marks the pages dirty.
 */
void guest_read(struct guest *guest, uint64_t gpa, void *to, uint64_t bytes);
void guest_write(struct guest *guest, uint64_t gpa, const void *from, uint64_t bytes);

/*
 * The guest's console output: with a name in front of each line when several guests run. The caller
 * holds print_lock, for as long as the text is to stay in one piece.
 */
void guest_print(struct guest *guest, const char *text, size_t bytes);

/* Count a denied access; true the first time for this kind, when it is worth a line. */
bool guest_denied(struct guest *guest, enum guest_denial kind);

/*
 * End a guest: by itself with an exit code, or by the hypervisor with a reason (printf style). Only
 * the first end counts. Its vCPUs leave their CPUs soon, each by itself, and do not run again; its
 * memory is given back by guest_release().
 */
void guest_exit(struct guest *guest, int64_t code);
void guest_stop(struct guest *guest, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Be the one who ends the guest: true once, and then nobody else prints or sets how it ended.
 * guest_stop() and guest_exit() do it by themselves; before them it is for who has more to say.
 */
bool guest_begin_end(struct guest *guest);

/*
 * Give back the memory of a guest that has ended, after all of its vCPUs were unloaded; its
 * configuration and counters stay.
 */
void guest_release(struct guest *guest);

/*
 * After that: count the run and, if the configuration asks for more of them, make the guest anew,
 * with its vCPUs not yet queued on their CPUs. False: it is over, and its counters are the sums
 * over its runs.
 */
bool guest_run_again(struct guest *guest);

/* Give back what is left of a guest that is over. */
void guest_destroy(struct guest *guest);

#endif
