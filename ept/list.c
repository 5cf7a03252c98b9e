/*
 * Protecting several ranges, or a list of pages, all or nothing: prepare, then protect.
 */
#include "ept/table.h"

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

/* Note where pages are, up to the first that has no 4 KiB leaf; returns how many. */
static __attribute__((noinline)) size_t find_slots(volatile uint64_t ***index, uint64_t limit,
                                                   const uint64_t *gpas, size_t count,
                                                   ept_slot *slots)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < count; i++) {
        uint64_t page = ept_page_number(gpas[i]);
        uint64_t *slot;

        if (page >= limit)
            return i;
        slot =
            (uint64_t *)index[page >> PAGES_1G_SHIFT][page >> PAGES_2M_SHIFT & (EPT_ENTRIES - 1)] +
            (page & (EPT_ENTRIES - 1));
        slots[i] = slot;
        if (!(*slot & ENTRY_LEAF))
            return i;
    }
    return count;
}

int ept_prepare_list(struct ept *ept, const uint64_t *gpas, size_t count, ept_slot *slots,
                     size_t *bad)
{
    for (size_t i = 0; i < count;) {
        int error;

        i += find_slots(ept->index, ept->limit_pages, gpas + i, count - i, slots + i);
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
        for (size_t i = 0; i < count; i++) {
            any |= *slots[i];
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
