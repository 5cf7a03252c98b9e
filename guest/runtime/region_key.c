/*
 * Regions over protection keys (SDM 4.6.2): sets of pages, each with a key of its own, whose access
 * is two bits of PKRU. A page that is protected singly leaves the key of its set, is a stray until
 * the set's access is set again, and is governed by its entry's rights meanwhile.
 */
/* These calls are made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/runtime/region.h"

#include <trapline/memory.h>
#include <trapline/string.h>

#include "guest/runtime/cpu.h"

enum {
    KEYS = 16, /* 0 is that of every page that is in no set */
    PKRU_BITS = 2,
    PKRU_ACCESS_DISABLE = 1,
    PKRU_WRITE_DISABLE = 2,
    ACCESS_RW = TRAPLINE_READ | TRAPLINE_WRITE,
    ACCESS_ALL = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
};

/* The error code of a page fault (SDM 4.7). */
enum fault_error {
    FAULT_PRESENT = 1u << 0,
    FAULT_WRITE = 1u << 1,
    FAULT_USER = 1u << 2,
    FAULT_FETCH = 1u << 4,
    FAULT_KEY = 1u << 5,
    FAULT_KNOWN = FAULT_PRESENT | FAULT_WRITE | FAULT_USER | FAULT_FETCH | FAULT_KEY,
};

static uint32_t keys_used = 1;

bool region_key_init(void)
{
    if (!(cpuid(CPUID_STRUCTURED, 0).ecx & CPUID_7_ECX_PKU))
        return false;
    write_cr4(read_cr4() | CR4_PKE);
    return true;
}

static unsigned pkru_bits(unsigned access)
{
    if (access & TRAPLINE_WRITE)
        return 0;
    return access & TRAPLINE_READ ? PKRU_WRITE_DISABLE : PKRU_ACCESS_DISABLE;
}

static void apply_key(const struct region_set *set)
{
    const uint32_t mask = (PKRU_ACCESS_DISABLE | PKRU_WRITE_DISABLE) * set->key_unit;

    write_pkru((read_pkru() & ~mask) | pkru_bits(set->access) * set->key_unit);
}

static struct region_set *set_of(const struct region *region, size_t index)
{
    struct region_set *set = region->state->sets;

    while (set && set->key != region->state->home[index])
        set = set->next;
    return set;
}

void region_key_stray(struct region *region, size_t index)
{
    const uint64_t page = region->base + index * TRAPLINE_PAGE_SIZE;
    struct region_set *set;

    if (!(page_tables_read(page) & PTE_KEY))
        return;
    set = set_of(region, index);
    set->strayed[set->strays++] = (uint32_t)index;
}

/*
 * Bring the strays back: their own rights are full again, the set's key rules. Apart, and a lean
 * handler's function, so that the usual way to it saves but the registers that it uses.
 */
__attribute__((noinline)) TRAP_LEAN_HANDLER static void gather(struct region_set *set)
{
    struct region_flush flush = region_flush_begin(set->strays);

    for (size_t i = 0; i < set->strays; i++) {
        const uint64_t page = set->region->base + set->strayed[i] * (uint64_t)TRAPLINE_PAGE_SIZE;

        region_update(page, PTE_KEY, PTE_PRESENT | PTE_WRITE | (uint64_t)set->key << PTE_KEY_SHIFT);
        region_flush_page(&flush, page);
    }
    set->strays = 0;
    region_flush_end(&flush);
}

enum page_fault_kind page_fault_of_user_page(uint64_t address, uint64_t error, uint64_t rflags)
{
    const uint64_t entry = page_tables_read_here(address & ~(TRAPLINE_PAGE_SIZE - 1ull));
    const unsigned key = (unsigned)((entry & PTE_KEY) >> PTE_KEY_SHIFT);
    const bool fetch = error & FAULT_FETCH, write = error & FAULT_WRITE;

    if (error & ~(uint64_t)FAULT_KNOWN)
        return PAGE_FAULT_EXCEPTION;
    if (!(entry & PTE_PRESENT) || (write && !(entry & PTE_WRITE)) || (fetch && (entry & PTE_NX)))
        return PAGE_FAULT_FORBIDDEN;
    if (!(error & FAULT_USER) && (error & FAULT_PRESENT) && !(error & FAULT_KEY) &&
        (fetch ? read_cr4() & CR4_SMEP : (read_cr4() & CR4_SMAP) && !(rflags & RFLAGS_AC)))
        return PAGE_FAULT_EXCEPTION;
    if (!fetch && (read_cr4() & CR4_PKE) &&
        (read_pkru() >> key * PKRU_BITS & (PKRU_ACCESS_DISABLE | (write ? PKRU_WRITE_DISABLE : 0))))
        return PAGE_FAULT_FORBIDDEN;
    return PAGE_FAULT_RETRY;
}

int region_set_prot(struct region_set *set, unsigned access)
{
    struct region *const region = set->region;

    if (region->mechanism != REGION_KEY)
        return region_set_protn(set, access);
    if ((access & ~(unsigned)ACCESS_ALL) ||
        ((access & TRAPLINE_WRITE) && !(access & TRAPLINE_READ)))
        return -TRAPLINE_EINVAL;
    if (access == TRAPLINE_EXEC)
        return -TRAPLINE_EOPNOTSUPP;
    set->access = access & ACCESS_RW;
    if (set->strays)
        gather(set);
    apply_key(set);
    return 0;
}

static int take_key(struct region_set *set)
{
    for (unsigned key = 1; key < KEYS; key++) {
        if (!(keys_used >> key & 1)) {
            keys_used |= 1u << key;
            set->key = (uint8_t)key;
            set->key_unit = 1u << key * PKRU_BITS;
            return 0;
        }
    }
    return -TRAPLINE_EAGAIN;
}

int region_set_begin(struct region_set *set)
{
    struct region *const region = set->region;
    int result;

    if (region->mechanism != REGION_KEY)
        return region_set_protn(set, region_rights(region));
    result = take_key(set);
    if (result != 0)
        return result;
    set->access = ACCESS_RW;
    apply_key(set);
    for (size_t i = 0; i < set->count; i++) {
        const size_t index = region_index(region, set->pages[i]);

        region->state->home[index] = set->key;
        set->strayed[set->strays++] = (uint32_t)index;
    }
    gather(set);
    return 0;
}

void region_set_end(struct region_set *set)
{
    struct region_flush flush = region_flush_begin(set->count);

    region_set_prot(set, region_rights(set->region));
    if (set->region->mechanism != REGION_KEY)
        return;
    for (size_t i = 0; i < set->count; i++) {
        const uint64_t page = (uint64_t)set->pages[i];

        set->region->state->home[region_index(set->region, set->pages[i])] = 0;
        region_update(page, PTE_KEY, 0);
        region_flush_page(&flush, page);
    }
    region_flush_end(&flush); /* the key may be used for other pages from now on */
    keys_used &= ~(1u << set->key);
}
