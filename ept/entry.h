/*
 * The format of an EPT entry, and the only functions that store to one.
 *
 * Bits 8:0 and 51:12 are the processor's (SDM 28.3.2). Software keeps its own state in bits that
 * the processor ignores in every entry; bits 10, 11, 57, 58, 60 and 61 belong to features that are
 * not used here and stay 0. Bit 7 tells a leaf from a table where the level allows both; in a 4 KiB
 * leaf it is ignored, and set there too, so that one bit says at each level that a page is mapped,
 * also while its protection is none.
 *
 * Bit 63 keeps a violation from being converted to a #VE (SDM 25.5.7.1). Where conversion is in use
 * (ept_features.ve) it is clear in exactly those leaves that allow less than their full rights and
 * of which the CPU is told all that they allow: there a violation is the guest's own TRAP. It is
 * set everywhere else, so that what concerns the hypervisor exits.
 */
#ifndef TRAPLINE_EPT_ENTRY_H
#define TRAPLINE_EPT_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "ept/ept.h"

#define ENTRY_R           (1ull << 0)
#define ENTRY_W           (1ull << 1)
#define ENTRY_X           (1ull << 2)
#define ENTRY_MEMTYPE     (7ull << 3)
#define ENTRY_LEAF        (1ull << 7)
#define ENTRY_A           (1ull << 8)
#define ENTRY_D           (1ull << 9)
#define ENTRY_ADDRESS     0x000ffffffffff000ull
#define ENTRY_SOFT_W      (1ull << 52) /* the protection allows writes */
#define ENTRY_SOFT_X      (1ull << 53)
#define ENTRY_FULL_W      (1ull << 54) /* the page's full rights allow writes */
#define ENTRY_FULL_X      (1ull << 55)
#define ENTRY_TRACKED     (1ull << 56)
#define ENTRY_ALIASED     (1ull << 59) /* a page that has aliases */
#define ENTRY_IS_ALIAS    (1ull << 62)
#define ENTRY_SUPPRESS_VE (1ull << 63)

#define ENTRY_HARDWARE (ENTRY_R | ENTRY_W | ENTRY_X)
#define ENTRY_ACCESS   (ENTRY_R | ENTRY_SOFT_W | ENTRY_SOFT_X)
#define ENTRY_FULL     (ENTRY_FULL_W | ENTRY_FULL_X)
#define ENTRY_SPECIAL  (ENTRY_TRACKED | ENTRY_ALIASED | ENTRY_IS_ALIAS)
#define ENTRY_EMPTY    ENTRY_SUPPRESS_VE
#define ENTRY_TABLE    (ENTRY_SUPPRESS_VE | ENTRY_HARDWARE)

enum {
    ENTRY_MEMTYPE_SHIFT = 3,
    ENTRY_SOFT_SHIFT = 51,  /* from EPT_ACCESS_W to ENTRY_SOFT_W, from ENTRY_W too */
    ENTRY_FULL_SHIFT = 53,  /* from EPT_ACCESS_W to ENTRY_FULL_W */
    ENTRY_FULL_TO_SOFT = 2, /* from ENTRY_FULL_W to ENTRY_SOFT_W */
};

/* The bits of ENTRY_ACCESS that say access. */
static inline uint64_t entry_access_bits(unsigned access)
{
    return (access & EPT_ACCESS_R) | (uint64_t)(access & (EPT_ACCESS_W | EPT_ACCESS_X))
                                         << ENTRY_SOFT_SHIFT;
}

/* The bits that say access, hardware's too, and that are not set in a leaf with access bits. */
static inline uint64_t entry_drop_bits(uint64_t bits)
{
    uint64_t drop = ENTRY_ACCESS & ~bits;

    return drop | (drop >> ENTRY_SOFT_SHIFT & (ENTRY_W | ENTRY_X));
}

/* What the protection of a leaf allows, enum ept_access. */
static inline unsigned entry_access(uint64_t entry)
{
    return (unsigned)((entry & ENTRY_R) |
                      (entry >> ENTRY_SOFT_SHIFT & (EPT_ACCESS_W | EPT_ACCESS_X)));
}

/* The full rights of a leaf as bits of ENTRY_ACCESS; reading is always one of them. */
static inline uint64_t entry_full_bits(uint64_t entry)
{
    return (entry & ENTRY_FULL) >> ENTRY_FULL_TO_SOFT | ENTRY_R;
}

/* The full rights of a leaf, enum ept_access. */
static inline unsigned entry_full(uint64_t entry)
{
    return (unsigned)(EPT_ACCESS_R | (entry >> ENTRY_FULL_SHIFT & (EPT_ACCESS_W | EPT_ACCESS_X)));
}

/* Whether a leaf has its full rights and nothing that a large leaf could not say. */
static inline bool entry_plain(uint64_t entry)
{
    return (entry & (ENTRY_ACCESS | ENTRY_SPECIAL)) == entry_full_bits(entry);
}

