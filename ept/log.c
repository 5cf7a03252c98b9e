/*
 * The log of dirty pages: where DIRTY has to look.
 *
 * The dirty flags of the leaves are the state; a bit of the log only says that a page may be dirty.
 * So a bit too many costs a look, and addresses that a CPU logged long ago, before the page was
 * reported, untracked or unmapped, do no harm. What must hold is: a tracked page that is dirty, by
 * whichever of its addresses, has its bit set, or is in the log of a CPU that was not added yet.
 */
#include "ept/table.h"

enum {
    WORD_SHIFT = 6,                                   /* pages of a word of the log */
    TABLE_WORDS = 1 << (PAGES_2M_SHIFT - WORD_SHIFT), /* words of the log of a page table */
    SUMMARY_SHIFT = PAGES_2M_SHIFT + WORD_SHIFT,      /* pages of a word of the summary */
    FEW_PAGES = 64, /* so few entries are looked at as quickly as the log */
};

static uint64_t log_words(uint64_t pages)
{
    return (pages + PAGES_2M - 1) / PAGES_2M * TABLE_WORDS;
}

uint64_t ept_log_bytes(uint64_t pages)
{
    return (log_words(pages) + (pages >> SUMMARY_SHIFT) + 1) * sizeof(uint64_t);
}

void ept_log_init(struct ept *ept, void *memory, uint64_t pages)
{
    ept->log = memory;
    ept->log_summary = ept->log + log_words(pages);
    ept->log_pages = pages;
}

/* Set a bit of a long row of bits. */
static inline void set_bit(uint64_t *bits, uint64_t bit)
{
    /* One instruction, and the memory that it changes may be anywhere in the row. */
    __asm__ volatile("btsq %1, %0" : "+m"(*bits) : "r"(bit) : "cc", "memory");
}

static inline void note(uint64_t *log, uint64_t *summary, uint64_t page)
{
    set_bit(log, page);
    set_bit(summary, page >> PAGES_2M_SHIFT);
}

void ept_log_page(struct ept *ept, uint64_t page)
{
    if (page < ept->log_pages)
        note(ept->log, ept->log_summary, page);
}

/* An address that is not of the log's pages: of an alias, if there still is one. */
static __attribute__((noinline)) void add_other(struct ept *ept, uint64_t page)
{
    if (page < ept->limit_pages && (*ept_slot_4k(ept, page) & ENTRY_IS_ALIAS))
        ept_log_page(ept, ept_alias_primary(ept, page));
}

void ept_log_add(struct ept *ept, const uint64_t *gpas, size_t count)
{
    uint64_t *log = ept->log, *summary = ept->log_summary, pages = ept->log_pages;

    ept->log_added += count;
#pragma GCC unroll 4
    for (const uint64_t *end = gpas + count; gpas != end; gpas++) {
        uint64_t page = *gpas >> EPT_PAGE_SHIFT;

        if (__builtin_expect(page < pages, 1))
            note(log, summary, page);
        else
            add_other(ept, page);
    }
}

bool ept_log_serves(const struct ept *ept, uint64_t end, uint64_t pages)
{
    /* Where nearly all pages are dirty the order of the entries is the quicker one. */
    return ept->log && ept->log_complete && end <= ept->log_pages && pages > FEW_PAGES &&
           ept->log_added < pages - pages / 4;
}

void ept_log_forget(struct ept *ept, uint64_t first, uint64_t end)
{
    end = end < ept->log_pages ? end : ept->log_pages;
    for (uint64_t page = first; page < end;) {
        uint64_t next = (page | ((1u << WORD_SHIFT) - 1)) + 1;
        uint64_t mask = ~0ull << (page & ((1u << WORD_SHIFT) - 1));

        if (next > end)
            mask &= ~0ull >> (next - end);
        ept->log[page >> WORD_SHIFT] &= ~mask;
        page = next;
    }
}

/* A page that has its bit and is not plainly dirty; whether it keeps its bit. */
static __attribute__((noinline)) bool look(struct ept *ept, struct ept_harvest *harvest,
                                           uint64_t page)
{
    volatile uint64_t *slot = ept_slot_4k(ept, page);
    uint64_t *before = harvest->next;

    if (ept->views)
        ept_follow_views(ept, page, page + 1);
    if (*slot & ENTRY_ALIASED) {
        ept_harvest_aliased(ept, harvest, slot, page);
        return harvest->next == before && ((*slot & ENTRY_D) || ept_aliases_dirty(ept, page));
    }
    if (!(*slot & ENTRY_D))
        return false;
    if (harvest->next == harvest->end) {
        harvest->remaining++;
        return true;
    }
    *harvest->next++ = page << EPT_PAGE_SHIFT;
    harvest->old |= *slot;
    entry_clear(slot, ~harvest->keep);
    return false;
}

