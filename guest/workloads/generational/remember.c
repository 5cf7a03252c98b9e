#if !__STDC_HOSTED__
/* The handler is TRAP_LEAN. */
#pragma GCC target("general-regs-only")
#endif

#include "guest/workloads/generational/remember.h"

enum {
    FORGOTTEN = 5, /* the seeded mistake forgets one place of so many */
};

struct remembered {
    struct region *region;
    char *base;
    atomic_uchar *opened; /* for each page of the region: it is on the list */
    void **pages;         /* that were written; and those to protect next */
    atomic_ulong count;
    char *sealed; /* old pages from here on are not protected, and count as written */
    uint8_t *cards;
    uint64_t places; /* visited so far, for the mistake */
};

/* Where the TRAP handler finds it. */
static struct remembered *current;

static TRAP_LEAN_HANDLER void on_trap(struct trapline_fault *fault)
{
    struct remembered *const remembered = current;
    char *const page = trap_page(fault);
    const uint64_t number = (uint64_t)(page - remembered->base) / PAGE;

    /* Several mutators may meet the page at once: it is listed once, and opened by each. */
    if (!atomic_exchange_explicit(&remembered->opened[number], 1, memory_order_relaxed))
        remembered->pages[atomic_fetch_add_explicit(&remembered->count, 1, memory_order_relaxed)] =
            page;
    region_unprot(remembered->region, page);
}

static size_t old_pages(const struct heap *heap)
{
    return heap->options.old / PAGE;
}

/* All but writing: it is the least that UNPROT has to give back. */
static unsigned sealed_access(const struct heap *heap)
{
    return region_rights(heap->region) & ~(unsigned)TRAPLINE_WRITE;
}

static void must(int result, const char *what)
{
    if (result != 0) {
        printf("generational: %s: %s\n", what, trapline_error_name(result));
        exit(EXIT_FAILURE);
    }
}

int remember_create(struct heap *heap)
{
    struct remembered *const remembered = calloc(1, sizeof(*remembered));
    const size_t pages = region_pages(heap->region);

    heap->remembered = remembered;
    if (!remembered)
        return -TRAPLINE_ENOMEM;
    remembered->region = heap->region;
    remembered->base = heap->base;
    remembered->sealed = heap->top;
    remembered->opened = calloc(pages, sizeof(*remembered->opened));
    remembered->pages = calloc(old_pages(heap), sizeof(*remembered->pages));
    remembered->cards = calloc(pages, PAGE_CARDS);
    if (!remembered->opened || !remembered->pages || !remembered->cards)
        return -TRAPLINE_ENOMEM;
    for (unsigned i = 0; i < heap->options.mutators; i++)
        heap->mutators[i].card_base =
            (uint64_t)remembered->cards - ((uint64_t)heap->base >> CARD_SHIFT);
    current = remembered;
    switch (heap->options.barrier) {
    case BARRIER_TRAP: return region_trap(on_trap, TRAP_LEAN);
    case BARRIER_DIRTY: return region_track(heap->region, heap->half[0], 2 * old_pages(heap), 1);
    default: return 0;
    }
}

void remember_destroy(struct heap *heap)
{
    struct remembered *const remembered = heap->remembered;

    if (!remembered)
        return;
    if (heap->options.barrier == BARRIER_TRAP)
        region_trap(NULL, 0);
    else if (heap->options.barrier == BARRIER_DIRTY)
        region_track(heap->region, heap->half[0], 2 * old_pages(heap), 0);
    free(remembered->opened);
    free(remembered->pages);
    free(remembered->cards);
    free(remembered);
    heap->remembered = NULL;
}

static void visit(struct heap *heap, char *from, char *to, char *limit)
{
    if (to > limit)
        to = limit;
    if (from >= to)
        return;
    if (heap->options.forgets && ++heap->remembered->places % FORGOTTEN == 0)
        return;
    heap->counts.scanned += (uint64_t)(to - from);
    heap_scan(heap, from, to);
}

/* The pages on the list, and those that were never protected. */
static void visit_pages(struct heap *heap, char *limit)
{
    struct remembered *const remembered = heap->remembered;

    for (uint64_t i = 0; i < remembered->count; i++) {
        char *const page = remembered->pages[i];

        visit(heap, page, page + PAGE, limit);
    }
    for (char *page = remembered->sealed; page < limit; page += PAGE)
        visit(heap, page, page + PAGE, limit);
}

