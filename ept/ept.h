/*
 * Guest-physical paging as a data structure: map, protect, alias, split, merge, dirty.
 *
 * Nothing here touches a CPU: table memory comes from the environment, and what the translation
 * caches are owed is reported through ept->flush_owed, which the caller pays (INVEPT on each CPU
 * that may hold translations of this EPT) before it tells the guest that a call is done, and then
 * confirms with ept_flushed(). One caller at a time; CPUs walk the tables and set accessed and
 * dirty flags concurrently.
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
    EPT_ENOENT = -2,      /* a page of the range is not mapped, or lies beyond the limit */
    EPT_ENOMEM = -12,     /* the environment gave no table page */
    EPT_EEXIST = -17,     /* a page of the range is mapped already, or still has aliases */
    EPT_EINVAL = -22,     /* misaligned, empty, wraps, impossible access, alias of an alias */
    EPT_EOPNOTSUPP = -95, /* execute-only where the CPU lacks it */
};

enum ept_memtype {
    EPT_MEMTYPE_UC = 0,
    EPT_MEMTYPE_WC = 1,
    EPT_MEMTYPE_WT = 4,
    EPT_MEMTYPE_WP = 5,
    EPT_MEMTYPE_WB = 6,
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
    bool
        accessed_dirty; /* hardware sets dirty flags; else writes are tracked by write-protection */
    bool exec_only;
    bool nx_huge; /* huge pages are never executable in hardware (iTLB multihit erratum) */
    bool ve;      /* let the CPU convert violations of lowered pages to #VE; needs accessed_dirty */
};

struct ept_env {
    uint64_t virt_offset;         /* virtual = physical + virt_offset for every table page */
    uint64_t (*alloc)(void *ctx); /* a 4 KiB page of the guest's budget, physical; 0 = none */
    void (*free)(void *ctx, uint64_t page);
    void (*flush)(void *ctx); /* pay the owed flush now and call ept_flushed() (rare) */
    void *ctx;
};

struct ept_stats {
    uint64_t splits;
    uint64_t merges;
    uint64_t tables;      /* table and bookkeeping pages in use, limbo included */
    uint64_t view_tables; /* of these, tables of views, limbo not included */
};

enum {
    EPT_PAGE_SHIFT = 12,
    EPT_PAGE_BYTES = 1 << EPT_PAGE_SHIFT,
    EPT_ENTRIES = 512,
    EPT_TRACKED_MAX = 64, /* tracked intervals of one EPT */
    EPT_QUEUE_MAX = 8,    /* uniform tables that wait to be merged */
    EPT_CACHE_MAX = 16,   /* free table pages kept from one call to the next */
};

/* No guest-physical address beyond this can be mapped: one page-directory-pointer table. */
#define EPT_LIMIT_MAX (512ull << 30)

/* Table pages that an EPT has before anything is mapped, and each GiB adds at most these. */
enum {
    EPT_TABLES_BASE = 6,
    EPT_TABLES_PER_GIB =
        3, /* the page directory and its bookkeeping; 4 KiB leaves cost 1 each 2 MiB */
};

struct ept_interval {
    uint64_t first; /* page number */
    uint64_t end;   /* page number after the last */
};

/* Bookkeeping of one page table (2 MiB by 4 KiB leaves) or page directory; private. */
struct ept_table {
    uint16_t mapped; /* entries that are not empty */
    uint16_t hint;   /* an entry that keeps the table from being merged, unless it is queued */
    uint32_t flags;
};

struct ept_alias_node;
struct ept_view;

/* A view's table of leaves that may be like one entry; private. */
struct ept_view_queued {
    struct ept_view *view;
    uint64_t page;
};

struct ept {
    const struct ept_env *env;
    struct ept_features features;
    uint64_t root;     /* physical address of the PML4 */
    uint64_t limit;    /* first guest-physical address that cannot be mapped, bytes */
    bool flush_owed;   /* cached translations may allow more than the tables do */
    bool log_complete; /* see ept_log_init() */
    unsigned holds;    /* ept_hold() without ept_release() */
    struct ept_stats stats;

