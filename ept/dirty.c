/*
 * Dirty tracking: which pages changed.
 *
 * Tracked pages are 4 KiB leaves with the TRACKED flag. Where the processor sets dirty flags (SDM
 * 28.3.5) they are the state. Elsewhere bit 9 is ignored by the processor and used the same way,
 * and a page is write-protected in hardware until the first write has set it.
 *
 * Leaves that are not tracked are dirty from the beginning, so that a CPU that logs the pages whose
 * dirty flags it sets (28.3.6) logs only tracked ones. The log says where to look, log.c.
 */
#include "ept/table.h"

/* The first interval that ends after page. */
static unsigned interval_find(const struct ept *ept, uint64_t page)
{
    unsigned i = 0;

    while (i < ept->tracked_count && ept->tracked[i].end <= page)
        i++;
    return i;
}

static bool interval_covers(const struct ept *ept, uint64_t first, uint64_t end)
{
    unsigned i = interval_find(ept, first);

    return i < ept->tracked_count && ept->tracked[i].first <= first && ept->tracked[i].end >= end;
}

/* Replace count intervals from at on by the given ones; false if there would be too many. */
static bool intervals_replace(struct ept *ept, unsigned at, unsigned count,
                              const struct ept_interval *with, unsigned with_count)
{
    unsigned total = ept->tracked_count - count + with_count;

    if (total > EPT_TRACKED_MAX)
        return false;
    __builtin_memmove(&ept->tracked[at + with_count], &ept->tracked[at + count],
                      (ept->tracked_count - at - count) * sizeof(ept->tracked[0]));
    for (unsigned i = 0; i < with_count; i++)
        ept->tracked[at + i] = with[i];
    ept->tracked_count = total;
    return true;
}

static bool intervals_add(struct ept *ept, uint64_t first, uint64_t end)
{
    struct ept_interval whole = {first, end};
    unsigned at = interval_find(ept, first ? first - 1 : 0);
    unsigned count = 0;

    while (at + count < ept->tracked_count && ept->tracked[at + count].first <= end) {
        const struct ept_interval *one = &ept->tracked[at + count];

        whole.first = one->first < whole.first ? one->first : whole.first;
        whole.end = one->end > whole.end ? one->end : whole.end;
        count++;
    }
    return intervals_replace(ept, at, count, &whole, 1);
}

static bool intervals_remove(struct ept *ept, uint64_t first, uint64_t end)
{
    struct ept_interval left[2];
    unsigned left_count = 0;
    unsigned at = interval_find(ept, first);
    unsigned count = 0;

    while (at + count < ept->tracked_count && ept->tracked[at + count].first < end) {
        const struct ept_interval *one = &ept->tracked[at + count];

        if (one->first < first)
            left[left_count++] = (struct ept_interval){one->first, first};
        if (one->end > end)
            left[left_count++] = (struct ept_interval){end, one->end};
        count++;
    }
    return intervals_replace(ept, at, count, left, left_count);
}

/*
 * A cached translation that is dirty, or allows writes, would hide the next write: what a page owes
 * that is clean from now on. old: its entry.
 */
static inline void owe_clean(struct ept *ept, uint64_t old)
{
    if (ept->write_protects ? old & ENTRY_W : (old & ENTRY_D) && (old & ENTRY_HARDWARE))
        ept->flush_owed = true;
}

/* The bits that a clean page does not have. */
static inline uint64_t clean_bits(const struct ept *ept)
{
    return ENTRY_D | (ept->write_protects ? ENTRY_W : 0);
}

void ept_mark_slot(struct ept *ept, volatile uint64_t *slot, uint64_t page)
{
    if (ept->log)
        ept_log_page(ept, *slot & ENTRY_IS_ALIAS ? ept_alias_primary(ept, page) : page);
    entry_raise(slot, ENTRY_D | (ept->write_protects && (*slot & ENTRY_SOFT_W) ? ENTRY_W : 0));
}

/* Begin or end tracking of one entry. */
static void track_slot(struct ept *ept, volatile uint64_t *slot, bool on)
{
    uint64_t old = *slot;

    if (!!(old & ENTRY_TRACKED) == on)
        return;
    if (on) {
        owe_clean(ept, entry_update(slot, clean_bits(ept), ENTRY_TRACKED));
    } else {
        entry_change(
            slot, old,
            entry_with_access(ept, (old & ~ENTRY_TRACKED) | ept->untracked, old & ENTRY_ACCESS, 1));
    }
}

