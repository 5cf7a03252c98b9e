/*
 * A machine for unit tests of the hypervisor's exit handlers: one guest with real EPT tables in
 * host memory, one vCPU with a fake VMCS, and a CPU's translation cache at its worst: it has
 * cached, and goes on using, every translation that the tables held at any moment since the last
 * INVEPT.
 */
#ifndef TESTS_UNIT_HV_WORLD_H
#define TESTS_UNIT_HV_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/guest.h"
#include "hv/vcpu.h"

enum {
    PAGE = 4096,
    BLOCK = 2 << 20,
    WORLD_RAM_MAX = 8 << 20,
    WORLD_ALIASES = 64, /* pages at the start of the alias window that are watched ... */
    WORLD_LAST = 16,    /* ... and at its end */
    WORLD_WATCHED = WORLD_RAM_MAX / PAGE + WORLD_ALIASES + WORLD_LAST,
    WORLD_CONSOLE = 1 << 16,
    WORLD_GUESTS = 2,
    WORLD_SELF_IPIS = 8,
};

struct world_options {
    uint64_t ram;    /* bytes */
    uint64_t budget; /* table pages, 0 = plenty */
    unsigned vcpus;  /* 0 = 1 */
    unsigned guests; /* 0 = 1; all alike, called "test", "test-1", ... */
    unsigned repeat; /* 0 = 1 */
    uint32_t disk;   /* enum handover_disk, of the first guest */
    bool pml;        /* the CPU logs the pages whose dirty flags it sets */
    struct ept_features features;
};

/* What matters of one guest-physical page; see struct ept_translation. */
struct page_state {
    uint8_t level, access, full, hardware, tracked, aliased, alias, dirty;
    uint64_t hpa;
};

struct snapshot {
    struct page_state pages[WORLD_WATCHED];
};

enum outcome {
    ACCESS_DONE,    /* at once or after a retry */
    ACCESS_TRAPPED, /* vector 20 is about to be delivered */
    ACCESS_STOPPED, /* the guest was stopped */
};

struct hv_world {
    struct guest *guest;
    struct vcpu *vcpu;
    uint64_t rdx;        /* after the last hypercall */
    unsigned agains;     /* how often the last hypercall came back to go on */
    unsigned invepts;    /* ever */
    unsigned invvpids;   /* ever */
    unsigned violations; /* EPT violations, ever */
    unsigned log_full;   /* exits for a full page-modification log, ever */
    unsigned dumps;
    struct vcpu *remote;                /* see world_run_elsewhere() */
    unsigned kicks;                     /* NMIs that it got */
    bool out_of_memory;                 /* nothing can be allocated */
    unsigned charges;                   /* times that its slice was charged */
    uint8_t self_ipis[WORLD_SELF_IPIS]; /* the machine's local APIC: what was done to it */
    unsigned self_ipi_count, eois, quiesced;
    uint32_t spurious_vector, apic_errors;
    bool timer_armed;
    bool guarded; /* the last exit did not try the shortest way */
    char console[WORLD_CONSOLE];
    size_t console_length;
};

extern struct hv_world world;

void world_open(const struct world_options *options);
void world_close(void);

/* Another guest's turn, with its first vCPU. */
void world_enter(unsigned guest);

/* A guest's only vCPU runs on another CPU meanwhile, which answers NMIs. */
void world_run_elsewhere(unsigned guest);

/* Another vCPU's turn on the CPU: from now on calls, exits and accesses are its own. */
void world_turn(unsigned vcpu);

/* The usual machine: 8 MiB, all features, plenty of tables. */
void world_open_plain(void);

/* A VM exit as the exit stub handles it; false = the vCPU's turn is over. */
bool vm_exit(uint32_t reason);

/*
 * VMCALL, again until it is done. Checks what holds for every call: RIP stays or goes on by the
 * instruction, no other register but RAX and RDX changes, and no stale translation is left.
 * Returns RAX; INT64_MAX when the guest has ended.
 */
int64_t hypercall(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t r10);

/* The same, one exit only: false = it wants to go on. */
bool hypercall_once(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t r10);

/* The guest makes an access (enum ept_access); a write is of one byte, data. */
enum outcome guest_access(uint64_t gpa, enum ept_access access, uint8_t data);

/* An EPT violation as the CPU reports it; vectoring: IDT-vectoring information. */
enum outcome violate(uint64_t gpa, uint64_t qualification, uint32_t vectoring);

/* Guest-physical address of a watched page. */
uint64_t watched_gpa(unsigned index);
unsigned watched_count(void);

/* All watched pages as they were after the last exit or access of the guest. */
void snapshot_take(struct snapshot *snapshot);
bool snapshot_same(const struct snapshot *a, const struct snapshot *b);

/* Fails the test when the cache allows what the tables forbid, or hides a write. */
void check_cache(void);

unsigned access_of(uint64_t gpa);
void *ram(uint64_t gpa);

#endif
