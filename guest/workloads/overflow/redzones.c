#include "guest/workloads/overflow/redzones.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    SLOT_PAGES = 2, /* the block's and the guard behind it; one more guard is before the first */
    ALIGN = sizeof(uint64_t),
    REST = 4, /* one slot of so many stays without a block, so that none is used again at once */
    LEFT_ONE_OF = 4, /* one block of so many lies at its page's beginning */
    PATTERN = 0xd1,
    FORGETFUL = 5, /* MISTAKE_REDZONE: one free() of so many leaves the page open */
};

enum slot_state {
    SLOT_EMPTY, /* never used */
    SLOT_USED,
    SLOT_FREED,
};

struct slot {
    enum slot_state state;
    char *block;
    size_t size;
    uint64_t number;
};

static struct {
    struct region *region;
    char *base;
    size_t slot_count;
    struct slot *slots;
    size_t *free; /* a queue of slots that have no block, the one freed longest ago first */
    size_t free_first, free_count;
    uint64_t sample, made, frees;
    stray_handler *handler;
    enum mistake mistake;
} zones;

static char *slot_page(size_t slot)
{
    return zones.base + (1 + slot * SLOT_PAGES) * PAGE;
}

static bool is_inside(const void *address)
{
    return (uint64_t)((const char *)address - zones.base) <
           (1 + zones.slot_count * SLOT_PAGES) * PAGE;
}

static void must(int result, const char *what)
{
    if (result != 0) {
        printf("overflow: %s: %s\n", what, trapline_error_name(result));
        exit(EXIT_FAILURE);
    }
}

void stray_print(const struct stray *stray)
{
    static const char *const kinds[] = {"beyond the end of", "before", "into the freed"};

    printf("overflow: a stray %s at %#lx, %lu byte%s %s block %lu (%lu bytes at %#lx), ",
           stray->write ? "write" : "read", stray->address, stray->distance,
           stray->distance == 1 ? "" : "s", kinds[stray->kind], stray->number, stray->size,
           stray->block);
    if (stray->rip)
        printf("by the instruction at %#lx\n", stray->rip);
    else
        printf("noticed when the block was freed\n");
}

/* Tell the handler; where to go on. */
static uint64_t tell(const struct stray *stray)
{
    const uint64_t next = zones.handler(stray);

    if (!next) {
        stray_print(stray);
        exit(EXIT_FAILURE);
    }
    return next;
}

/* Describe an access of a slot's block, or beside it. */
static void describe(struct stray *stray, const struct slot *slot)
{
    const uint64_t block = (uint64_t)slot->block;

    stray->block = block;
    stray->size = slot->size;
    stray->number = slot->number;
    if (stray->address < block) {
        stray->kind = STRAY_BEFORE;
        stray->distance = block - stray->address;
    } else if (stray->address >= block + slot->size) {
        stray->kind = STRAY_BEYOND;
        stray->distance = stray->address - (block + slot->size) + 1;
    }
    if (slot->state == SLOT_FREED && stray->address / PAGE == block / PAGE) {
        stray->kind = STRAY_FREED;
        stray->distance = stray->address - block;
    }
}

/*
 * Whose a guard page is that was touched: of the blocks on both sides that are in use, the nearer
 * one's; of freed ones, if there is no other. NULL when there never was one.
 */
static const struct slot *nearest(uint64_t guard, uint64_t address)
{
    const struct slot *best = NULL;
    uint64_t best_distance = 0;

    for (size_t i = guard ? guard - 1 : 0; i <= guard && i < zones.slot_count; i++) {
        const struct slot *const slot = &zones.slots[i];
        uint64_t distance;

        if (slot->state == SLOT_EMPTY)
            continue;
        distance = address < (uint64_t)slot->block
                       ? (uint64_t)slot->block - address
                       : address - ((uint64_t)slot->block + slot->size) + 1;
        if (!best || (slot->state == SLOT_USED) > (best->state == SLOT_USED) ||
            (slot->state == best->state && distance < best_distance)) {
            best = slot;
            best_distance = distance;
        }
    }
    return best;
}

static void on_trap(struct trapline_fault *fault)
{
    const uint64_t page = (fault->address - (uint64_t)zones.base) / PAGE;
    struct stray stray = {
        .address = fault->address, .rip = fault->rip, .write = fault->kind & TRAPLINE_WRITE};
    const struct slot *slot = NULL;

    if (is_inside((void *)fault->address))
        slot = page % SLOT_PAGES ? &zones.slots[page / SLOT_PAGES]
                                 : nearest(page / SLOT_PAGES, fault->address);
    if (!slot || slot->state == SLOT_EMPTY) {
        printf("overflow: a stray access at %#lx, near no block, by the instruction at %#lx\n",
               fault->address, fault->rip);
        exit(EXIT_FAILURE);
    }
    describe(&stray, slot);
    fault->rip = tell(&stray);
}