/*
 * With views: have something done for the pages of [first, end) and for their aliases. Where CPUs
 * set dirty flags, before they are looked at: gather them from the views. Elsewhere, after a
 * change: withhold writes there as well.
 */
static void for_views(struct ept *ept, uint64_t first, uint64_t end,
                      bool (*act)(struct ept *ept, uint64_t page, uint64_t pages))
{
    act(ept, first, end - first);
    for (uint64_t page = first; page < end; page++) {
        if (!(*ept_slot_4k(ept, page) & ENTRY_ALIASED))
            continue;
        for (uint32_t alias = ept_alias_first(ept, page); alias != EPT_ALIAS_END;
             alias = ept_alias_next(ept, alias))
            act(ept, alias, 1);
    }
}

static void track_page(struct ept *ept, uint64_t page, bool on)
{
    volatile uint64_t *slot = ept_slot_4k(ept, page);

    track_slot(ept, slot, on);
    if (*slot & ENTRY_ALIASED) {
        for (uint32_t alias = ept_alias_first(ept, page); alias != EPT_ALIAS_END;
             alias = ept_alias_next(ept, alias))
            track_slot(ept, ept_slot_4k(ept, alias), on);
    }
}

static int track_on(struct ept *ept, uint64_t first, uint64_t end)
{
    while (ept_reserve(ept, ept_need_4k(ept, first, end))) {
        if (!ept_reclaim(ept))
            return EPT_ENOMEM;
    }
    if (!intervals_add(ept, first, end))
        return EPT_ENOMEM;
    for (uint64_t page = first; page < end; page++) {
        ept_split_to_4k(ept, page);
        track_page(ept, page, true);
    }
    if (ept->views)
        for_views(ept, first, end, ept_views_sync);
    return EPT_OK;
}

static int track_off(struct ept *ept, uint64_t first, uint64_t end)
{
    if (!intervals_remove(ept, first, end))
        return EPT_ENOMEM;
    for (uint64_t page = first; page < end; page++) {
        if (ept_has_table(ept, page))
            track_page(ept, page, false);
    }
    if (ept->views)
        for_views(ept, first, end, ept_views_sync);
    for (uint64_t page = first; page < end; page += ept_run(page, end, 2)) {
        ept_merge_uniform(ept, page);
        ept_settle(ept, page, true);
    }
    return EPT_OK;
}

int ept_track(struct ept *ept, uint64_t gpa, uint64_t pages, bool on)
{
    uint64_t first;
    uint64_t end;
    int error = ept_check_range(ept, gpa, pages, &first);

    if (error)
        return error;
    end = first + pages;
    if (!ept_all_mapped(ept, first, end))
        return EPT_ENOENT;
    for (uint64_t page = first; page < end; page += ept_run(page, end, 2)) {
        if (ept_has_table(ept, page) &&
            (ept_sum(ept_slot_4k(ept, page), ept_run(page, end, 2)).any & ENTRY_IS_ALIAS))
            return EPT_EINVAL;
    }
    return on ? track_on(ept, first, end) : track_off(ept, first, end);
}

bool ept_aliases_dirty(const struct ept *ept, uint64_t page)
{
    for (uint32_t alias = ept_alias_first(ept, page); alias != EPT_ALIAS_END;
         alias = ept_alias_next(ept, alias)) {
        if (*ept_slot_4k(ept, alias) & ENTRY_D)
            return true;
    }
    return false;
}

/* Clean one entry, if it is dirty. */
static void harvest_slot(struct ept_harvest *harvest, volatile uint64_t *slot)
{
    uint64_t entry = *slot;

    if (entry & ENTRY_D) {
        entry_clear(slot, ~harvest->keep);
        harvest->old |= entry;
    }
}

/* A page with aliases: report it and clean it if any of its addresses is dirty and there is room.
 */
void ept_harvest_aliased(struct ept *ept, struct ept_harvest *harvest, volatile uint64_t *slot,
                         uint64_t page)
{
    if (!(*slot & ENTRY_D) && !ept_aliases_dirty(ept, page))
        return;
    if (harvest->next == harvest->end) {
        harvest->remaining++;
        return;
    }
    *harvest->next++ = page << EPT_PAGE_SHIFT;
    harvest_slot(harvest, slot);
    for (uint32_t alias = ept_alias_first(ept, page); alias != EPT_ALIAS_END;
         alias = ept_alias_next(ept, alias))
        harvest_slot(harvest, ept_slot_4k(ept, alias));
}

