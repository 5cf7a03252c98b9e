/* Regions: making and unmaking them, and the calls that choose a mechanism's own. */
/* Some calls are made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/runtime/region.h"

#include <trapline/memory.h>
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/string.h>
#include <trapline/thread.h>
#include <trapline/vm.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/runtime.h"

enum {
    ACCESS_ALL = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
};

/* As in region_calls.asm. */
_Static_assert(offsetof(struct region, ept_pages) == 24, "REGION_EPT_PAGES");

static bool has_nx(void)
{
    return cpuid_extended_edx() & CPUID_80000001_EDX_NX;
}

int region_pt_prepare(void)
{
    int result;

    if (!has_nx())
        return -TRAPLINE_EOPNOTSUPP;
    result = page_tables_init();
    if (result == 0)
        result = region_alias_init();
    if (result == 0)
        cpu_set_page_fault_gate();
    return result;
}

/* Whether the CPU has what a mechanism needs, and the runtime's side of it is there. */
static int prepare(enum region_mechanism mechanism)
{
    if (mechanism == REGION_EPT)
        return 0;
    if (mechanism == REGION_MPROTECT || mechanism == REGION_UFFD)
        return -TRAPLINE_EOPNOTSUPP;
    /* PKRU is each vCPU's own, and there is no setting that of another. */
    if (mechanism == REGION_KEY && (region_shared || !region_key_init()))
        return -TRAPLINE_EOPNOTSUPP;
    return region_pt_prepare();
}

int region_create(struct region **region, size_t pages, size_t align,
                  enum region_mechanism mechanism)
{
    struct region *made;
    int result;

    if (pages == 0 || align == 0 || (align & (align - 1)) || mechanism >= REGION_MECHANISMS)
        return -TRAPLINE_EINVAL;
    region_lock_init();
    region_lock();
    result = prepare(mechanism);
    region_unlock();
    if (result != 0)
        return result;
    made = calloc(1, sizeof(*made) + sizeof(*made->state));
    if (!made)
        return -TRAPLINE_ENOMEM;
    made->pages = pages;
    made->mechanism = mechanism;
    made->ept_pages = mechanism == REGION_EPT ? pages : 0;
    made->state = (struct region_state *)(made + 1);
    made->base = (uint64_t)pages_alloc(pages, align);
    if (made->base == 0) {
        result = -TRAPLINE_ENOMEM;
    } else if (mechanism != REGION_EPT) {
        region_lock();
        result = region_pt_create(made);
        region_unlock();
    }
    if (result != 0) {
        if (made->base)
            pages_free((void *)made->base, pages);
        free(made);
        return result;
    }
    *region = made;
    return 0;
}

void region_destroy(struct region *region)
{
    if (region->state->sets || region->state->aliases) {
        printf("guest: region_destroy(%p): it has sets or aliases\n", (void *)region);
        abort();
    }
    if (region->mechanism != REGION_EPT) {
        region_lock();
        region_pt_destroy(region);
        region_unlock();
    } else {
        if (region->state->tracked)
            track(region_base(region), region->pages, 0);
        unprot_range(region_base(region), region->pages);
    }
    pages_free(region_base(region), region->pages);
    free(region);
}

/* Whether pages from address on are the region's or, as far as the hypervisor says, aliases. */
static int ept_check(const struct region *region, uint64_t address, size_t pages)
{
    const uint64_t index = region_index(region, (void *)address);

    if (address % TRAPLINE_PAGE_SIZE || pages == 0 ||
        pages > (UINT64_MAX - address) / TRAPLINE_PAGE_SIZE)
        return -TRAPLINE_EINVAL;
    if (address - runtime_info.alias_base < runtime_info.alias_size)
        return 0;
    return index < region->pages && pages <= region->pages - index ? 0 : -TRAPLINE_ENOENT;
}

static TRAP_LEAN_HANDLER int pt_prot(struct region *region, uint64_t address, size_t pages,
                                     unsigned access)
{
    int result;

    region_lock();
    result = region_pt_prot(region, address, pages, access);
    region_unlock();
    return result;
}

