/*
 * Views: more sets of protections over the same guest-physical memory, each with an EPTP of its
 * own, to be switched by VMFUNC (SDM 25.5.6.3). View 0 is the EPT itself.
 *
 * A view above 0 only takes rights away: what it allows at an address is what the EPT allows there
 * and its own restriction of that address allows, too. The restriction belongs to the address,
 * whether a page is mapped there or not. Everything that happens in the EPT shows in its views.
 *
 * A view shares the EPT's tables: rights are those of all entries of a walk together (28.3.2), so
 * that one entry restricts all below it. It has tables of its own only on the way to where its
 * restriction changes. They come out of the EPT's environment.
 *
 * A flush that the EPT owes is owed for its views' EPTPs as well, those of views that were
 * destroyed since included; changes of a view set the EPT's flush_owed.
 */
#ifndef TRAPLINE_EPT_VIEW_H
#define TRAPLINE_EPT_VIEW_H

#include "ept/ept.h"

struct ept_view {
    struct ept *ept;       /* NULL: destroyed, or never made */
    struct ept_view *next; /* the EPT's other views */
    uint64_t root;         /* physical address of its PML4 */

    /* Private to ept/: where a page was found last. */
    uint64_t last_part;            /* its number without the bits below 2 MiB */
    volatile uint64_t *last_table; /* the view's own table of leaves there, NULL = none */
};

/* What an address means in a view. */
struct ept_view_translation {
    unsigned restriction; /* enum ept_access: the view's own */
    unsigned access;      /* what the EPT's protection and the restriction allow together */
    unsigned hardware;    /* what the CPU is told */
    bool converts;        /* a violation is delivered as #VE, where that is in use */
    bool shared;          /* the entry that ends the walk is in a table of the EPT */
};

/*
 * Make a view that restricts nothing. view is the caller's memory, in use until the view or the EPT
 * is destroyed. Returns EPT_OK or EPT_ENOMEM.
 */
int ept_view_create(struct ept *ept, struct ept_view *view);

/*
 * Destroy a view: its tables go back to the environment with the flush that this owes. No CPU may
 * enter the view any more. What was written through it stays reported by ept_dirty().
 */
void ept_view_destroy(struct ept_view *view);

/* The view's EPTP. */
uint64_t ept_view_pointer(const struct ept_view *view);

/*
 * Set the restriction of pages to access, whatever it was; EPT_ACCESS_RWX takes none away.
 *
 * gpa: page-aligned; pages: at least 1, mapped or not; the last may be the last below the limit.
 * access: as for ept_protect(). Returns EPT_OK, EPT_EINVAL, EPT_EOPNOTSUPP, EPT_ENOENT (beyond the
 * limit) or EPT_ENOMEM; then nothing has changed. A page that is tracked may fault once although
 * it is allowed before and after, with EPT_FAULT_SPURIOUS.
 */
int ept_view_protect(struct ept_view *view, uint64_t gpa, uint64_t pages, unsigned access);

/*
 * Several ranges, all or nothing: prepare each; then, if none failed, apply the same access to
 * each, which cannot fail; then, in any case, relax each that was prepared. No other call on the
 * EPT or its views in between. Errors as ept_view_protect().
 */
int ept_view_prepare(struct ept_view *view, uint64_t gpa, uint64_t pages);
void ept_view_apply(struct ept_view *view, uint64_t gpa, uint64_t pages, unsigned access);
void ept_view_relax(struct ept_view *view, uint64_t gpa, uint64_t pages);

/* ept_fault() for a violation in a view. */
enum ept_fault ept_view_fault(struct ept_view *view, uint64_t gpa, unsigned access);

/* ept_allows() in a view. */
bool ept_view_allows(const struct ept_view *view, uint64_t gpa, uint64_t bytes, unsigned access);

/* Look up one address (bytes, any alignment). Returns EPT_OK, or EPT_ENOENT: only the restriction
 * is told. */
int ept_view_lookup(const struct ept_view *view, uint64_t gpa,
                    struct ept_view_translation *translation);

#endif