/* A dirty page that there is no room for, or one with aliases. */
static __attribute__((noinline)) void harvest_slow(struct ept *ept, struct ept_harvest *harvest,
                                                   volatile uint64_t *slot, uint64_t page)
{
    if (*slot & ENTRY_ALIASED)
        ept_harvest_aliased(ept, harvest, slot, page);
    else
        harvest->remaining++;
}

/* count entries from p on; gpa: the address of the first. */
static inline __attribute__((always_inline)) void harvest_group(struct ept *ept,
                                                                struct ept_harvest *harvest,
                                                                const uint64_t *p, uint64_t gpa,
                                                                unsigned count)
{
    uint64_t keep = harvest->keep;
    uint64_t *next = harvest->next;
    uint64_t *end = harvest->end;
    uint64_t old = 0;

#pragma GCC unroll 16
    for (unsigned i = 0; i < count; i++, gpa += EPT_PAGE_BYTES) {
        volatile uint64_t *slot = (volatile uint64_t *)p + i;
        uint64_t entry = p[i];

        if (!(entry & (ENTRY_D | ENTRY_ALIASED)))
            continue;
        if (__builtin_expect((entry & ENTRY_ALIASED) || next == end, 0)) {
            harvest->next = next;
            harvest_slow(ept, harvest, slot, gpa >> EPT_PAGE_SHIFT);
            next = harvest->next;
            continue;
        }
        *next++ = gpa;
        entry_clear(slot, ~keep);
        old |= entry;
    }
    harvest->next = next;
    harvest->old |= old;
}

/* The pages of one page table, from page on: groups of 16 that have nothing to say go quickly. */
static void harvest_run(struct ept *ept, struct ept_harvest *harvest, uint64_t page, uint64_t count)
{
    const uint64_t mask = ENTRY_D | ENTRY_ALIASED;
    /* Plain loads, so that they can be operands of the OR. */
    const uint64_t *p = (const uint64_t *)ept_slot_4k(ept, page);
    const uint64_t *start = p;
    const uint64_t *stop = p + count / 16 * 16;

    __asm__ volatile("" ::: "memory");
    for (; p != stop; p += 16) {
        if (!((p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7] | p[8] | p[9] | p[10] | p[11] |
               p[12] | p[13] | p[14] | p[15]) &
              mask))
            continue;
        /* Not to be kept in registers from the OR on: most groups stop there. */
        __asm__ volatile("" ::: "memory");
        harvest_group(ept, harvest, p, (page + (uint64_t)(p - start)) << EPT_PAGE_SHIFT, 16);
    }
    for (stop = start + count; p != stop; p++)
        harvest_group(ept, harvest, p, (page + (uint64_t)(p - start)) << EPT_PAGE_SHIFT, 1);
}

void ept_follow_views(struct ept *ept, uint64_t first, uint64_t end)
{
    for_views(ept, first, end, ept->write_protects ? ept_views_sync : ept_views_gather);
}

int64_t ept_dirty(struct ept *ept, uint64_t gpa, uint64_t pages, uint64_t *buffer,
                  uint64_t capacity, uint64_t *remaining)
{
    struct ept_harvest harvest = {
        .next = buffer, .end = buffer + capacity, .keep = ~clean_bits(ept)};
    uint64_t first;
    uint64_t end;
    int error = ept_check_range(ept, gpa, pages, &first);

    if (error)
        return error;
    end = first + pages;
    if (!interval_covers(ept, first, end))
        return EPT_EINVAL;
    if (ept_log_serves(ept, end, pages)) {
        ept_log_harvest(ept, &harvest, first, end);
    } else {
        if (ept->views && !ept->write_protects)
            ept_follow_views(ept, first, end);
        for (uint64_t page = first; page < end; page += ept_run(page, end, 2))
            harvest_run(ept, &harvest, page, ept_run(page, end, 2));
        if (ept->log && !harvest.remaining)
            ept_log_forget(ept, first, end);
    }
    owe_clean(ept, harvest.old);
    if (ept->views && ept->write_protects)
        ept_follow_views(ept, first, end);
    ept->log_added = 0;
    *remaining = harvest.remaining;
    return harvest.next - buffer;
}

void ept_mark_dirty(struct ept *ept, uint64_t gpa, uint64_t bytes)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;
    uint64_t end;

    if (!bytes || gpa >= ept->limit || bytes > ept->limit - gpa)
        return;
    end = (gpa + bytes - 1) / EPT_PAGE_BYTES + 1;
    for (; page < end; page++) {
        volatile uint64_t *slot = ept_slot_4k(ept, page);

        if (*slot & ENTRY_TRACKED) {
            ept_mark_slot(ept, slot, page);
            ept_views_changed(ept, page, 1);
        }
    }
}
