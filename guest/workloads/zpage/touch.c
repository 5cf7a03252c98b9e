/*
 * The programs that only read and write. Each page has a part for each thread, so that all threads
 * use all pages and none another's words. A part begins with a block of which the first word counts
 * the thread's writes to the page; a write fills another block anew.
 */
#include <trapline/portable.h>

#include "guest/common/random.h"
#include "guest/workloads/zpage/work.h"
#include "guest/workloads/zpage/zipf.h"

enum {
    SEED = 20260,
    PERCENT = 100,
    VISIT = 8, /* accesses to a page that was chosen at random, before the next one is */
    BLOCK_WORDS = CONTENT_BLOCK / sizeof(uint64_t),
};

struct place {
    size_t page, block; /* the block of the thread's part, from 1 */
};

static size_t blocks_of_part(const struct work *work)
{
    return TRAPLINE_PAGE_SIZE / CONTENT_BLOCK / work->threads;
}

static volatile uint64_t *block_at(const struct work *work, unsigned thread, struct place place)
{
    const size_t part = thread * blocks_of_part(work) * CONTENT_BLOCK;

    return (volatile uint64_t *)(work->memory + place.page * TRAPLINE_PAGE_SIZE + part +
                                 place.block * CONTENT_BLOCK);
}

void touch_fill(struct work *work, unsigned thread)
{
    const size_t bytes = blocks_of_part(work) * CONTENT_BLOCK;

    for (size_t page = 0; page < work->pages; page++) {
        char *const part = work->memory + page * TRAPLINE_PAGE_SIZE + thread * bytes;

        *(volatile uint64_t *)part = 0;
        content_fill(work->content, page, thread, part + CONTENT_BLOCK, bytes - CONTENT_BLOCK);
    }
}

static void write_block(struct work *work, unsigned thread, struct place place, uint64_t key)
{
    const struct place head = {place.page, 0};

    ++*block_at(work, thread, head);
    if (work->written)
        work->written[thread * work->pages + place.page]++;
    content_fill(work->content, place.page, key, (void *)block_at(work, thread, place),
                 CONTENT_BLOCK);
}

static void read_block(struct work *work, unsigned thread, struct place place)
{
    const struct place head = {place.page, 0};
    struct work_result *const result = &work->results[thread];
    const volatile uint64_t *const words = block_at(work, thread, place);

    for (size_t i = 0; i < BLOCK_WORDS; i++)
        result->sum = result->sum * 3 + words[i];
    if (work->written &&
        *block_at(work, thread, head) != work->written[thread * work->pages + place.page])
        result->wrong++;
}

/* Where access i of a thread goes. */
static struct place choose(const struct work *work, uint64_t i, size_t blocks, struct place last,
                           uint64_t *random)
{
    if (work->program == PROGRAM_SCAN)
        return (struct place){.block = 1 + i % blocks, .page = i / blocks % work->pages};
    return (struct place){.block = 1 + random_below(random, blocks),
                          .page = i % VISIT ? last.page : zipf_page(random_next(random))};
}

void touch_run(struct work *work, unsigned thread)
{
    struct work_result *const result = &work->results[thread];
    const size_t blocks = blocks_of_part(work) - 1;
    uint64_t random = SEED + thread;
    struct place place = {0, 0};

    for (uint64_t i = 0; i < work->accesses; i++) {
        place = choose(work, i, blocks, place, &random);
        if (random_below(&random, PERCENT) < work->writes)
            write_block(work, thread, place, i);
        else
            read_block(work, thread, place);
        result->accesses++;
    }
}