    /* Private to ept/. */
    struct ept_interval missed; /* where there may be what could not be merged; end 0: nowhere */
    struct ept_interval
        prepared;         /* where ept_prepare() split something since it is held; the same */
    uint8_t valid_access; /* bit n: enum ept_access n can be given */
    uint64_t need[8];     /* by enum ept_access: an entry with these bits needs no right raised */
    uint64_t drop[8];     /* and these bits are what it loses */
    uint64_t limit_pages;
    uint64_t fast_pages; /* the short ways work below this page: limit_pages; 0 with views */
    uint64_t virt_offset;
    uint64_t write_protects; /* the entry bit that withholds write until the first write, or 0 */
    uint64_t untracked;      /* the entry bit that each leaf has which is not tracked, or 0 */
    uint64_t converts;       /* the entry bit that a leaf which may raise #VE does not have, or 0 */
    volatile uint64_t *pdpt;
    volatile uint64_t ***index; /* [GiB][2 MiB]: the page table; a void table where there is none */
    struct ept_table **tables;  /* [GiB][2 MiB] */
    struct ept_table *dirs;     /* [GiB] */
    uint64_t *limbo;            /* table pages that CPUs may still walk */
    struct ept_alias_node ***alias_index[2]; /* alias bookkeeping; NULL until the first alias */
    uint64_t cache;                          /* list of free table pages */
    uint64_t cache_count;
    uint64_t cache_wanted;
    unsigned limbo_count;
    uint64_t *log;         /* by page: may be dirty; NULL without a log */
    uint64_t *log_summary; /* by 2 MiB: whether the log has a page there */
    uint64_t log_pages;
    uint64_t log_added; /* addresses, since the last ept_dirty() */
    unsigned queue_count;
    unsigned tracked_count;
    unsigned view_queue_count;
    uint32_t queue[EPT_QUEUE_MAX];
    struct ept_view_queued view_queue[EPT_QUEUE_MAX];
    struct ept_view *views;
    struct ept_interval tracked[EPT_TRACKED_MAX];
};

/* Where ept_prepare_list() found a page. */
typedef volatile uint64_t *ept_slot;

/* What ept_lookup() tells of one guest-physical address. */
struct ept_translation {
    unsigned level;    /* 1: 4 KiB leaf, 2: 2 MiB, 3: 1 GiB; 0: nothing is mapped there */
    unsigned access;   /* enum ept_access: what the protection allows */
    unsigned full;     /* what it allows at most */
    unsigned hardware; /* what the CPU is told: less than access while tracked or nx_huge */
    unsigned memtype;  /* enum ept_memtype */
    bool tracked;
    bool aliased;   /* the page has aliases */
    bool alias;     /* the address is an alias */
    uint64_t hpa;   /* host-physical address of the byte */
    uint64_t entry; /* the raw entry; at level 0 the one that ended the walk */
    uint64_t table; /* physical address of the entry, for dumps */
};

/*
 * Make an empty EPT.
 *
 * env stays in use until ept_destroy(). limit: bytes of guest-physical space that can be mapped, a
 * multiple of 4 KiB, 1 page to EPT_LIMIT_MAX. Returns EPT_OK, EPT_EINVAL or EPT_ENOMEM.
 */
int ept_init(struct ept *ept, const struct ept_env *env, const struct ept_features *features,
             uint64_t limit);

/* Give every page back to the environment. No CPU may hold a translation of this EPT any more. */
void ept_destroy(struct ept *ept);

/* The EPTP for a VMCS (SDM table 25-9): write-back walk of four levels, dirty flags as features
 * say. */
uint64_t ept_pointer(const struct ept *ept);

/*
 * Map [gpa, gpa + bytes) to [hpa, hpa + bytes), in the largest leaves that fit.
 *
 * gpa, hpa, bytes: multiples of 4 KiB. full: the rights, enum ept_access, with EPT_ACCESS_R.
 * memtype: enum ept_memtype. Owes no flush (SDM 28.3.3.4: what is not present is not cached).
 * Returns EPT_OK, EPT_EINVAL, EPT_ENOENT beyond the limit, EPT_EEXIST, or EPT_ENOMEM; then nothing
 * has changed.
 */
