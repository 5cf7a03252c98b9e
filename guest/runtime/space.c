/* Spaces: the calls of trapline/space.h, and what follows when space 0 changes. */
/* Some calls are made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include <trapline/space.h>

#include <trapline/interrupt.h>
#include <trapline/thread.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/region.h"
#include "guest/runtime/space.h"
#include "guest/runtime/space_tables.h"
#include "guest/runtime/vcpu.h"

_Static_assert(SPACE_MAX < 64, "a bit for each space in space_stale");

uint64_t space_cr3[SPACE_MAX + 1];
bool space_tagged, space_marks;
uint32_t spaces_made;
unsigned space_last;

void space_init(void)
{
    space_cr3[0] = read_cr3();
    for (unsigned space = 1; space <= SPACE_MAX; space++)
        space_cr3[space] = SPACE_CR3_NONE;
    space_tagged = cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_PCID;
    if (space_tagged) {
        space_cr3[0] |= SPACE_CR3_KEEP;
        space_marks = !(cpuid(CPUID_STRUCTURED, 0).ebx & CPUID_7_EBX_INVPCID);
    }
}

/* PCIDs can be switched on while the current one is 0 (SDM 4.10.1). */
void space_enter_vcpu(void)
{
    write_cr3(space_cr3[0] & SPACE_CR3_ROOT);
    if (space_tagged)
        write_cr4(read_cr4() | CR4_PCIDE);
}

void space_switch_marked(unsigned space)
{
    const bool interrupts = interrupts_save();

    write_cr3(space <= SPACE_MAX ? space_take_mark(space) : SPACE_CR3_NONE);
    vcpu_self()->space = space;
    interrupts_restore(interrupts);
}

uint64_t space_entry_here(uint64_t address)
{
    const uint64_t *const leaf = space_tables_leaf(table_at(read_cr3()), address);

    return leaf ? __atomic_load_n(leaf, __ATOMIC_RELAXED) : page_tables_read(address);
}

/* Writes by an alias that leads elsewhere now are its old page's. */
static inline void keep_dirty(uint64_t old, uint64_t now)
{
    const uint64_t written = PTE_TRACKED | PTE_DIRTY;

    if (((old ^ now) & PTE_ADDRESS) && (old & written) == written)
        __atomic_or_fetch(page_tables_entry(old & PTE_ADDRESS), PTE_DIRTY, __ATOMIC_SEQ_CST);
}

/* Set what is denied of a page and have its own entry follow. Returns whether it lost a right. */
static inline bool derive_page(uint64_t *entry, uint64_t address, uint64_t clear, uint64_t set)
{
    uint64_t now;
    const uint64_t old = space_tables_derive(entry, address, clear, set, &now);

    keep_dirty(old, now);
    return region_lowers(old, now);
}

/* The same of pages that may have no own entries, which then deny nothing. */
static bool derive_pages(uint64_t *root, uint64_t address, size_t pages, uint64_t clear,
                         uint64_t set)
{
    bool lowered = false;

    while (pages > 0) {
        uint64_t *const leaf = space_tables_leaf(root, address);
        const size_t in_chunk = space_tables_chunk(address, pages);

        for (size_t i = 0; leaf && i < in_chunk; i++)
            lowered |= derive_page(&leaf[i], address + i * TRAPLINE_PAGE_SIZE, clear, set);
        address += in_chunk * TRAPLINE_PAGE_SIZE;
        pages -= in_chunk;
    }
    return lowered;
}

/* The usual case, in short. */
static inline bool derive(uint64_t *root, uint64_t address, size_t pages, uint64_t clear,
                          uint64_t set)
{
    uint64_t *leaf;

    if (pages != 1)
        return derive_pages(root, address, pages, clear, set);
    leaf = space_tables_leaf(root, address);
    return leaf && derive_page(leaf, address, clear, set);
}

void space_follow_each(uint64_t address, size_t pages)
{
    for (unsigned space = 1; space <= space_last; space++)
        if (space_root(space))
            derive(space_root(space), address, pages, 0, 0);
}

void space_forget_pages(uint64_t address, size_t pages)
{
    for (unsigned space = 1; space <= space_last; space++)
        if (space_root(space))
            derive(space_root(space), address, pages, PTE_DENIED, 0);
}

