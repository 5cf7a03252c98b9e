/*
 * The guest of the cost measurement: a page of code that causes one event after the other, a page
 * that may not be touched, and pages to write to. Its exits come back to who entered it.
 */
#ifndef TRAPLINE_HV_COSTS_GUEST_H
#define TRAPLINE_HV_COSTS_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/series.h"
#include "vmx/exits.h"

struct vcpu;

enum {
    COSTS_PAGES = 256, /* to write to; less than a page-modification log has entries */
    COSTS_PAGE_ROUNDS = 100,
};

/* One entry and the exit that follows. */
struct costs_visit {
    uint64_t rdi, rsi;    /* the guest's registers at the entry */
    uint64_t start, stop; /* ticks before the entry and after the exit */
    uint64_t rax;         /* the guest's register at the exit */
};

/*
 * Enter the guest of the current VMCS by VMLAUNCH or VMRESUME; returns at its exit. False: the
 * entry failed.
 */
bool costs_enter(struct costs_visit *visit, bool launch);

/* The guest's code, which is copied into it, and where in it what begins. */
extern char costs_code_begin[], costs_code_end[];
extern char costs_code_vmcall[]; /* VMCALL */
extern char costs_code_cpuid[];  /* CPUID */
extern char costs_code_write[];  /* writes to the byte at RDI */
extern char costs_code_pages[];  /* writes to each page from RDI up to RSI; then VMCALL, with the
                                  * ticks of the writes and of reading the clock in RAX */

struct costs_guest {
    struct vcpu *vcpu; /* its VMCS is current */
    uint64_t pages;    /* guest-physical: COSTS_PAGES pages, each with a leaf of its own */
    uint64_t barred;   /* a page without rights */
    bool launched;
};

/* Make the guest and load its only vCPU on this CPU. False: no memory, and it was said. */
bool costs_guest_create(struct costs_guest *guest);
void costs_guest_destroy(struct costs_guest *guest);

/*
 * Enter at a place in the code with RDI and RSI as visit has them. Returns NULL, or what went
 * wrong: the entry failed, or an exit came for another reason than this one (enum exit_reason).
 */
const char *costs_guest_visit(struct costs_guest *guest, struct costs_visit *visit,
                              const char *place, uint32_t reason);

/*
 * Measure the TLB misses after a flush, dirty flags and page-modification logging, and print.
 * clock: what reading the clock twice takes. series: room for the values.
 */
void costs_pages(struct costs_guest *guest, uint64_t clock, struct series *series);

/* Say that there is no row, and why. */
void costs_none(const char *row, const char *why);

#endif