int region_prot1_slow(struct region *region, void *page, unsigned access)
{
    int result;

    if (region->mechanism != REGION_EPT)
        return pt_prot(region, (uint64_t)page, 1, access);
    result = ept_check(region, (uint64_t)page, 1);
    return result != 0 ? result : prot1(page, access);
}

int region_unprot_slow(struct region *region, void *page, size_t pages)
{
    int result;

    if (region->mechanism != REGION_EPT) {
        region_lock();
        result = region_pt_unprot(region, (uint64_t)page, pages);
        region_unlock();
        return result;
    }
    result = ept_check(region, (uint64_t)page, pages);
    return result != 0 ? result : unprot_range(page, pages);
}

/*
 * A list that lies in a region: it must be readable, and while the region's pages lose their rights
 * a copy of it is read, so that it may name its own pages. *copy: the pages to free, or NULL.
 */
static int list_borrow(const struct region *region, const void **list, size_t bytes, void **copy)
{
    const uint64_t start = (uint64_t)*list & ~(TRAPLINE_PAGE_SIZE - 1ull);
    bool inside = false;

    *copy = NULL;
    for (uint64_t page = start; bytes && page < (uint64_t)*list + bytes;
         page += TRAPLINE_PAGE_SIZE) {
        const uint64_t entry = page < PAGE_TABLES_SPAN ? page_tables_read_here(page) : 0;

        if ((entry & PTE_REGION) && !(entry & PTE_PRESENT))
            return -TRAPLINE_EFAULT;
        inside |= (entry & PTE_REGION) && region_owns(region, entry & PTE_ADDRESS);
    }
    if (!inside)
        return 0;
    *copy = pages_alloc(bytes / TRAPLINE_PAGE_SIZE + 1, 1);
    if (!*copy)
        return -TRAPLINE_ENOMEM;
    *list = memcpy(*copy, *list, bytes);
    return 0;
}

static void list_return(void *copy, size_t bytes)
{
    if (copy)
        pages_free(copy, bytes / TRAPLINE_PAGE_SIZE + 1);
}

/* Bytes of a list, or SIZE_MAX for one that cannot be in memory. */
static size_t list_bytes(size_t count, size_t entry)
{
    size_t bytes;

    return __builtin_mul_overflow(count, entry, &bytes) || bytes > ram_size() ? SIZE_MAX : bytes;
}

int region_protn_at(struct region *region, void *const *pages, size_t count, unsigned access,
                    size_t *bad)
{
    const size_t bytes = list_bytes(count, sizeof(*pages));
    const void *list = pages;
    void *copy;
    int result;

    if (bad)
        *bad = 0;
    if (bytes == SIZE_MAX)
        return -TRAPLINE_EFAULT;
    if (region->mechanism == REGION_EPT)
        return protn_at(pages, count, access, bad);
    region_lock();
    result = list_borrow(region, &list, bytes, &copy);
    if (result == 0)
        result = region_pt_protn_list(region, list, count, access, bad);
    region_unlock();
    list_return(copy, bytes);
    return result;
}

int region_protn_ranges(struct region *region, const struct trapline_range *ranges, size_t count,
                        unsigned access, size_t *bad)
{
    const size_t bytes = list_bytes(count, sizeof(*ranges));
    const void *list = ranges;
    void *copy;
    int result;

    if (bad)
        *bad = 0;
    if (bytes == SIZE_MAX)
        return -TRAPLINE_EFAULT;
    if (region->mechanism == REGION_EPT)
        return protn_ranges(ranges, count, access, bad);
    region_lock();
    result = list_borrow(region, &list, bytes, &copy);
    if (result == 0)
        result = region_pt_protn_ranges(region, list, count, access, bad);
    region_unlock();
    list_return(copy, bytes);
    return result;
}

int region_protn_range(struct region *region, void *page, size_t pages, unsigned access)
{
    const struct trapline_range range = {(uint64_t)page, pages};

    if (region->mechanism != REGION_EPT)
        return pt_prot(region, (uint64_t)page, pages, access);
    return region_protn_ranges(region, &range, 1, access, NULL);
}

