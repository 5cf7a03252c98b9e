#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sanitizer/asan_interface.h>

#include "ept/view_table.h"
#include "ept_world.h"

/* The processor's view, written down again from the SDM's tables. */
#define HW_RIGHTS   7ull
#define HW_LEAF     (1ull << 7)
#define HW_DIRTY    (1ull << 9)
#define HW_ADDRESS  0x000ffffffffff000ull
#define HW_RESERVED (0xfull << 3) /* bits 6:3 of an entry that references a table */
#define UNUSED_BITS (1ull << 10 | 1ull << 11 | 1ull << 57 | 1ull << 58 | 1ull << 60 | 1ull << 61)

enum {
    STORES_MAX = 1 << 18
};

static struct world the_world;
struct world *const world = &the_world;

static uint8_t memory[WORLD_PAGES][PAGE] __attribute__((aligned(4096)));
static bool used[WORLD_PAGES];
static bool limbo[WORLD_PAGES];
static uint64_t limbo_sum[WORLD_PAGES];
static unsigned limbo_list[WORLD_PAGES];
static unsigned limbo_count;
static unsigned next_free;
static uint64_t random_state;
static bool closing;

uint8_t *world_memory(void)
{
    return &memory[0][0];
}

void world_snapshot(uint8_t *to)
{
    for (unsigned i = 0; i < WORLD_PAGES; i++) {
        if (used[i])
            memcpy(to + (size_t)i * PAGE, memory[i], PAGE);
    }
}

void world_seed(uint64_t seed)
{
    random_state = seed;
}

uint64_t world_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static unsigned page_index(uint64_t phys)
{
    uint64_t index = (phys - WORLD_PHYS_BASE) / PAGE;

    assert_true(phys >= WORLD_PHYS_BASE && index < WORLD_PAGES);
    return (unsigned)index;
}

static uint64_t world_alloc(void *ctx)
{
    (void)ctx;
    the_world.allocations++;
    if (the_world.in_use >= the_world.budget || the_world.allocations == the_world.fail_at ||
        (the_world.fail_on && the_world.fail_at && the_world.allocations > the_world.fail_at)) {
        the_world.failures++;
        return 0;
    }
    for (unsigned i = 0; i < WORLD_PAGES; i++) {
        unsigned at = (next_free + i) % WORLD_PAGES;

        if (!used[at]) {
            next_free = at + 1;
            used[at] = true;
            the_world.in_use++;
            ASAN_UNPOISON_MEMORY_REGION(memory[at], PAGE);
            memset(memory[at], 0xa5, PAGE);
            return WORLD_PHYS_BASE + (uint64_t)at * PAGE;
        }
    }
    fail_msg("the world is too small");
    return 0;
}

static void world_free(void *ctx, uint64_t page)
{
    unsigned at = page_index(page);

    (void)ctx;
    assert_int_equal(page % PAGE, 0);
    assert_true(used[at]);
    assert_false(limbo[at]);
    used[at] = false;
    the_world.in_use--;
    ASAN_POISON_MEMORY_REGION(memory[at], PAGE);
}

static uint64_t page_sum(unsigned at)
{
    const uint64_t *words = (const uint64_t *)memory[at];
    uint64_t sum = 0;

    for (unsigned i = 0; i < PAGE / 8; i++)
        sum = (sum ^ words[i]) * 0x100000001b3ull;
    return sum;
}

void world_flush(void)
{
    for (unsigned i = 0; i < limbo_count; i++) {
        unsigned at = limbo_list[i];

        if (page_sum(at) != limbo_sum[at])
            fail_msg("a table was written before the flush that its removal owes");
        limbo[at] = false;
    }
    limbo_count = 0;
    the_world.flushes++;
    the_world.must_owe = false;
    ept_flushed(&the_world.ept);
}

static void env_flush(void *ctx)
{
    (void)ctx;
    assert_true(the_world.ept.flush_owed);
    world_flush();
}

void world_check_owed(void)
{
    if (the_world.must_owe && !the_world.ept.flush_owed)
        fail_msg("a flush is not owed that has to be");
    if (!the_world.must_owe && the_world.ept.flush_owed)
        fail_msg("a flush is owed for nothing");
}

void world_reset(void)
{
    struct store *stores = the_world.stores;

    the_world = (struct world){0};
    the_world.stores = stores ? stores : malloc(STORES_MAX * sizeof(*stores));
    the_world.budget = WORLD_PAGES;
    the_world.env = (struct ept_env){
        .virt_offset = (uint64_t)memory - WORLD_PHYS_BASE,
        .alloc = world_alloc,
        .free = world_free,
        .flush = env_flush,
    };
    memset(used, 0, sizeof(used));
    memset(limbo, 0, sizeof(limbo));
    limbo_count = 0;
    next_free = 0;
    ASAN_POISON_MEMORY_REGION(memory, sizeof(memory));
}

