/* Pages leave the window, and places become free again. */
#include "guest/workloads/bigspace/window.h"

enum {
    /* Of the pages that are here one in so many leaves at a time, ... */
    LEAVING_FOR_FRAMES = 16,
    /* ... many for places: those that stay are searched for references each time. */
    LEAVING_FOR_PLACES = 2,
};

static void unswizzle_page(const struct window *window, const struct page32 *from,
                           struct page64 *to)
{
    for (size_t i = 0; i < PAGE_OBJECTS; i++) {
        const struct object32 *const object = &from->objects[i];

        to->objects[i].data = object->data;
        for (size_t j = 0; j < OBJECT_REFS; j++) {
            const uint32_t reference = object->refs[j];

            to->objects[i].refs[j] =
                reference ? window->place[reference / PAGE].page * PAGE + address_offset(reference)
                          : 0;
        }
    }
}

/* So many pages leave, those that came first; their places stay reserved. */
static void evict(struct window *window, size_t pages)
{
    for (size_t i = 0; i < pages; i++) {
        const uint32_t at = window->queue[window->queue_first];
        struct place *const place = &window->place[at];

        window->queue_first = (window->queue_first + 1) % window->frames;
        window->queue_count--;
        if (place->state == PLACE_DIRTY) {
            unswizzle_page(window, window_contents(window, at),
                           bigspace_find(window->space, place->page));
            window->counts.written_back++;
        }
        place->state = PLACE_RESERVED;
        window->unused_frames[window->unused_frame_count++] = place->frame;
        window->leaving[i] = window->base + (size_t)at * PAGE;
    }
    window->counts.evictions += pages;
    if (pages != 0 && region_protn(window->region, window->leaving, pages, TRAPLINE_NONE) != 0)
        window_fail("PROTN of pages that leave, the first at", (uint64_t)window->leaving[0]);
}

static void mark(struct window *window, uint32_t reference)
{
    if (reference)
        window->place[reference / PAGE].reachable = true;
}

/* Find the places that something refers to, pages that are here included. */
static void mark_all(struct window *window)
{
    for (size_t at = 0; at < window->places; at++)
        window->place[at].reachable = false;
    for (size_t i = 0; i < WINDOW_ROOTS; i++)
        mark(window, window->roots[i]);
    for (size_t i = 0; i < window->queue_count; i++) {
        const uint32_t at = window->queue[(window->queue_first + i) % window->frames];
        const struct page32 *const page = window_contents(window, at);

        window->place[at].reachable = true;
        for (size_t j = 0; j < PAGE_OBJECTS; j++)
            for (size_t k = 0; k < OBJECT_REFS; k++)
                mark(window, page->objects[j].refs[k]);
    }
}

/* Unmarked places are free, and no longer found. */
static void sweep(struct window *window)
{
    for (size_t bucket = 0; bucket <= window->mask; bucket++) {
        uint32_t *link = &window->buckets[bucket];

        while (*link != WINDOW_NEVER) {
            struct place *const place = &window->place[*link];

            if (place->reachable) {
                link = &place->next;
                continue;
            }
            window->unused[window->unused_count++] = *link;
            *link = place->next;
            place->state = PLACE_FREE;
        }
    }
}

static size_t share(const struct window *window, size_t one_in)
{
    return (window->queue_count + one_in - 1) / one_in;
}

void window_make_room(struct window *window, size_t places, uint32_t keep)
{
    const uint64_t start = ticks();

    for (;;) {
        mark_all(window);
        if (keep != WINDOW_NEVER)
            window->place[keep].reachable = true;
        sweep(window);
        window->counts.searches++;
        if (window->unused_count >= places)
            break;
        if (window->queue_count == 0)
            window_fail("the window is too small: places that a page needs:", places);
        evict(window, share(window, LEAVING_FOR_PLACES));
    }
    window->counts.evict_ticks += ticks() - start;
}

void window_make_frame(struct window *window)
{
    const uint64_t start = ticks();

    evict(window, share(window, LEAVING_FOR_FRAMES));
    window->counts.evict_ticks += ticks() - start;
}

void window_empty(struct window *window)
{
    evict(window, window->queue_count);
}
