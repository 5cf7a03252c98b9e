/*
 * The pager: what a fault does. An address of the space always leads to some frame, by rights that
 * say how the page is:
 *
 *   in memory, clean    READ, to its frame: the first write traps, and its copy is given up
 *   in memory, written  READ and WRITE
 *   ... watched         the same, access NONE: the next use traps and is noted (see clock.h)
 *   not in memory       access NONE, to a frame that is another page's by now
 *
 * so that bringing a page is one region_remap2(), which no other vCPU can come in the middle of.
 */
#include "guest/workloads/zpage/space.h"

#include <trapline/portable.h>

#include "guest/workloads/zpage/clock.h"
#include "guest/workloads/zpage/copies.h"
#include "guest/workloads/zpage/samples.h"

enum {
    ACCESS_RW = TRAPLINE_READ | TRAPLINE_WRITE,
    SIZE = TRAPLINE_PAGE_SIZE,
};

struct page {
    uint32_t frame;
    bool in_memory, watched, written;
};

static struct space_settings set;
static struct region *region;
static struct mutex lock; /* of all below, and of the copies and the clock */
static char *base;        /* the space's first address */
static struct page *pages;
static uint32_t *owners; /* of each frame: its page */
static size_t frames_used;
static uint64_t loads;
static void *watch_list[SPACE_BATCH_MAX];

static void must(int result, const char *call)
{
    if (result == 0)
        return;
    printf("zpage: %s: %s\n", call, trapline_error_name(result));
    abort();
}

static char *page_address(size_t page)
{
    return base + page * SIZE;
}

static char *frame_address(size_t frame)
{
    return (char *)region_base(region) + frame * SIZE;
}

/* For the clock: take away the access to the pages of some frames, all by one PROTN. */
static void watch(const uint32_t *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pages[owners[frames[i]]].watched = true;
        watch_list[i] = page_address(owners[frames[i]]);
    }
    must(region_protn(region, watch_list, count, TRAPLINE_NONE), "PROTN");
}

static bool untouched(uint32_t frame)
{
    return pages[owners[frame]].watched;
}

/* A page that nobody can access loses its frame. */
static void page_out(size_t number)
{
    struct page *const page = &pages[number];

    copies_save(number, frame_address(page->frame));
    page->in_memory = page->watched = page->written = false;
}

static uint32_t take_frame(void)
{
    uint32_t frame;

    if (frames_used < set.frames)
        return (uint32_t)frames_used++;
    frame = clock_choose();
    page_out(owners[frame]);
    return frame;
}

static enum sample_kind page_in(size_t number, bool write)
{
    struct page *const page = &pages[number];
    enum copy_place place;

    page->frame = take_frame();
    page->in_memory = true;
    page->written = write;
    owners[page->frame] = (uint32_t)number;
    loads++;
    place = copies_load(number, frame_address(page->frame));
    if (write)
        copies_drop(number);
    must(region_remap2(region, frame_address(page->frame), page_address(number),
                       write ? ACCESS_RW : TRAPLINE_READ),
         "REMAP2");
    return place == COPY_ZERO ? SAMPLE_ZERO : place == COPY_POOL ? SAMPLE_POOL : SAMPLE_BACKING;
}

/*
 * The first write to a page that was brought for a read: its copy is of no use from now on. The
 * mistake is to keep it: the page then loses its frame with what was written.
 */
static enum sample_kind page_write(size_t number)
{
    struct page *const page = &pages[number];

    page->watched = false;
    page->written = true;
    if (!set.lose_writes)
        copies_drop(number);
    must(region_remap2(region, frame_address(page->frame), page_address(number), ACCESS_RW),
         "REMAP2");
    return SAMPLE_WRITE;
}

static enum sample_kind page_use(size_t number, bool write)
{
    struct page *const page = &pages[number];

    if (!page->in_memory)
        return page_in(number, write);
    if (write && !page->written)
        return page_write(number);
    if (!page->watched)
        return SAMPLE_LATE;
    page->watched = false;
    must(region_unprot(region, page_address(number)), "UNPROT");
    return SAMPLE_TOUCH;
}

static void on_fault(struct trapline_fault *fault)
{
    const size_t number = (size_t)((char *)trap_page(fault) - base) / SIZE;
    const uint64_t start = ticks();
    enum sample_kind kind;

    if ((char *)trap_page(fault) < base || number >= set.pages) {
        printf("zpage: forbidden access to %#lx, which is not in the space\n", fault->address);
        abort();
    }
    mutex_lock(&lock);
    kind = page_use(number, fault->kind & TRAPLINE_WRITE);
    samples_add(kind, ticks() - start);
    mutex_unlock(&lock);
}

/* Every address gets a frame to lead to, and no access. */
static bool reserve(void)
{
    int result = 0;

    for (size_t page = 0; page < set.pages && result == 0; page += set.frames) {
        const size_t left = set.pages - page;

        result =
            region_map2_range(region, region_base(region), left < set.frames ? left : set.frames,
                              page_address(page), ACCESS_RW);
    }
    if (result == 0)
        result = region_protn_range(region, base, set.pages, TRAPLINE_NONE);
    if (result != 0)
        printf("zpage: no addresses for %zu pages: %s\n", set.pages, trapline_error_name(result));
    return result == 0;
}

char *space_open(const struct space_settings *settings)
{
    const struct clock_settings clock = {.frames = settings->frames,
                                         .lead = settings->lead,
                                         .batch = settings->batch,
                                         .watch = watch,
                                         .untouched = untouched};
    int result;

    set = *settings;
    frames_used = 0;
    result = region_create(&region, set.frames, 1, set.mechanism);
    if (result != 0) {
        printf("zpage: region_create: %s\n", trapline_error_name(result));
        return NULL;
    }
    if (region_alias_window_pages(region) < set.pages) {
        printf("zpage: the alias window has %zu pages, for a space of %zu\n",
               region_alias_window_pages(region), set.pages);
        return NULL;
    }
    base = region_alias_window(region);
    pages = calloc(set.pages, sizeof(*pages));
    owners = calloc(set.frames, sizeof(*owners));
    if (!pages || !owners || !samples_open()) {
        printf("zpage: no memory for the tables of %zu pages\n", set.pages);
        return NULL;
    }
    if (!copies_open(set.pages, set.pool_pages, set.acceleration) || !reserve())
        return NULL;
    clock_begin(&clock);
    must(region_trap(on_fault, 0), "TRAP"); /* LZ4 uses vector registers */
    return base;
}

void space_close(void)
{
    must(region_trap(NULL, 0), "TRAP");
    must(region_unmap2_range(region, base, set.pages), "UNMAP2");
    copies_close();
    samples_close();
    free(owners);
    free(pages);
    region_destroy(region);
}

uint64_t space_loads(void)
{
    return loads;
}

size_t space_held(void)
{
    return frames_used + copies_held();
}

void space_count_anew(void)
{
    loads = 0;
    copies_count_anew();
    samples_count_anew();
}
