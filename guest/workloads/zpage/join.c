/*
 * A hash join of two tables, R and S, that lie in the space with the hash table: the rows of R are
 * put into chains by their keys (a random store for each), then for each row of S the chain of its
 * key is followed. Each thread joins tables of its own in its share of the pages. References are
 * offsets from the share's beginning, so that the contents do not depend on where the memory is.
 */
#include <trapline/portable.h>

#include "guest/common/random.h"
#include "guest/workloads/zpage/work.h"

enum {
    SEED = 90125,
    NONE = 0, /* a reference to nothing: the buckets lie at the beginning */
    LAYOUT_WORDS = 14,
};

struct row {
    uint32_t key;
    uint32_t next; /* of R: the next row of the chain; of S: how many rows of R it met */
    uint64_t payload[LAYOUT_WORDS];
};

struct tables {
    char *share;
    volatile uint32_t *buckets; /* as many as rows */
    volatile struct row *r, *s;
    size_t rows; /* of each table */
    size_t first_page;
};

static struct tables tables_of(const struct work *work, unsigned thread)
{
    const size_t pages = work->pages / work->threads;
    const size_t rows =
        pages * TRAPLINE_PAGE_SIZE / (2 * sizeof(struct row) + sizeof(uint32_t)) - 1;
    const size_t head = (rows * sizeof(uint32_t) / sizeof(struct row) + 1) * sizeof(struct row);
    char *const share = work->memory + thread * pages * TRAPLINE_PAGE_SIZE;

    return (struct tables){.share = share,
                           .buckets = (uint32_t *)share,
                           .r = (struct row *)(share + head),
                           .s = (struct row *)(share + head) + rows,
                           .rows = rows,
                           .first_page = thread * pages};
}

static void fill_row(const struct work *work, const struct tables *tables, volatile struct row *row,
                     uint64_t *random)
{
    const size_t offset = (size_t)((char *)row - tables->share);

    row->key = (uint32_t)random_below(random, tables->rows);
    row->next = NONE;
    content_fill(work->content, tables->first_page + offset / TRAPLINE_PAGE_SIZE, row->key,
                 (void *)row->payload, CONTENT_BLOCK);
}

void join_fill(struct work *work, unsigned thread)
{
    const struct tables tables = tables_of(work, thread);
    uint64_t random = SEED + thread;

    for (size_t i = 0; i < 2 * tables.rows; i++)
        fill_row(work, &tables, &tables.r[i], &random);
}

static void build(const struct tables *tables, struct work_result *result)
{
    for (size_t i = 0; i < tables->rows; i++) {
        volatile struct row *const row = &tables->r[i];
        volatile uint32_t *const bucket = &tables->buckets[row->key];

        row->next = *bucket;
        *bucket = (uint32_t)((char *)row - tables->share);
        result->accesses += 2;
    }
}

static void probe(const struct tables *tables, volatile struct row *row, struct work_result *result)
{
    uint32_t met = 0;

    for (uint32_t at = tables->buckets[row->key]; at != NONE && met < tables->rows;) {
        const volatile struct row *const other = (struct row *)(tables->share + at);

        result->wrong += other->key != row->key;
        for (size_t i = 0; i < CONTENT_BLOCK / sizeof(uint64_t); i++)
            result->sum = result->sum * 3 + (other->payload[i] ^ row->payload[i]);
        at = other->next;
        met++;
        result->accesses++;
    }
    row->next = met;
    result->accesses += 2;
}

void join_run(struct work *work, unsigned thread)
{
    const struct tables tables = tables_of(work, thread);

    build(&tables, &work->results[thread]);
    for (size_t i = 0; i < tables.rows; i++)
        probe(&tables, &tables.s[i], &work->results[thread]);
}
