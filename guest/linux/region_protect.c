/* PROT1, PROTN and UNPROT on Linux. */
#include "guest/linux/region.h"

#include <string.h>
#include <sys/mman.h>

#include <trapline/pages.h>

#include "guest/common/statistics.h"
#include "guest/linux/linux.h"

/* The pages of a call: sorted addresses, or ranges. */
struct selection {
    const uint64_t *pages;
    const struct trapline_range *ranges;
    size_t count;
};

/* A copy of the list of a call: what it lies in may lose its rights by the call. */
static struct {
    void *memory;
    size_t bytes;
} scratch;

static bool scratch_grow(size_t bytes)
{
    void *got;

    if (bytes <= scratch.bytes)
        return true;
    bytes = (bytes + TRAPLINE_PAGE_SIZE - 1) & ~(TRAPLINE_PAGE_SIZE - 1ull);
    got = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED)
        return false;
    if (scratch.memory)
        munmap(scratch.memory, scratch.bytes);
    scratch.memory = got;
    scratch.bytes = bytes;
    return true;
}

/* The run of pages at *at, which moves on; false at the end. */
static bool next_run(const struct selection *selection, size_t *at, struct trapline_range *run)
{
    if (*at == selection->count)
        return false;
    if (selection->ranges) {
        *run = selection->ranges[(*at)++];
        return true;
    }
    *run = (struct trapline_range){selection->pages[(*at)++], 1};
    while (*at < selection->count) {
        const uint64_t end = run->page + run->pages * TRAPLINE_PAGE_SIZE;
        const uint64_t next = selection->pages[*at];

        if (next > end)
            break;
        run->pages += next == end; /* else it is named twice */
        (*at)++;
    }
    return true;
}

/* Note what may be done, to go back to it; then change it. */
static void begin(struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        slots[i].before = slots[i].access;
}

static void change(struct slot *slots, size_t count, unsigned access)
{
    for (size_t i = 0; i < count; i++)
        slots[i].access = (uint8_t)(access & slots[i].full);
}

static void go_back(struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        slots[i].access = slots[i].before;
}

/* Set the access of pages that were checked: of all, or of none when the kernel refuses. */
static int set_access(struct region *region, const struct selection *selection, unsigned access)
{
    struct slot *const slots = region->state->slots;
    struct trapline_range run;
    int result = 0;

    for (size_t at = 0; next_run(selection, &at, &run);)
        begin(&slots[region_slot(region, run.page)], run.pages);
    for (size_t at = 0; result == 0 && next_run(selection, &at, &run);) {
        change(&slots[region_slot(region, run.page)], run.pages, access);
        result = region_apply(region, region_slot(region, run.page), run.pages);
    }
    if (result != 0) {
        for (size_t at = 0; next_run(selection, &at, &run);)
            go_back(&slots[region_slot(region, run.page)], run.pages);
        for (size_t at = 0; next_run(selection, &at, &run);)
            region_apply(region, region_slot(region, run.page), run.pages);
    }
    protection_changed();
    return result;
}

static int set_range(struct region *region, void *page, size_t pages, unsigned access)
{
    const struct trapline_range range = {(uint64_t)page, pages};
    const struct selection selection = {.ranges = &range, .count = 1};
    int result;

    region_lock();
    result = region_check(region, (uint64_t)page, pages);
    if (result == 0)
        result = set_access(region, &selection, access);
    region_unlock();
    return result;
}

int region_protn_range(struct region *region, void *page, size_t pages, unsigned access)
{
    const int result = region_check_access(access);

    return result != 0 ? result : set_range(region, page, pages, access);
}

int region_prot1_slow(struct region *region, void *page, unsigned access)
{
    return region_protn_range(region, page, 1, access);
}

int region_unprot_slow(struct region *region, void *page, size_t pages)
{
    return set_range(region, page, pages, ACCESS_ALL);
}

/* Check a list and copy it. */
static int take_list(const void *list, size_t count, size_t entry, unsigned access)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, entry, &bytes) || bytes > ram_size())
        return -TRAPLINE_EFAULT;
    if ((uint64_t)list % sizeof(uint64_t))
        return -TRAPLINE_EINVAL;
    if (!region_may((uint64_t)list, bytes, TRAPLINE_READ))
        return -TRAPLINE_EFAULT;
    if (!scratch_grow(bytes))
        return -TRAPLINE_ENOMEM;
    if (bytes)
        memcpy(scratch.memory, list, bytes);
    return region_check_access(access);
}

static bool is_sorted(const uint64_t *values, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (values[i - 1] > values[i])
            return false;
    return true;
}

static int protn_list(struct region *region, void *const *pages, size_t count, unsigned access,
                      size_t *bad)
{
    int result = take_list(pages, count, sizeof(*pages), access);
    uint64_t *const list = scratch.memory;
    const struct selection selection = {.pages = list, .count = count};

    for (size_t i = 0; i < count && result == 0; i++) {
        result = region_check(region, list[i], 1);
        if (result != 0)
            *bad = i;
    }
    if (result != 0)
        return result;
    if (!is_sorted(list, count))
        sort_values(list, count);
    return set_access(region, &selection, access);
}

static int protn_ranges(struct region *region, const struct trapline_range *ranges, size_t count,
                        unsigned access, size_t *bad)
{
    int result = take_list(ranges, count, sizeof(*ranges), access);
    const struct trapline_range *const list = scratch.memory;
    const struct selection selection = {.ranges = list, .count = count};

    for (size_t i = 0; i < count && result == 0; i++) {
        result = region_check(region, list[i].page, list[i].pages);
        if (result != 0)
            *bad = i;
    }
    return result != 0 ? result : set_access(region, &selection, access);
}

int region_protn_at(struct region *region, void *const *pages, size_t count, unsigned access,
                    size_t *bad)
{
    size_t unwanted;
    int result;

    bad = bad ? bad : &unwanted;
    *bad = 0;
    region_lock();
    result = protn_list(region, pages, count, access, bad);
    region_unlock();
    return result;
}

int region_protn_ranges(struct region *region, const struct trapline_range *ranges, size_t count,
                        unsigned access, size_t *bad)
{
    size_t unwanted;
    int result;

    bad = bad ? bad : &unwanted;
    *bad = 0;
    region_lock();
    result = protn_ranges(region, ranges, count, access, bad);
    region_unlock();
    return result;
}

int region_set_begin(struct region_set *set)
{
    return region_set_protn(set, region_rights(set->region));
}

void region_set_end(struct region_set *set)
{
    region_set_protn(set, region_rights(set->region));
}

int region_set_prot(struct region_set *set, unsigned access)
{
    return region_set_protn(set, access);
}