void world_open(const struct ept_features *features, uint64_t limit)
{
    world_reset();
    assert_int_equal(ept_init(&the_world.ept, &the_world.env, features, limit), EPT_OK);
}

void world_close(void)
{
    world_flush();
    closing = true; /* no CPU is there any more */
    ept_destroy(&the_world.ept);
    closing = false;
    assert_int_equal(the_world.in_use, 0);
    assert_int_equal(the_world.ept.stats.tables, 0);
    ASAN_UNPOISON_MEMORY_REGION(memory, sizeof(memory));
}

/* A table can be reached no more: it and what it refers to. */
static void retire(uint64_t entry, unsigned level)
{
    unsigned at = page_index(entry & HW_ADDRESS);
    const uint64_t *slots = (const uint64_t *)memory[at];

    if (level > 1) {
        for (unsigned i = 0; i < PAGE / 8; i++) {
            if ((slots[i] & HW_RIGHTS) && !(slots[i] & HW_LEAF))
                retire(slots[i], level - 1);
        }
    }
    assert_false(limbo[at]);
    limbo[at] = true;
    limbo_sum[at] = page_sum(at);
    limbo_list[limbo_count++] = at;
}

void ept_record_before(volatile uint64_t *slot)
{
    if (the_world.before)
        the_world.before(&the_world, slot);
}

/* Whether the page that a slot is in is a page directory that the processor can reach. */
static bool in_dir(uint64_t at)
{
    const uint64_t *pdpt = (const uint64_t *)the_world.ept.pdpt;

    for (unsigned i = 0; i < 4; i++) {
        if ((pdpt[i] & HW_RIGHTS) && !(pdpt[i] & HW_LEAF) &&
            (pdpt[i] & HW_ADDRESS) == (at & HW_ADDRESS))
            return true;
    }
    return false;
}

/*
 * Violations convert to #VE in leaves that are lowered and of which the CPU is told all, and only
 * where that was asked for and the CPU has dirty flags.
 */
static void check_suppress(uint64_t entry)
{
    const struct ept_features *features = &the_world.ept.features;
    bool lowered = entry_access(entry) != entry_full(entry);
    bool told = entry_access(entry) == (entry & HW_RIGHTS);

    assert_int_equal(!(entry >> 63), (entry & HW_LEAF) && features->ve &&
                                         features->accessed_dirty && lowered && told);
}

/* Whether a page is a table that the processor reaches by the EPT itself. */
static bool in_ept(uint64_t page)
{
    const struct ept *ept = &the_world.ept;
    uint64_t offset = the_world.env.virt_offset;

    if (page == ept->root || page == (uint64_t)ept->pdpt - offset)
        return true;
    for (uint64_t gib = 0; gib << 30 < ept->limit; gib++) {
        uint64_t entry = ept->pdpt[gib];

        if (!(entry & HW_RIGHTS) || (entry & HW_LEAF))
            continue;
        if ((entry & HW_ADDRESS) == page)
            return true;
        for (unsigned i = 0; i < EPT_ENTRIES; i++) {
            if ((uint64_t)ept->index[gib][i] - offset == page)
                return true;
        }
    }
    return false;
}

/* A table of a view's own can be reached no more, and those below. */
static void retire_view(uint64_t entry)
{
    unsigned at = page_index(entry & HW_ADDRESS);
    const uint64_t *slots = (const uint64_t *)memory[at];

    for (unsigned i = 0; i < PAGE / 8; i++) {
        if ((slots[i] & VIEW_PRIVATE) && (slots[i] & HW_RIGHTS))
            retire_view(slots[i]);
    }
    assert_false(limbo[at]);
    limbo[at] = true;
    limbo_sum[at] = page_sum(at);
    limbo_list[limbo_count++] = at;
}

/* A leaf that is not tracked is dirty from the beginning, so that no CPU logs it. */
static void check_dirty(uint64_t entry)
{
    if ((entry & HW_LEAF) && !(entry & ENTRY_TRACKED) && the_world.ept.features.accessed_dirty)
        assert_true(entry & HW_DIRTY);
}

/* A store to a table of a view's own, or to one that nothing leads to yet. */
static void judge_view(uint64_t old, uint64_t entry)
{
    uint64_t changed = old ^ entry;

    assert_int_equal(entry & UNUSED_BITS, 0);
    check_dirty(entry);
    if (!(entry & HW_LEAF))
        assert_int_equal(entry & HW_RESERVED, 0);
    assert_int_not_equal(entry & 3, 2);
    if (!the_world.ept.features.exec_only)
        assert_int_not_equal(entry & 7, 4);
    if ((old & VIEW_PRIVATE) && !(old & HW_LEAF) && changed)
        retire_view(old);
    if ((old & HW_RIGHTS) && ((changed & (HW_ADDRESS | HW_LEAF)) || (old & ~entry & HW_RIGHTS) ||
                              (the_world.ept.features.accessed_dirty && (old & ~entry & HW_DIRTY))))
        the_world.must_owe = true;
}