/* What TRACK and DIRTY take: pages of the region's own. */
static int own_check(const struct region *region, uint64_t address, size_t pages)
{
    const int result = region->mechanism == REGION_EPT ? ept_check(region, address, pages)
                                                       : region_check(region, address, pages);

    return result == 0 && !region_owns(region, address) ? -TRAPLINE_EINVAL : result;
}

static int pt_track(struct region *region, uint64_t address, size_t pages, bool on)
{
    int result;

    region_lock();
    result = own_check(region, address, pages);
    if (result == 0)
        result = region_pt_track(region, address, pages, on);
    region_unlock();
    return result;
}

int region_track(struct region *region, void *page, size_t pages, int on)
{
    int result;

    if (region->mechanism != REGION_EPT)
        return pt_track(region, (uint64_t)page, pages, on);
    result = own_check(region, (uint64_t)page, pages);
    if (result == 0)
        result = track(page, pages, on);
    if (result == 0 && on)
        region->state->tracked = pages;
    return result;
}

long region_dirty(struct region *region, void *page, size_t pages, void **buffer, size_t capacity,
                  size_t *left)
{
    long result;

    if (region->mechanism == REGION_EPT) {
        result = own_check(region, (uint64_t)page, pages);
        return result != 0 ? result : dirty(page, pages, buffer, capacity, left);
    }
    region_lock();
    result = own_check(region, (uint64_t)page, pages);
    if (result == 0)
        result = region_pt_dirty(region, (uint64_t)page, pages, buffer, capacity, left);
    region_unlock();
    return result;
}

int region_map2_range(struct region *region, void *page, size_t pages, void *alias, unsigned access)
{
    int result;

    if (region->mechanism == REGION_EPT) {
        result = own_check(region, (uint64_t)page, pages);
        return result != 0 ? result : map2_range(page, pages, alias, access);
    }
    region_lock();
    result = own_check(region, (uint64_t)page, pages);
    if (result == 0)
        result = region_pt_map2(region, (uint64_t)page, pages, (uint64_t)alias, access);
    region_unlock();
    return result;
}

int region_unmap2_range(struct region *region, void *alias, size_t pages)
{
    int result;

    if (region->mechanism == REGION_EPT)
        return unmap2_range(alias, pages);
    region_lock();
    result = region_pt_unmap2(region, (uint64_t)alias, pages);
    region_unlock();
    return result;
}

/*
 * MULTI holds the guest's lock from the first call to the last, so that another vCPU which comes to
 * where the alias was does so when it is there again. What MAP2 would refuse is known before.
 */
static int ept_remap2(struct region *region, void *page, void *alias, unsigned access)
{
    struct trapline_call calls[] = {
        {.number = TRAPLINE_HC_UNMAP2, .argument = {(uint64_t)alias, 1}},
        {.number = TRAPLINE_HC_MAP2, .argument = {(uint64_t)page, 1, (uint64_t)alias, access}},
    };
    const int result = own_check(region, (uint64_t)page, 1);

    if (result != 0)
        return result;
    if (!(access & TRAPLINE_READ) || (access & ~(unsigned)ACCESS_ALL))
        return -TRAPLINE_EINVAL;
    return multi(calls, sizeof(calls) / sizeof(calls[0]), NULL);
}

int region_remap2(struct region *region, void *page, void *alias, unsigned access)
{
    int result;

    if (region->mechanism == REGION_EPT)
        return ept_remap2(region, page, alias, access);
    region_lock();
    result = own_check(region, (uint64_t)page, 1);
    if (result == 0)
        result = region_pt_remap2(region, (uint64_t)page, (uint64_t)alias, access);
    region_unlock();
    return result;
}

void *region_alias_window(const struct region *region)
{
    uint64_t base;
    size_t pages;

    if (region->mechanism == REGION_EPT)
        return alias_window();
    region_window(&base, &pages);
    return (void *)base;
}

size_t region_alias_window_pages(const struct region *region)
{
    uint64_t base;
    size_t pages;

    if (region->mechanism == REGION_EPT)
        return alias_window_pages();
    region_window(&base, &pages);
    return pages;
}
