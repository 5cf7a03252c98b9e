#include "guest/workloads/zpage/copies.h"

#include <trapline/portable.h>

#include "guest/workloads/zpage/backing.h"
#include "guest/workloads/zpage/codec.h"
#include "guest/workloads/zpage/pool.h"
#include "guest/workloads/zpage/samples.h"

enum {
    WORTH = TRAPLINE_PAGE_SIZE / 4 * 3, /* a page that compresses to more is stored as it is */
    NOBODY = UINT32_MAX,
};

struct copy {
    uint8_t place;         /* enum copy_place */
    bool has_frame;        /* the page itself is in memory as well */
    uint16_t bytes;        /* in the pool or the store; a page's size: it is not compressed */
    uint32_t object;       /* in the pool */
    uint32_t older, newer; /* pages in the pool, in the order in which they came */
};

static struct copy *copies;
static struct pool pool;
static bool compressing;
static uint32_t oldest, newest;
static size_t held;
static struct copies_counts counts;
static char *buffer; /* a compressed page */

bool copies_open(size_t pages, size_t pool_pages, unsigned acceleration)
{
    oldest = newest = NOBODY;
    held = 0;
    counts = (struct copies_counts){.compressed = 0};
    compressing = pool_pages > 0;
    copies = calloc(pages, sizeof(*copies));
    buffer = malloc(TRAPLINE_PAGE_SIZE);
    if (!copies || !buffer || !codec_open(acceleration) || !pool_open(&pool, pool_pages)) {
        printf("zpage: no memory for a pool of %zu pages\n", pool_pages);
        return false;
    }
    return backing_open(pages);
}

void copies_close(void)
{
    backing_close();
    pool_close(&pool);
    codec_close();
    free(buffer);
    free(copies);
}

static void queue_append(uint32_t page)
{
    copies[page].older = newest;
    copies[page].newer = NOBODY;
    if (newest == NOBODY)
        oldest = page;
    else
        copies[newest].newer = page;
    newest = page;
}

static void queue_remove(uint32_t page)
{
    const struct copy *const copy = &copies[page];

    if (copy->older == NOBODY)
        oldest = copy->newer;
    else
        copies[copy->older].newer = copy->newer;
    if (copy->newer == NOBODY)
        newest = copy->older;
    else
        copies[copy->newer].older = copy->older;
}

static void leave_pool(uint32_t page)
{
    struct copy *const copy = &copies[page];

    queue_remove(page);
    pool_drop(&pool, copy->object, copy->bytes);
    held -= !copy->has_frame;
    copy->place = COPY_NONE;
}

static void write_out(size_t page, const void *bytes, size_t count)
{
    backing_write(page, bytes, count);
    counts.backing_writes++;
    counts.backing_bytes += count;
    copies[page].bytes = (uint16_t)count;
    copies[page].place = COPY_BACKING;
}

/* The oldest copy of the pool goes: to the store, unless its page is in memory itself. */
static void make_room(void)
{
    const uint32_t page = oldest;
    static char object[TRAPLINE_PAGE_SIZE];
    const size_t bytes = copies[page].bytes;

    if (!copies[page].has_frame)
        pool_get(&pool, copies[page].object, object, bytes);
    leave_pool(page);
    if (!copies[page].has_frame)
        write_out(page, object, bytes);
}

/* Compress a page into the pool. Returns false when it is not worth it. */
static bool compress(size_t page, const void *frame)
{
    struct copy *const copy = &copies[page];
    const uint64_t start = ticks();
    const size_t bytes = codec_compress(frame, buffer, WORTH);

    samples_add(SAMPLE_COMPRESS, ticks() - start);
    if (bytes == 0) {
        counts.incompressible++;
        return false;
    }
    counts.compressed++;
    counts.compressed_bytes += bytes;
    while (!pool_fits(&pool, bytes)) {
        if (oldest == NOBODY)
            return false; /* not even an empty pool holds it */
        make_room();
    }
    copy->object = pool_put(&pool, buffer, bytes);
    copy->bytes = (uint16_t)bytes;
    copy->place = COPY_POOL;
    held++;
    queue_append((uint32_t)page);
    return true;
}

void copies_save(size_t page, const void *frame)
{
    struct copy *const copy = &copies[page];

    copy->has_frame = false;
    if (copy->place == COPY_POOL)
        held++;
    if (copy->place != COPY_NONE)
        return;
    if (!compressing || !compress(page, frame))
        write_out(page, frame, TRAPLINE_PAGE_SIZE);
}

static void expand(size_t page, const void *from, void *frame)
{
    const uint64_t start = ticks();

    if (!codec_expand(from, copies[page].bytes, frame)) {
        printf("zpage: the copy of page %zu is damaged\n", page);
        abort();
    }
    samples_add(SAMPLE_EXPAND, ticks() - start);
}

enum copy_place copies_load(size_t page, void *frame)
{
    struct copy *const copy = &copies[page];

    copy->has_frame = true;
    switch (copy->place) {
    case COPY_ZERO: memset(frame, 0, TRAPLINE_PAGE_SIZE); break;
    case COPY_POOL:
        held--;
        pool_get(&pool, copy->object, buffer, copy->bytes);
        expand(page, buffer, frame);
        break;
    default:
        counts.backing_reads++;
        counts.backing_bytes += copy->bytes;
        if (copy->bytes == TRAPLINE_PAGE_SIZE) {
            backing_read(page, frame, copy->bytes);
            break;
        }
        backing_read(page, buffer, copy->bytes);
        expand(page, buffer, frame);
    }
    return copy->place;
}

void copies_drop(size_t page)
{
    if (copies[page].place == COPY_POOL)
        leave_pool((uint32_t)page);
    copies[page].place = COPY_NONE;
}

const struct copies_counts *copies_counts(void)
{
    return &counts;
}

size_t copies_held(void)
{
    return held;
}

size_t copies_pool_bytes(void)
{
    return pool_used(&pool);
}

size_t copies_pool_peak(void)
{
    return pool_peak(&pool);
}

bool copies_check(size_t pages)
{
    uint8_t *const mark = calloc(pool_units(&pool) + 1, sizeof(*mark));
    size_t in_pool = 0, without_frame = 0, queued = 0;
    bool whole;

    if (!mark) {
        printf("zpage: no memory to check the pool\n");
        return false;
    }
    for (size_t page = 0; page < pages; page++) {
        if (copies[page].place != COPY_POOL)
            continue;
        in_pool++;
        without_frame += !copies[page].has_frame;
        pool_mark(&pool, copies[page].object, copies[page].bytes, mark);
    }
    for (uint32_t page = oldest; page != NOBODY && queued <= in_pool; page = copies[page].newer)
        queued += copies[page].place == COPY_POOL;
    whole = pool_whole(&pool, mark);
    free(mark);
    if (!whole)
        printf("zpage: units of the pool are lost or used twice\n");
    if (queued != in_pool || without_frame != held)
        printf(
            "zpage: %zu copies in the pool, %zu in its queue; %zu without a frame, %zu counted\n",
            in_pool, queued, without_frame, held);
    return whole && queued == in_pool && without_frame == held;
}

void copies_count_anew(void)
{
    counts = (struct copies_counts){.compressed = 0};
}