/* The pages of one word of the log, of which only those in mask are asked for. */
static inline void harvest_word(struct ept *ept, struct ept_harvest *harvest, uint64_t *word,
                                uint64_t mask, volatile uint64_t *slots, uint64_t page)
{
    /* A leaf with one of these besides D is looked at with care. */
    const uint64_t special = ENTRY_D | ENTRY_ALIASED | (ept->views ? ENTRY_TRACKED : 0);
    uint64_t todo = *word & mask, left = *word & ~mask, clean = harvest->keep, old = 0;
    uint64_t *next = harvest->next, *end = harvest->end;

    do {
        unsigned bit = (unsigned)__builtin_ctzll(todo);
        uint64_t entry = slots[bit];

        if (__builtin_expect((entry & special) == ENTRY_D && next != end, 1)) {
            *next++ = (page + bit) << EPT_PAGE_SHIFT;
            entry_clear(&slots[bit], ~clean);
            old |= entry;
        } else {
            harvest->next = next;
            if (look(ept, harvest, page + bit))
                left |= 1ull << bit;
            next = harvest->next;
        }
        todo &= todo - 1;
    } while (todo);
    *word = left;
    harvest->next = next;
    harvest->old |= old;
}

/*
 * All pages of a page table, for all of which there is room, and no views: the common case. page:
 * the first. words, slots: of the table. A leaf that can be read and has no aliases is reported at
 * once; the flag of such a one may be cached.
 */
static __attribute__((noinline)) void harvest_whole(struct ept *ept, struct ept_harvest *harvest,
                                                    uint64_t *words, volatile uint64_t *slots,
                                                    uint64_t page)
{
    const uint64_t special = ENTRY_D | ENTRY_R | ENTRY_ALIASED;
    uint64_t *next = harvest->next;

#pragma GCC unroll 8
    for (unsigned i = 0; i < TABLE_WORDS; i++) {
        uint64_t todo = words[i];

        if (!todo)
            continue;
        words[i] = 0;
        do {
            uint64_t at = (uint64_t)__builtin_ctzll(todo);

            todo &= todo - 1;
            if (__builtin_expect((slots[(i << WORD_SHIFT) + at] & special) != (ENTRY_D | ENTRY_R),
                                 0)) {
                harvest->next = next;
                look(ept, harvest, page + (i << WORD_SHIFT) + at);
                next = harvest->next;
                continue;
            }
            *next++ = (page + (i << WORD_SHIFT) + at) << EPT_PAGE_SHIFT;
            entry_clear(&slots[(i << WORD_SHIFT) + at], ENTRY_D);
            harvest->old |= ENTRY_D | ENTRY_R;
        } while (todo);
    }
    harvest->next = next;
}

/* The pages of [first, end), which lie under one page table. */
static void harvest_table(struct ept *ept, struct ept_harvest *harvest, uint64_t first,
                          uint64_t end)
{
    uint64_t base = first & ~(uint64_t)(PAGES_2M - 1);
    uint64_t *words = &ept->log[base >> WORD_SHIFT];
    volatile uint64_t *slots = ept_page_table(ept, base);
    unsigned from = (unsigned)(first - base), to = (unsigned)(end - base);
    uint64_t any = 0;

    if (end - first == PAGES_2M && harvest->end - harvest->next >= PAGES_2M && !ept->views) {
        harvest_whole(ept, harvest, words, slots, base);
        ept->log_summary[base >> SUMMARY_SHIFT] &= ~(1ull << (base >> PAGES_2M_SHIFT & 63));
        return;
    }
    for (unsigned i = 0; i < TABLE_WORDS; i++) {
        uint64_t mask = ~0ull;

        if (!words[i])
            continue;
        if (from > i << WORD_SHIFT)
            mask = from >= (i + 1) << WORD_SHIFT ? 0 : mask << (from & 63);
        if (to < (i + 1) << WORD_SHIFT)
            mask &= to <= i << WORD_SHIFT ? 0 : ~0ull >> (-to & 63);
        if (words[i] & mask)
            harvest_word(ept, harvest, &words[i], mask, &slots[i << WORD_SHIFT],
                         base + (i << WORD_SHIFT));
        any |= words[i];
    }
    if (!any)
        ept->log_summary[base >> SUMMARY_SHIFT] &= ~(1ull << (base >> PAGES_2M_SHIFT & 63));
}

void ept_log_harvest(struct ept *ept, struct ept_harvest *harvest, uint64_t first, uint64_t end)
{
    for (uint64_t page = first; page < end;) {
        uint64_t tables = ept->log_summary[page >> SUMMARY_SHIFT] >> (page >> PAGES_2M_SHIFT & 63);
        uint64_t next;

        if (!tables) {
            page = (page | ((1ull << SUMMARY_SHIFT) - 1)) + 1;
            continue;
        }
        if (!(tables & 1))
            page = ((page >> PAGES_2M_SHIFT) + (unsigned)__builtin_ctzll(tables)) << PAGES_2M_SHIFT;
        if (page >= end)
            break;
        next = page + ept_run(page, end, 2);
        harvest_table(ept, harvest, page, next);
        page = next;
    }
}