int ept_map(struct ept *ept, uint64_t gpa, uint64_t hpa, uint64_t bytes, unsigned full,
            unsigned memtype);

/*
 * Unmap [gpa, gpa + bytes). The host memory may be reused once the owed flush is paid.
 *
 * Returns EPT_OK, EPT_EINVAL (misaligned, or a page is tracked or an alias), EPT_ENOENT (a page is
 * not mapped), EPT_EEXIST (a page has aliases) or EPT_ENOMEM; then nothing has changed.
 */
int ept_unmap(struct ept *ept, uint64_t gpa, uint64_t bytes);

/* Look up one guest-physical address (bytes, any alignment). Returns EPT_OK or EPT_ENOENT. */
int ept_lookup(const struct ept *ept, uint64_t gpa, struct ept_translation *translation);

/*
 * Whether each page that [gpa, gpa + bytes) touches is mapped and its protection allows access
 * (enum ept_access, at least one right). False when the range wraps or leaves the limit; bytes 0
 * is true.
 */
bool ept_allows(const struct ept *ept, uint64_t gpa, uint64_t bytes, unsigned access);

/*
 * Set the protection of pages to (access & the page's full rights); PROT1 and PROTN.
 *
 * gpa: page-aligned; pages: at least 1; access: W only with R, X alone only where exec_only.
 * Large leaves are split at the range's edges only; a whole aligned 2 MiB or 1 GiB part becomes one
 * large leaf again where nothing in it is tracked or aliased. An access that is allowed before and
 * after never faults meanwhile. Returns EPT_OK, EPT_EINVAL, EPT_EOPNOTSUPP, EPT_ENOENT or
 * EPT_ENOMEM; then nothing has changed.
 */
int ept_protect(struct ept *ept, uint64_t gpa, uint64_t pages, unsigned access);

/* Raise pages to their full rights; owes no flush unless tables were merged. Errors as
 * ept_protect(). */
int ept_unprotect(struct ept *ept, uint64_t gpa, uint64_t pages);

/*
 * While anyone holds the EPT no call merges tables: what is split stays split. Calls that would
 * have merged for want of memory return EPT_ENOMEM, and ept_reclaim() finds nothing. At the last
 * release what became uniform meanwhile is merged, or waits in the queue.
 */
void ept_hold(struct ept *ept);
void ept_release(struct ept *ept);

/*
 * See to it that ept_protect() of exactly this range cannot fail: check that it is mapped, split at
 * its edges. Several ranges, which may overlap, can be prepared and then protected one after the
 * other, as long as the caller holds the EPT from before the first is prepared until the last is
 * protected. Any other call may come in between, but a page that is unmapped meanwhile is prepared
 * no more, mapped again or not. Returns EPT_OK, EPT_EINVAL, EPT_ENOENT or EPT_ENOMEM; then this
 * range is as it was, and ranges that were prepared before it still are: ept_relax(). After
 * EPT_ENOMEM, that and the release, ept_reclaim() may make it worth a second try.
 */
int ept_prepare(struct ept *ept, uint64_t gpa, uint64_t pages);

/*
 * The same for a list of single pages, for speed: prepare count pages and note in slots (room for
 * count) where each is, which is valid until the EPT is released or anything is unmapped.
 * Duplicates are fine. Errors as ept_prepare(), with *bad = the index at fault; the pages before it
 * are prepared.
 */
int ept_prepare_list(struct ept *ept, const uint64_t *gpas, size_t count, ept_slot *slots,
                     size_t *bad);

/*
 * The caller, who still holds the EPT, does not need what it prepared: what that split is merged at
 * the last release, if it is uniform then.
 */
void ept_relax(struct ept *ept);

/*
 * Protect the pages of a prepared list; cannot fail. access: as for ept_protect(), which the caller
 * has checked with ept_access_check().
 */
void ept_protect_list(struct ept *ept, const uint64_t *gpas, const ept_slot *slots, size_t count,
                      unsigned access);

/* Whether access can be given to ept_protect(): EPT_OK, EPT_EINVAL or EPT_EOPNOTSUPP. */
int ept_access_check(const struct ept *ept, unsigned access);

