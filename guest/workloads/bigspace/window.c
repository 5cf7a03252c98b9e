#include "guest/workloads/bigspace/window.h"

enum {
    FORGOTTEN_ONE_IN = 10, /* pages that have it, when that is the mistake */
};

/* Where the TRAP handler finds it. */
static struct window *current;

noreturn void window_fail(const char *what, uint64_t which)
{
    printf("bigspace: %s %#lx\n", what, which);
    exit(EXIT_FAILURE);
}

static size_t bucket_of(const struct window *window, uint64_t page)
{
    return (page * 0x9e3779b97f4a7c15ull >> 32) & window->mask;
}

/* The place that stands for a page, or WINDOW_NEVER. */
uint32_t window_place_of(const struct window *window, uint64_t page)
{
    uint32_t at = window->buckets[bucket_of(window, page)];

    while (at != WINDOW_NEVER && window->place[at].page != page)
        at = window->place[at].next;
    return at;
}

/* Give a page a place; one is free. */
static uint32_t reserve(struct window *window, uint64_t page)
{
    const uint32_t at = window->unused[--window->unused_count];
    uint32_t *const bucket = &window->buckets[bucket_of(window, page)];

    window->place[at] = (struct place){.page = page, .next = *bucket, .state = PLACE_RESERVED};
    *bucket = at;
    window->counts.reserved++;
    return at;
}

static uint32_t reference_to(uint32_t place, uint64_t address)
{
    return place * PAGE + address_offset(address);
}

uint32_t window_reference(struct window *window, uint64_t address)
{
    uint32_t place = window_place_of(window, address_page(address));

    if (place == WINDOW_NEVER) {
        if (window->unused_count == 0)
            window_make_room(window, 1, WINDOW_NEVER);
        place = reserve(window, address_page(address));
    }
    return reference_to(place, address);
}

/* How many places the page's targets may need beyond those that they have. */
static size_t places_wanted(const struct window *window, const struct page64 *from)
{
    uint64_t last = 0;
    size_t wanted = 0;

    for (size_t i = 0; i < PAGE_OBJECTS; i++) {
        for (size_t j = 0; j < OBJECT_REFS; j++) {
            const uint64_t page = address_page(from->objects[i].refs[j]);

            if (page == 0 || page == last)
                continue;
            last = page;
            wanted += window_place_of(window, page) == WINDOW_NEVER;
        }
    }
    return wanted;
}

/* Whether all its targets' pages can have places. */
static bool has_room(const struct window *window, const struct page64 *from)
{
    return window->unused_count >= PAGE_OBJECTS * OBJECT_REFS ||
           places_wanted(window, from) <= window->unused_count;
}

/* The reference for an address whose page has a place, or gets one that is free. */
static uint32_t swizzle(struct window *window, uint64_t address, uint64_t *page, uint32_t *place)
{
    /* Neighbours refer to neighbours: most often it is the page of the one before. */
    if (*page != address_page(address)) {
        *page = address_page(address);
        *place = window_place_of(window, *page);
        if (*place == WINDOW_NEVER)
            *place = reserve(window, *page);
    }
    return reference_to(*place, address);
}

/* The mistake: a reference of the page is what it is in the space, as far as it fits. */
static void forget_one(struct page32 *page, const struct page64 *from)
{
    for (size_t i = 0; i < PAGE_OBJECTS; i++) {
        if (from->objects[i].refs[0]) {
            page->objects[i].refs[0] = (uint32_t)from->objects[i].refs[0];
            return;
        }
    }
}

static void swizzle_page(struct window *window, const struct page64 *from, struct page32 *to)
{
    const uint64_t start = ticks();
    uint64_t page = 0, swizzled = 0;
    uint32_t place = WINDOW_NEVER;

    for (size_t i = 0; i < PAGE_OBJECTS; i++) {
        const struct object64 *const object = &from->objects[i];

        to->objects[i].data = object->data;
        for (size_t j = 0; j < OBJECT_REFS; j++) {
            const uint64_t address = object->refs[j];

            to->objects[i].refs[j] = address ? swizzle(window, address, &page, &place) : 0;
            swizzled += address != 0;
        }
    }
    window->counts.swizzled += swizzled;
    window->counts.swizzle_ticks += ticks() - start;
    if (window->forget && window->counts.loads % FORGOTTEN_ONE_IN == FORGOTTEN_ONE_IN - 1)
        forget_one(to, from);
}

/* What was brought in refers to what the page in the space refers to. */
static void check_page(const struct window *window, uint32_t place, const struct page64 *from)
{
    const struct page32 *const page = window_contents(window, place);

    for (size_t i = 0; i < PAGE_OBJECTS; i++) {
        for (size_t j = 0; j < OBJECT_REFS; j++) {
            const uint32_t reference = page->objects[i].refs[j];
            const uint64_t address = from->objects[i].refs[j];
            const uint32_t target = reference / PAGE;

            if (!address && !reference)
                continue;
            if (!address || target >= window->places || target == WINDOW_NEVER ||
                window->place[target].state == PLACE_FREE ||
                window->place[target].page != address_page(address) ||
                address_offset(reference) != address_offset(address))
                window_fail("not swizzled: a reference of the object at",
                            window->place[place].page * PAGE + i * OBJECT_BYTES);
        }
    }
}