/* The hardware rights that go with access bits at a level (1 to 3) of a leaf with entry's flags. */
static inline uint64_t entry_hardware(const struct ept *ept, uint64_t entry, uint64_t bits,
                                      unsigned level)
{
    uint64_t hardware = bits >> ENTRY_SOFT_SHIFT & (ENTRY_W | ENTRY_X);

    if ((entry & ept->write_protects) && !(entry & ENTRY_D))
        hardware &= ~ENTRY_W;
    if (level > 1 && ept->features.nx_huge)
        hardware &= ~ENTRY_X;
    return hardware;
}

/*
 * ENTRY_SUPPRESS_VE or 0, as it has to be in a leaf with these access bits, full rights as bits of
 * ENTRY_ACCESS, and hardware rights (only those of writing and fetching count).
 */
static inline uint64_t entry_suppress(const struct ept *ept, uint64_t bits, uint64_t full,
                                      uint64_t hardware)
{
    bool told = !(((bits >> ENTRY_SOFT_SHIFT) ^ hardware) & (ENTRY_W | ENTRY_X));

    return ENTRY_SUPPRESS_VE & ~(bits != full && told ? ept->converts : 0);
}

/* The entry that gives a leaf access bits (within its full rights). */
static inline uint64_t entry_with_access(const struct ept *ept, uint64_t entry, uint64_t bits,
                                         unsigned level)
{
    uint64_t hardware = entry_hardware(ept, entry, bits, level);

    return (entry & ~(ENTRY_ACCESS | ENTRY_HARDWARE | ENTRY_SUPPRESS_VE)) | bits | hardware |
           entry_suppress(ept, bits, entry_full_bits(entry), hardware);
}

/*
 * The stores. Tests compile with EPT_RECORD_STORES and give the two functions: before may play the
 * part of a CPU that sets accessed and dirty flags, after sees each store.
 */
#ifdef EPT_RECORD_STORES
void ept_record_before(volatile uint64_t *slot);
void ept_record_after(volatile uint64_t *slot, uint64_t old, uint64_t entry);
#else
static inline void ept_record_before(volatile uint64_t *slot)
{
    (void)slot;
}

static inline void ept_record_after(volatile uint64_t *slot, uint64_t old, uint64_t entry)
{
    (void)slot;
    (void)old;
    (void)entry;
}
#endif

/* Fill an entry of a table that no CPU can reach yet. */
static inline void entry_init(volatile uint64_t *slot, uint64_t entry)
{
    *slot = entry;
    ept_record_after(slot, entry, entry);
}

/* Replace an entry; returns what it was, with the flags that CPUs had set to the last. */
static inline uint64_t entry_replace(volatile uint64_t *slot, uint64_t entry)
{
    uint64_t old;

    ept_record_before(slot);
    old = __atomic_exchange_n(slot, entry, __ATOMIC_SEQ_CST);
    ept_record_after(slot, old, entry);
    return old;
}

/* Clear bits of an entry. */
static inline void entry_clear(volatile uint64_t *slot, uint64_t bits)
{
#ifdef EPT_RECORD_STORES
    ept_record_before(slot);
    uint64_t old = __atomic_fetch_and(slot, ~bits, __ATOMIC_SEQ_CST);
    ept_record_after(slot, old, old & ~bits);
#else
    __atomic_and_fetch(slot, ~bits, __ATOMIC_SEQ_CST);
#endif
}

/* Set bits of an entry. */
static inline void entry_raise(volatile uint64_t *slot, uint64_t bits)
{
#ifdef EPT_RECORD_STORES
    ept_record_before(slot);
    uint64_t old = __atomic_fetch_or(slot, bits, __ATOMIC_SEQ_CST);
    ept_record_after(slot, old, old | bits);
#else
    __atomic_or_fetch(slot, bits, __ATOMIC_SEQ_CST);
#endif
}

/* Clear and set bits of an entry in one store; returns what it was. */
static inline uint64_t entry_update(volatile uint64_t *slot, uint64_t clear, uint64_t set)
{
    uint64_t old;

    ept_record_before(slot);
    old = *slot;
    while (!__atomic_compare_exchange_n(slot, &old, (old & ~clear) | set, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
        ;
    ept_record_after(slot, old, (old & ~clear) | set);
    return old;
}

/*
 * Make an entry that was old into entry, leaving the flags that CPUs may set meanwhile. One store,
 * so that every access allowed before and after stays allowed, and no other ever is.
 */
static inline void entry_change(volatile uint64_t *slot, uint64_t old, uint64_t entry)
{
    uint64_t clear = old & ~entry;
    uint64_t set = entry & ~old;

    if (!set)
        entry_clear(slot, clear);
    else if (!clear)
        entry_raise(slot, set);
    else
        entry_update(slot, clear, set);
}

#endif