/* Merge every table that is uniform and only waits; returns how many pages that freed (in limbo).
 */
unsigned ept_reclaim(struct ept *ept);

/*
 * Decide on an EPT violation at gpa (bytes, any alignment). access: the bits of enum ept_access
 * that the access needed (bits 2:0 of the exit qualification have this order). Never owes a flush
 * unless it splits a leaf (EPT_FAULT_RESOLVED; then flush_owed says so).
 */
enum ept_fault ept_fault(struct ept *ept, uint64_t gpa, unsigned access);

/*
 * Map pages pages at alias_gpa onto the host frames of the pages at gpa, each with access as its
 * full rights (with EPT_ACCESS_R, and within the page's own full rights); MAP2.
 *
 * Returns EPT_OK, EPT_EINVAL (misaligned, wraps, bad access, gpa is itself an alias), EPT_ENOENT (a
 * page is not mapped, or an address lies beyond the limit), EPT_EEXIST (alias_gpa is mapped) or
 * EPT_ENOMEM; then nothing has changed.
 */
int ept_alias(struct ept *ept, uint64_t gpa, uint64_t pages, uint64_t alias_gpa, unsigned access);

/*
 * Unmap aliases. Returns EPT_OK, EPT_EINVAL (misaligned, or not an alias) or EPT_ENOENT (nothing is
 * mapped there); then nothing has changed. What was written through them stays reported by
 * ept_dirty().
 */
int ept_unalias(struct ept *ept, uint64_t alias_gpa, uint64_t pages);

/* How many aliases the page at gpa has; of an alias 0. */
uint64_t ept_alias_count(const struct ept *ept, uint64_t gpa);

/*
 * Begin (on) or end the tracking of writes to pages, and to their aliases. Pages that were tracked
 * before keep their dirty state; pages that were not begin clean. Returns EPT_OK, EPT_EINVAL
 * (misaligned, or an alias), EPT_ENOENT or EPT_ENOMEM (also: more than EPT_TRACKED_MAX intervals);
 * then nothing has changed.
 */
int ept_track(struct ept *ept, uint64_t gpa, uint64_t pages, bool on);

/*
 * Write the addresses of tracked pages that changed since they were last reported, through
 * whichever address, in ascending order, and clear their dirty state; DIRTY.
 *
 * buffer has room for capacity addresses; pages that do not fit stay dirty and are counted in
 * *remaining. Returns the number written, EPT_EINVAL (misaligned, or a page is not tracked), or
 * EPT_ENOENT beyond the limit.
 */
int64_t ept_dirty(struct ept *ept, uint64_t gpa, uint64_t pages, uint64_t *buffer,
                  uint64_t capacity, uint64_t *remaining);

/*
 * Let DIRTY go by a log of the pages whose dirty flags CPUs set, as page-modification logging gives
 * it (SDM 28.3.6), instead of looking at each page of its range. Only with accessed_dirty.
 *
 * memory: ept_log_bytes(pages) bytes, zeroed and 8-byte aligned, in use as long as the EPT. pages:
 * the log is of pages of gpa 0 to pages * 4 KiB and of their aliases; what is tracked beyond is
 * looked at. The caller adds what CPUs logged, and sets ept->log_complete before each ept_dirty():
 * whether every CPU's log was added that may hold a page.
 */
uint64_t ept_log_bytes(uint64_t pages);
void ept_log_init(struct ept *ept, void *memory, uint64_t pages);

/*
 * Add count guest-physical addresses (page-aligned) that a CPU logged. They may be of aliases, more
 * than once, or of pages that are not tracked any more.
 */
void ept_log_add(struct ept *ept, const uint64_t *gpas, size_t count);

/* The hypervisor wrote [gpa, gpa + bytes) on the guest's behalf: note it where it is tracked. */
void ept_mark_dirty(struct ept *ept, uint64_t gpa, uint64_t bytes);

/* Every CPU that may hold translations of this EPT has executed INVEPT since flush_owed was set. */
void ept_flushed(struct ept *ept);

#endif
