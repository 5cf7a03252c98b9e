/*
 * What a page costs beyond the write itself: a miss of the TLBs, the dirty flag of its leaf, and an
 * entry in the page-modification log. The same writes are timed by the guest with and without each,
 * and the median without is taken off.
 */
#include "hv/costs_guest.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"

enum {
    LOG_ENTRIES = 512,
    LOG_EMPTY = LOG_ENTRIES - 1, /* the index counts down (SDM 28.3.6) */
};

/* What the writes meet. */
enum state {
    CACHED, /* translations in the TLBs, leaves dirty */
    MISSED, /* no translations, leaves dirty */
    CLEAN,  /* no translations, leaves clean, no logging */
    LOGGED, /* no translations, leaves clean, logging */
};

static uint64_t found[COSTS_PAGES];

/* The reported pages become clean. Returns how many there were, or an error below 0. */
static int64_t clean(struct costs_guest *guest)
{
    uint64_t left;

    return ept_dirty(&guest->vcpu->guest->ept, guest->pages, COSTS_PAGES, found, COSTS_PAGES,
                     &left);
}

static void log_writes(bool on)
{
    uint64_t proc2 = vmread(VMCS_PROC_CONTROLS2) & ~(uint64_t)VMX_PROC2_ENABLE_PML;

    vmwrite(VMCS_PROC_CONTROLS2, proc2 | (on ? VMX_PROC2_ENABLE_PML : 0));
    if (on)
        vmwrite(VMCS_PML_INDEX, LOG_EMPTY);
}

/* One time all writes in a state; *ticks: what they took. Returns NULL or what went wrong. */
static const char *write_all(struct costs_guest *guest, enum state state, uint64_t *ticks)
{
    struct costs_visit visit = {.rdi = guest->pages,
                                .rsi = guest->pages + (uint64_t)COSTS_PAGES * PAGE_SIZE};
    const char *why;

    if (state >= CLEAN && clean(guest) != COSTS_PAGES)
        return "a page that was written to is not dirty";
    if (state >= MISSED) {
        flush_here(guest->vcpu);
        ept_flushed(&guest->vcpu->guest->ept);
    }
    if (vmx_setup.pml)
        log_writes(state == LOGGED);
    why = costs_guest_visit(guest, &visit, costs_code_pages, EXIT_REASON_VMCALL);
    if (!why && state == LOGGED && vmread(VMCS_PML_INDEX) != LOG_EMPTY - COSTS_PAGES)
        why = "the log has not one entry for each page";
    *ticks = visit.rax;
    return why;
}

/*
 * Fill the series with what the writes take in a state. What a round leaves cached is the next
 * one's: the first, which may find anything, is not counted.
 */
static const char *time_all(struct costs_guest *guest, enum state state, struct series *series)
{
    const char *why = NULL;

    series->count = 0;
    for (unsigned i = 0; !why && i <= COSTS_PAGE_ROUNDS; i++) {
        uint64_t ticks = 0;

        why = write_all(guest, state, &ticks);
        if (i > 0)
            series_add(series, ticks);
    }
    return why;
}

/* Measure a state and print what it costs beyond base ticks; returns the median of the whole. */
static uint64_t measure(struct costs_guest *guest, enum state state, const char *name,
                        uint64_t base, struct series *series)
{
    const struct series_row row = {.name = name, .per = "page", .ops = COSTS_PAGES};
    const char *why = time_all(guest, state, series);

    if (why) {
        costs_none(name, why);
        return 0;
    }
    series_print(series, &row, base);
    return series_median(series);
}

/* The first write to a clean page when the log is full: the exit comes before it. */
static void measure_full(struct costs_guest *guest, uint64_t clock, struct series *series)
{
    const struct series_row row = {.name = "cost.pml.full", .per = "op", .ops = 1, .exits = 1};
    const char *why = clean(guest) >= 0 ? NULL : "the pages are not tracked";

    flush_here(guest->vcpu);
    ept_flushed(&guest->vcpu->guest->ept);
    log_writes(true);
    vmwrite(VMCS_PML_INDEX, UINT16_MAX);
    series->count = 0;
    for (unsigned i = 0; !why && i < SERIES_MAX; i++) {
        struct costs_visit visit = {.rdi = guest->pages};

        why = costs_guest_visit(guest, &visit, costs_code_write, EXIT_REASON_PML_FULL);
        series_add(series, visit.stop - visit.start);
    }
    log_writes(true);
    if (why)
        costs_none(row.name, why);
    else
        series_print(series, &row, clock);
}

/* What a clean page costs; the pages are tracked and were all written to. missed: MISSED's median.
 */
static void measure_clean(struct costs_guest *guest, uint64_t clock, uint64_t missed,
                          struct series *series)
{
    uint64_t cleaned = measure(guest, CLEAN, "cost.dirty.flag", missed, series);

    if (!vmx_setup.pml) {
        costs_none("cost.pml.entry, cost.pml.full", "the CPU has no page-modification log");
        return;
    }
    if (!cleaned)
        return;
    measure(guest, LOGGED, "cost.pml.entry", cleaned, series);
    measure_full(guest, clock, series);
}

void costs_pages(struct costs_guest *guest, uint64_t clock, struct series *series)
{
    struct ept *ept = &guest->vcpu->guest->ept;
    const char *why = time_all(guest, CACHED, series);
    uint64_t missed, ticks;

    if (why) {
        costs_none("cost.refill", why);
        return;
    }
    missed = measure(guest, MISSED, "cost.refill", series_median(series), series);
    if (!missed)
        return;
    if (!vmx_setup.ept.accessed_dirty) {
        costs_none("cost.dirty.flag, cost.pml.entry, cost.pml.full",
                   "the CPU has no dirty flags in its EPT");
        return;
    }
    if (ept_track(ept, guest->pages, COSTS_PAGES, true) != EPT_OK)
        why = "no memory";
    else /* They begin clean, and each round expects that the one before wrote to all. */
        why = write_all(guest, MISSED, &ticks);
    if (why)
        costs_none("cost.dirty.flag, cost.pml.entry, cost.pml.full", why);
    else
        measure_clean(guest, clock, missed, series);
}