void space_follow_tables(void)
{
    for (unsigned space = 1; space <= space_last; space++)
        if (space_root(space))
            space_tables_follow(space_root(space));
}

void space_collect_dirty(void)
{
    for (unsigned space = 1; space <= space_last; space++)
        if (space_root(space))
            space_tables_collect(space_root(space));
}

/* A number that is free; greater than SPACE_MAX: there is none. */
static unsigned free_number(void)
{
    unsigned space = 1;

    while (space <= SPACE_MAX && space_root(space))
        space++;
    return space;
}

static int create(void)
{
    const unsigned space = free_number();
    uint64_t *root;

    if (space > SPACE_MAX)
        return -TRAPLINE_EAGAIN;
    root = space_tables_create(space);
    if (!root)
        return -TRAPLINE_ENOMEM;
    space_cr3[space] = (uint64_t)root | (space_tagged ? space | SPACE_CR3_KEEP : 0);
    if (space > space_last)
        space_last = space;
    if (spaces_made++ == 0)
        region_pt_inline(false);
    /* An earlier space of this number may have left translations. */
    space_flush(space);
    region_flush_others();
    return (int)space;
}

int space_create(void)
{
    int result;

    region_lock_init();
    region_lock();
    result = region_pt_prepare();
    if (result == 0)
        result = create();
    region_unlock();
    return result;
}

static int check_space(unsigned space)
{
    if (space == 0 || space > SPACE_MAX)
        return -TRAPLINE_EINVAL;
    return space_root(space) ? 0 : -TRAPLINE_ENOENT;
}

static bool in_use(unsigned space)
{
    for (unsigned i = 0; i < vcpu_count(); i++)
        if (__atomic_load_n(&vcpu_local(i)->space, __ATOMIC_ACQUIRE) == space)
            return true;
    return false;
}

/* What is cached of the space's tables is used by nobody until its number is that of a new one. */
static int destroy(unsigned space)
{
    uint64_t *const root = space_root(space);

    if (in_use(space))
        return -TRAPLINE_EAGAIN;
    space_cr3[space] = SPACE_CR3_NONE;
    while (space_last > 0 && !space_root(space_last))
        space_last--;
    if (--spaces_made == 0)
        region_pt_inline(true);
    /* Writes that were made in it are still to be reported. */
    space_tables_collect(root);
    space_tables_destroy(root);
    return 0;
}

int space_destroy(unsigned space)
{
    int result;

    region_lock();
    result = check_space(space);
    if (result == 0)
        result = destroy(space);
    region_unlock();
    return result;
}

static uint64_t denied(unsigned access)
{
    return (access & TRAPLINE_READ ? 0 : PTE_DENY_READ) |
           (access & TRAPLINE_WRITE ? 0 : PTE_DENY_WRITE) |
           (access & TRAPLINE_EXEC ? 0 : PTE_DENY_EXEC);
}

/* The usual case, in short: a page that has an entry of its own needs no tables. */
static int cover(uint64_t *root, uint64_t address, size_t pages, bool *made)
{
    return pages == 1 && space_tables_leaf(root, address)
               ? 0
               : space_tables_cover(root, address, pages, made);
}

static int prot(unsigned space, uint64_t address, size_t pages, unsigned access)
{
    uint64_t *const root = space_root(space);
    const uint64_t set = denied(access);
    bool made = false, lowered;
    int result = set ? cover(root, address, pages, &made) : 0;

    lowered = result == 0 && derive(root, address, pages, PTE_DENIED, set);
    /* Nothing may be cached of the way through tables that are shared no longer. */
    if (made)
        space_flush(space);
    else if (lowered)
        space_flush_pages(space, address, pages);
    if (made || lowered)
        region_flush_others();
    return result;
}

int space_prot(unsigned space, struct region *region, void *page, size_t pages, unsigned access)
{
    int result;

    region_lock();
    result = check_space(space);
    if (result == 0 && region->mechanism != REGION_PT)
        result = -TRAPLINE_EOPNOTSUPP;
    if (result == 0)
        result = region_check_access(access);
    if (result == 0 && !region_owns_pages(region, (uint64_t)page, pages))
        result = region_check(region, (uint64_t)page, pages);
    if (result == 0)
        result = prot(space, (uint64_t)page, pages, access);
    region_unlock();
    return result;
}