/* Fetch the pages that were written since the last call into the list. */
static void fetch_dirty(struct heap *heap)
{
    struct remembered *const remembered = heap->remembered;
    char *const start = heap->half[heap->current];
    const size_t pages = (size_t)(heap->top - start + PAGE - 1) / PAGE;
    const long count =
        pages ? region_dirty(heap->region, start, pages, remembered->pages, old_pages(heap), NULL)
              : 0;

    must(count < 0 ? (int)count : 0, "DIRTY");
    remembered->count = (uint64_t)count;
}

static void visit_cards(struct heap *heap, char *limit)
{
    uint8_t *const cards = heap->remembered->cards;
    const uint64_t end = heap_card(heap, limit + CARD - 1);

    for (uint64_t card = heap_card(heap, heap->half[heap->current]); card < end; card += 8) {
        /* Eight at once: the halves begin at pages. */
        if (*(uint64_t *)&cards[card] == 0)
            continue;
        for (uint64_t i = card; i < card + 8; i++) {
            char *const from = heap->base + i * CARD;

            if (cards[i])
                visit(heap, from, from + CARD, limit);
            cards[i] = 0;
        }
    }
}

void remember_visit(struct heap *heap, char *limit)
{
    switch (heap->options.barrier) {
    case BARRIER_TRAP: visit_pages(heap, limit); break;
    case BARRIER_DIRTY:
        fetch_dirty(heap);
        for (uint64_t i = 0; i < heap->remembered->count; i++) {
            char *const page = heap->remembered->pages[i];

            visit(heap, page, page + PAGE, limit);
        }
        break;
    default: visit_cards(heap, limit); break;
    }
}

/* Empty the list; how many pages are still to be found there. */
static uint64_t forget_list(struct heap *heap)
{
    struct remembered *const remembered = heap->remembered;
    const uint64_t count = remembered->count;

    for (uint64_t i = 0; i < count; i++)
        remembered->opened[((char *)remembered->pages[i] - heap->base) / PAGE] = 0;
    heap->counts.traps += count;
    remembered->count = 0;
    return count;
}

/* Protect what the list has and, from sealed to top, the pages that are full now. */
static void seal(struct heap *heap)
{
    struct remembered *const remembered = heap->remembered;
    char *const end = (char *)((uint64_t)heap->top & ~(uint64_t)(PAGE - 1));
    uint64_t count = forget_list(heap);

    for (; remembered->sealed < end; remembered->sealed += PAGE)
        remembered->pages[count++] = remembered->sealed;
    if (count)
        must(region_protn(heap->region, remembered->pages, count, sealed_access(heap)), "PROTN");
}

void remember_restart(struct heap *heap)
{
    if (heap->options.barrier == BARRIER_TRAP)
        seal(heap);
    else if (heap->options.barrier == BARRIER_DIRTY)
        fetch_dirty(heap); /* what the collection wrote itself does not count */
}

void remember_suspend(struct heap *heap)
{
    struct remembered *const remembered = heap->remembered;
    char *const start = heap->half[heap->current];

    if (heap->options.barrier != BARRIER_TRAP)
        return;
    forget_list(heap);
    if (remembered->sealed > start)
        must(region_unprot_range(heap->region, start, (size_t)(remembered->sealed - start) / PAGE),
             "UNPROT");
}

void remember_resume(struct heap *heap)
{
    struct remembered *const remembered = heap->remembered;
    char *const start = heap->half[heap->current];

    switch (heap->options.barrier) {
    case BARRIER_TRAP:
        remembered->sealed = (char *)((uint64_t)heap->top & ~(uint64_t)(PAGE - 1));
        if (remembered->sealed > start)
            must(region_protn_range(heap->region, start,
                                    (size_t)(remembered->sealed - start) / PAGE,
                                    sealed_access(heap)),
                 "PROTN");
        break;
    case BARRIER_DIRTY: fetch_dirty(heap); break;
    default: memset(remembered->cards, 0, region_pages(heap->region) * PAGE_CARDS); break;
    }
}
