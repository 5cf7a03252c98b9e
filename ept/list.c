/*
 * Protecting several ranges, or a list of pages, all or nothing: prepare, then protect.
 */
#include "ept/table.h"

enum {
    LIST_STEP = 4, /* pages that find_slots() takes at a time */
};

int ept_prepare(struct ept *ept, uint64_t gpa, uint64_t pages)
{
    uint64_t first;
    uint64_t end;
    unsigned need;
    int error = ept_check_range(ept, gpa, pages, &first);

    if (error)
        return error;
    end = first + pages;
    if (!ept_all_mapped(ept, first, end))
        return EPT_ENOENT;
    need = ept_edges_need(ept, first, end, EDGES_ALWAYS);
    if (!need)
        return EPT_OK;
    error = ept_reserve(ept, need);
    if (error)
        return error;
    ept_interval_extend(&ept->prepared, first, end);
    ept_edges_split(ept, first, end, EDGES_ALWAYS);
    return EPT_OK;
}

/* Part of what lies under one page directory. */
struct stretch {
    volatile uint64_t **tables;
    uint64_t base; /* its first page */
    uint64_t room; /* pages from there on that are below the limit */
};

/* Note where a page is; false if it is not in the stretch, or has no 4 KiB leaf. */
static inline bool find_slot(const struct stretch *s, uint64_t gpa, ept_slot *slot)
{
    uint64_t at = ept_page_number(gpa) - s->base;

    if (at >= s->room)
        return false;
    *slot = &s->tables[at >> PAGES_2M_SHIFT][at & (EPT_ENTRIES - 1)];
    return *(const uint64_t *)*slot & ENTRY_LEAF;
}

/* Note where pages are, up to the first that has no 4 KiB leaf; returns how many. */
static __attribute__((noinline)) size_t find_slots(const struct ept *ept, const uint64_t *gpas,
                                                   size_t count, ept_slot *slots)
{
    size_t i = 0;

    while (i < count) {
        uint64_t page = ept_page_number(gpas[i]);
        size_t before = i;
        struct stretch s;

        if (page >= ept->limit_pages)
            break;
        s.base = page & ~(uint64_t)(PAGES_1G - 1);
        s.tables = ept->index[page >> PAGES_1G_SHIFT];
        s.room = ept->limit_pages - s.base;
        if (s.room > PAGES_1G)
            s.room = PAGES_1G;
        for (; count - i >= LIST_STEP; i += LIST_STEP) {
            if (!find_slot(&s, gpas[i], &slots[i]) || !find_slot(&s, gpas[i + 1], &slots[i + 1]) ||
                !find_slot(&s, gpas[i + 2], &slots[i + 2]) ||
                !find_slot(&s, gpas[i + 3], &slots[i + 3]))
                break;
        }
        while (i < count && find_slot(&s, gpas[i], &slots[i]))
            i++;
        if (i == before)
            break;
    }
    return i;
}

int ept_prepare_list(struct ept *ept, const uint64_t *gpas, size_t count, ept_slot *slots,
                     size_t *bad)
{
    for (size_t i = 0; i < count;) {
        int error;

        i += find_slots(ept, gpas + i, count - i, slots + i);
        if (i == count)
            break;
        error = ept_prepare(ept, gpas[i], 1);
        if (error) {
            *bad = i;
            return error;
        }
    }
    return EPT_OK;
}

void ept_protect_list(struct ept *ept, const uint64_t *gpas, const ept_slot *slots, size_t count,
                      unsigned access)
{
    uint64_t need = entry_access_bits(access);
    uint64_t drop = ept->drop[access];
    uint64_t any = 0;

    if (!need) {
#pragma GCC unroll 8
        for (size_t i = 0; i < count; i++) {
            any |= *(const uint64_t *)slots[i]; /* an operand: a flag set meanwhile may be missed */
            entry_clear(slots[i], drop);
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            uint64_t old = *slots[i];

            /* Some right may have to be raised, or the CPU is told nothing new: the long way. */
            if ((old & need) != need || !(old & drop & ENTRY_HARDWARE)) {
                ept_protect(ept, gpas[i], 1, access);
                continue;
            }
            any |= old;
            entry_clear(slots[i], drop);
        }
    }
    if (any & drop & ENTRY_HARDWARE)
        ept->flush_owed = true;
    for (size_t i = 0; ept->views && i < count; i++)
        ept_views_sync(ept, gpas[i] >> EPT_PAGE_SHIFT, 1);
}