/* Bring the page that a place stands for to a frame. */
static void load(struct window *window, uint32_t place)
{
    const struct page64 *const from = bigspace_find(window->space, window->place[place].page);

    if (!from)
        window_fail("a reference to a page that is not in the space,", window->place[place].page);
    /* Places that its targets had may be among those that become free. */
    while (!has_room(window, from))
        window_make_room(window, places_wanted(window, from), place);
    if (window->unused_frame_count == 0)
        window_make_frame(window);
    window->place[place].frame = window->unused_frames[--window->unused_frame_count];
    swizzle_page(window, from, window_contents(window, place));
    if (window->check)
        check_page(window, place, from);
    window->place[place].state = PLACE_CLEAN;
    window->queue[(window->queue_first + window->queue_count++) % window->frames] = place;
    window->counts.loads++;
}

static void on_trap(struct trapline_fault *fault)
{
    struct window *const window = current;
    char *const where = trap_page(fault);
    const uint64_t start = ticks();
    uint64_t evicting;
    unsigned access = TRAPLINE_READ;
    bool loaded = false;
    uint32_t place;

    if (!window || where < window->base || where >= window->base + window->places * PAGE)
        window_fail("a forbidden access outside of the window, at", fault->address);
    place = (uint32_t)((size_t)(where - window->base) / PAGE);
    evicting = window->counts.evict_ticks;
    if (window->place[place].state == PLACE_FREE)
        window_fail("a stale reference was followed, to place", place);
    if (window->place[place].state == PLACE_RESERVED) {
        load(window, place);
        loaded = true;
    }
    if (fault->kind & TRAPLINE_WRITE) {
        window->place[place].state = PLACE_DIRTY;
        window->counts.writes++;
    }
    if (window->place[place].state == PLACE_DIRTY)
        access |= TRAPLINE_WRITE;
    if (region_remap2(window->region, window_contents(window, place), where, access) != 0)
        window_fail("a place cannot be mapped, at", fault->address);
    if (loaded)
        window->counts.load_ticks += ticks() - start - (window->counts.evict_ticks - evicting);
}

static int allocate(struct window *window)
{
    const size_t places = window->places, frames = window->frames;
    size_t buckets = 1;

    while (buckets < places)
        buckets *= 2;
    window->mask = buckets - 1;
    window->place = calloc(places, sizeof(*window->place));
    window->buckets = calloc(buckets, sizeof(*window->buckets));
    window->unused = calloc(places, sizeof(*window->unused));
    window->unused_frames = calloc(frames, sizeof(*window->unused_frames));
    window->queue = calloc(frames, sizeof(*window->queue));
    window->leaving = calloc(frames, sizeof(*window->leaving));
    if (!window->place || !window->buckets || !window->unused || !window->unused_frames ||
        !window->queue || !window->leaving)
        return -TRAPLINE_ENOMEM;
    for (size_t at = places - 1; at != WINDOW_NEVER; at--)
        window->unused[window->unused_count++] = (uint32_t)at;
    for (size_t frame = frames; frame-- > 0;)
        window->unused_frames[window->unused_frame_count++] = (uint32_t)frame;
    return 0;
}

/* Make all places aliases, of whatever frames, and forbid all access to them. */
static int map_places(struct window *window)
{
    if (window->places > region_alias_window_pages(window->region))
        return -TRAPLINE_EINVAL;
    while (window->mapped < window->places) {
        const size_t left = window->places - window->mapped;
        const size_t pages = left < window->frames ? left : window->frames;
        const int error =
            region_map2_range(window->region, region_base(window->region), pages,
                              window->base + window->mapped * PAGE, TRAPLINE_READ | TRAPLINE_WRITE);

        if (error)
            return error;
        window->mapped += pages;
    }
    return region_protn_range(window->region, window->base, window->places, TRAPLINE_NONE);
}

/* Undo what window_open() did, as far as it came. */
static void release(struct window *window)
{
    if (current == window)
        current = NULL;
    if (window->mapped != 0)
        region_unmap2_range(window->region, window->base, window->mapped);
    if (window->region)
        region_destroy(window->region);
    free(window->place);
    free(window->buckets);
    free(window->unused);
    free(window->unused_frames);
    free(window->queue);
    free(window->leaving);
}

int window_open(struct window *window, struct space *space, const struct window_options *options)
{
    int error;

    *window = (struct window){
        .space = space,
        .places = options->pages,
        .frames = options->frames,
        .check = options->check,
        .forget = options->forget,
    };
    error = region_create(&window->region, window->frames, 1, options->mechanism);
    if (error)
        return error;
    window->base = region_alias_window(window->region);
    error = allocate(window);
    if (!error)
        error = map_places(window);
    if (error) {
        release(window);
        return error;
    }
    current = window;
    region_trap(on_trap, 0);
    return 0;
}

void window_close(struct window *window)
{
    window_empty(window);
    release(window);
}