static void judge(volatile uint64_t *slot, uint64_t old, uint64_t entry)
{
    uint64_t at = (uint64_t)slot - the_world.env.virt_offset;
    bool was_table = (old & HW_RIGHTS) && !(old & HW_LEAF);
    bool is_table = (entry & HW_RIGHTS) && !(entry & HW_LEAF);

    assert_false(limbo[page_index(at)]);
    if (the_world.ept.views && !in_ept(at & HW_ADDRESS)) {
        judge_view(old, entry);
        return;
    }
    assert_int_equal(entry & UNUSED_BITS, 0);
    check_suppress(entry);
    check_dirty(entry);
    if (is_table)
        assert_int_equal(entry & HW_RESERVED, 0);
    /* SDM 28.3.1.1: write without read, and execute alone where the CPU lacks it, are
     * misconfigured. */
    assert_int_not_equal(entry & 3, 2);
    if (!the_world.ept.features.exec_only)
        assert_int_not_equal(entry & 7, 4);
    if (the_world.recording) {
        assert_true(the_world.store_count < STORES_MAX);
        the_world.stores[the_world.store_count++] = (struct store){at, entry};
    }
    if (old == entry)
        return;
    if (was_table) {
        the_world.must_owe = true;
        retire(old, in_dir(at) ? 1 : 2);
    } else if ((old & HW_RIGHTS) &&
               (is_table || (old & ~entry & HW_RIGHTS) || ((old ^ entry) & HW_ADDRESS) ||
                (the_world.ept.features.accessed_dirty && (old & ~entry & HW_DIRTY)))) {
        the_world.must_owe = true;
    }
}

void ept_record_after(volatile uint64_t *slot, uint64_t old, uint64_t entry)
{
    if (closing)
        return;
    judge(slot, old, entry);
    if (the_world.after)
        the_world.after(&the_world);
}

struct walk world_walk(const uint8_t *from, uint64_t gpa)
{
    return world_walk_from(from, the_world.ept.root, gpa);
}

struct walk world_walk_from(const uint8_t *from, uint64_t root, uint64_t gpa)
{
    struct walk walk = {.level = 4, .rights = HW_RIGHTS};
    uint64_t table = root;

    for (;;) {
        unsigned shift = 12 + 9 * (walk.level - 1);

        walk.at = table + (gpa >> shift & 511) * 8;
        memcpy(&walk.entry, from + (walk.at - WORLD_PHYS_BASE), 8);
        walk.rights &= (unsigned)(walk.entry & HW_RIGHTS);
        if (!walk.rights)
            return walk;
        if (walk.level == 1 || (walk.level < 4 && (walk.entry & HW_LEAF))) {
            uint64_t mask = (1ull << shift) - 1;

            assert_int_equal(walk.entry & HW_ADDRESS & mask, 0);
            walk.hpa = (walk.entry & HW_ADDRESS) | (gpa & mask);
            walk.memtype = walk.entry >> 3 & 7;
            return walk;
        }
        table = walk.entry & HW_ADDRESS;
        walk.level--;
        walk.tables[3 - walk.level] = table;
    }
}

static void check_table(const struct ept_table *table, const volatile uint64_t *slots, bool leaves)
{
    unsigned mapped = 0;

    for (unsigned i = 0; i < EPT_ENTRIES; i++) {
        if (slots[i] != ENTRY_EMPTY)
            mapped++;
        if (leaves)
            assert_true(slots[i] == ENTRY_EMPTY || (slots[i] & ENTRY_LEAF));
    }
    assert_int_equal(table->mapped, mapped);
    assert_int_not_equal(mapped, 0);
    if (table->flags == 1) {
        uint64_t hint = slots[table->hint];

        assert_true(!(hint & ENTRY_LEAF) || !entry_plain(hint));
    }
}

void world_check_bookkeeping(void)
{
    struct ept *ept = &the_world.ept;
    unsigned queued = 0;

    for (uint64_t gib = 0; gib << 30 < ept->limit; gib++) {
        volatile uint64_t *dir;

        if ((ept->pdpt[gib] & ENTRY_LEAF) || !(ept->pdpt[gib] & HW_RIGHTS))
            continue;
        dir = (uint64_t *)((ept->pdpt[gib] & HW_ADDRESS) + the_world.env.virt_offset);
        if (!ept->holds)
            check_table(&ept->dirs[gib], dir, false);
        queued += ept->dirs[gib].flags >> 1 & 1;
        for (unsigned i = 0; i < EPT_ENTRIES; i++) {
            if ((dir[i] & ENTRY_LEAF) || !(dir[i] & HW_RIGHTS))
                continue;
            assert_ptr_equal((void *)ept->index[gib][i],
                             (void *)((dir[i] & HW_ADDRESS) + the_world.env.virt_offset));
            if (!ept->holds)
                check_table(&ept->tables[gib][i], ept->index[gib][i], true);
            queued += ept->tables[gib][i].flags >> 1 & 1;
        }
    }
    assert_int_equal(queued, ept->queue_count);
}