int redzones_init(enum region_mechanism mechanism, size_t slots, uint64_t sample,
                  stray_handler *handler, enum mistake mistake)
{
    const size_t pages = 1 + slots * SLOT_PAGES;
    int error = region_create(&zones.region, pages, 1, mechanism);

    if (error)
        return error;
    zones.base = region_base(zones.region);
    zones.slot_count = slots;
    zones.sample = sample;
    zones.made = zones.frees = 0;
    zones.handler = handler;
    zones.mistake = mistake;
    zones.slots = calloc(slots, sizeof(*zones.slots));
    zones.free = calloc(slots, sizeof(*zones.free));
    zones.free_first = 0;
    zones.free_count = slots;
    if (!zones.slots || !zones.free)
        error = -TRAPLINE_ENOMEM;
    for (size_t i = 0; i < slots && !error; i++)
        zones.free[i] = i;
    if (!error)
        error = region_protn_range(zones.region, zones.base, pages, TRAPLINE_NONE);
    if (!error)
        error = region_trap(on_trap, 0);
    if (error)
        redzones_end();
    return error;
}

void redzones_end(void)
{
    region_trap(NULL, 0);
    region_unprot_range(zones.region, zones.base, region_pages(zones.region));
    region_destroy(zones.region);
    free(zones.slots);
    free(zones.free);
}

static void *guarded_alloc(size_t size)
{
    const size_t index = zones.free[zones.free_first];
    struct slot *const slot = &zones.slots[index];
    char *const page = slot_page(index);

    zones.free_first = (zones.free_first + 1) % zones.slot_count;
    zones.free_count--;
    must(region_unprot(zones.region, page), "UNPROT");
    memset(page, PATTERN, PAGE);
    slot->number = zones.made;
    slot->size = size;
    slot->block =
        zones.made / zones.sample % LEFT_ONE_OF == 0 ? page : page + (PAGE - size) / ALIGN * ALIGN;
    slot->state = SLOT_USED;
    return slot->block;
}

/* Whether the next block is one of those that get guard pages. */
static bool is_next_guarded(size_t size)
{
    return zones.sample && zones.made % zones.sample == 0 && size <= PAGE &&
           zones.free_count > zones.slot_count / REST;
}

void *redzones_alloc(size_t size)
{
    void *block;

    if (size == 0)
        return NULL;
    block = is_next_guarded(size) ? guarded_alloc(size) : malloc(size);
    zones.made += block != NULL;
    return block;
}

/* Tell of the bytes of a part of a block's page that are not the pattern any more. */
static void check_part(const struct slot *slot, const char *from, const char *to)
{
    for (const char *at = from; at < to; at++) {
        struct stray stray = {.write = true};

        while ((uint64_t)at % ALIGN == 0 && to - at >= ALIGN &&
               *(const uint64_t *)at == PATTERN * (UINT64_MAX / UINT8_MAX))
            at += ALIGN;
        if (at == to)
            return;
        if ((uint8_t)*at == PATTERN)
            continue;
        stray.address = (uint64_t)at;
        describe(&stray, slot);
        tell(&stray);
    }
}

void redzones_free(void *block)
{
    const size_t index = (size_t)((char *)block - zones.base) / PAGE / SLOT_PAGES;
    struct slot *slot;
    char *page;

    if (!redzones_guards(block)) {
        free(block);
        return;
    }
    slot = &zones.slots[index];
    page = slot_page(index);
    if (slot->state != SLOT_USED || slot->block != block) {
        printf("overflow: free(%p): no block in use begins there\n", block);
        exit(EXIT_FAILURE);
    }
    check_part(slot, page, slot->block);
    check_part(slot, slot->block + slot->size, page + PAGE);
    slot->state = SLOT_FREED;
    zones.free[(zones.free_first + zones.free_count++) % zones.slot_count] = index;
    if (zones.mistake == MISTAKE_REDZONE && ++zones.frees % FORGETFUL == 0)
        return;
    must(region_prot1(zones.region, page, TRAPLINE_NONE), "PROT1");
}

bool redzones_guards(const void *block)
{
    return block && is_inside(block);
}
