#include "guest/workloads/checkpoint/work.h"

#include <stdatomic.h>

#include <trapline/portable.h>

#include "guest/common/checksum.h"
#include "guest/common/random.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    DRAWS = 8,          /* counted in a step */
    WINDOW = 512,       /* keys that are drawn from, at a time */
    FAR_ONE_IN = 2048,  /* draws that are of any key */
    EDGE_HOTTEST = 100, /* degrees */
};

/* A key of 0 is none. */
struct entry {
    uint64_t key;
    uint32_t count;
    float heat; /* seen last */
};

enum {
    ENTRIES = PAGE / sizeof(struct entry), /* of a table's page: twice the keys, for probing */
};

/* How far a part has come; it has a page of its own. */
struct part {
    _Atomic uint64_t steps;
    uint64_t random;
};

/* The memory's first page. */
struct header {
    struct work_size size;
};

/* Where everything is, from the memory's begin, in pages. */
struct layout {
    size_t parts, plates[2], tables, table_pages, pages;
};

static struct layout layout_of(const struct work_size *size)
{
    const size_t plate = (size->side * size->side * sizeof(double) + PAGE - 1) / PAGE;
    struct layout layout = {.parts = 1,
                            .table_pages = size->keys / size->parts / WORK_KEYS_PER_PAGE};

    layout.plates[0] = layout.parts + size->parts;
    layout.plates[1] = layout.plates[0] + plate;
    layout.tables = layout.plates[1] + plate;
    layout.pages = layout.tables + size->parts * layout.table_pages;
    return layout;
}

size_t work_pages(const struct work_size *size)
{
    return layout_of(size).pages;
}

static void *page_at(const void *memory, size_t page)
{
    return (char *)memory + page * PAGE;
}

static struct part *part_at(const void *memory, const struct layout *layout, unsigned part)
{
    return page_at(memory, layout->parts + part);
}

/* The first row of a part; the plate's outermost rows are nobody's. */
static uint64_t first_row(const struct work_size *size, unsigned part)
{
    return 1 + (size->side - 2) * part / size->parts;
}

static uint64_t rows_of(const struct work_size *size, unsigned part)
{
    return first_row(size, part + 1) - first_row(size, part);
}

uint64_t work_steps_in_all(const struct work_size *size)
{
    return (size->side - 2) * size->rounds;
}

void work_format(void *memory, const struct work_size *size)
{
    const struct layout layout = layout_of(size);
    const uint64_t side = size->side;
    uint64_t random = 1;

    ((struct header *)memory)->size = *size;
    for (unsigned i = 0; i < size->parts; i++)
        part_at(memory, &layout, i)->random = random_next(&random);
    for (unsigned i = 0; i < 2; i++) {
        double *const plate = page_at(memory, layout.plates[i]);

        for (uint64_t at = 0; at < side; at++) {
            plate[at] = EDGE_HOTTEST;
            plate[at * side] = (double)(EDGE_HOTTEST * (side - 1 - at)) / (double)(side - 1);
        }
    }
}

bool work_is(const void *memory, const struct work_size *size)
{
    return memcmp(&((const struct header *)memory)->size, size, sizeof(*size)) == 0;
}

/* Where a key is in its page, or would be. */
static struct entry *find(struct entry *page, uint64_t key)
{
    uint64_t at = (key * 0x9e3779b97f4a7c15ull) >> 32;

    while (page[at % ENTRIES].key != 0 && page[at % ENTRIES].key != key)
        at++;
    return &page[at % ENTRIES];
}

/* Keys are drawn near a place that moves through the table as the work goes on, and rarely afar. */
static void count(void *memory, const struct layout *layout, const struct work_size *size,
                  unsigned number, uint64_t step, const double *row)
{
    struct part *const part = part_at(memory, layout, number);
    const uint64_t keys = layout->table_pages * WORK_KEYS_PER_PAGE;
    const uint64_t near = keys * step / (rows_of(size, number) * size->rounds);
    const size_t table = layout->tables + number * layout->table_pages;

    for (unsigned i = 0; i < DRAWS; i++) {
        const uint64_t draw = random_next(&part->random);
        const uint64_t key =
            (draw % FAR_ONE_IN == 0 ? draw / FAR_ONE_IN : near + draw / FAR_ONE_IN % WINDOW) % keys;
        struct entry *const entry =
            find(page_at(memory, table + key / WORK_KEYS_PER_PAGE), key + 1);

        entry->key = key + 1;
        entry->count++;
        entry->heat = (float)row[1 + (draw >> 32) % (size->side - 2)];
    }
}

static void compute(const double *from, double *to, uint64_t side)
{
    for (uint64_t i = 1; i < side - 1; i++)
        to[i] = (from[i - 1] + from[i + 1] + from[i - side] + from[i + side]) / 4;
}

/* Whether a part has ended so many rounds. */
static bool has_ended(const void *memory, const struct layout *layout, const struct work_size *size,
                      unsigned part, uint64_t rounds)
{
    const uint64_t steps =
        atomic_load_explicit(&part_at(memory, layout, part)->steps, memory_order_acquire);

    return steps >= rounds * rows_of(size, part);
}

enum work_progress work_step(void *memory, unsigned number)
{
    const struct work_size *const size = &((struct header *)memory)->size;
    const struct layout layout = layout_of(size);
    struct part *const part = part_at(memory, &layout, number);
    const uint64_t step = atomic_load_explicit(&part->steps, memory_order_relaxed);
    const uint64_t rows = rows_of(size, number), round = step / rows;
    const uint64_t at = (first_row(size, number) + step % rows) * size->side;
    double *to;

    if (round == size->rounds)
        return WORK_ENDED;
    if (step % rows == 0 &&
        ((number > 0 && !has_ended(memory, &layout, size, number - 1, round)) ||
         (number + 1 < size->parts && !has_ended(memory, &layout, size, number + 1, round))))
        return WORK_WAITS;
    to = (double *)page_at(memory, layout.plates[(round + 1) % 2]) + at;
    compute((double *)page_at(memory, layout.plates[round % 2]) + at, to, size->side);
    count(memory, &layout, size, number, step, to);
    atomic_store_explicit(&part->steps, step + 1, memory_order_release);
    return WORK_DONE;
}

uint64_t work_steps(const void *memory)
{
    const struct work_size *const size = &((const struct header *)memory)->size;
    const struct layout layout = layout_of(size);
    uint64_t steps = 0;

    for (unsigned i = 0; i < size->parts; i++)
        steps += atomic_load_explicit(&part_at(memory, &layout, i)->steps, memory_order_relaxed);
    return steps;
}

uint64_t work_sum(const void *memory, size_t pages)
{
    return checksum(CHECKSUM_START, memory, pages * PAGE);
}

/* What is counted in a part's table, or UINT64_MAX when a key is where find() does not see it. */
static uint64_t counts_of(const void *memory, const struct layout *layout, unsigned part)
{
    uint64_t counts = 0;

    for (size_t i = 0; i < layout->table_pages; i++) {
        struct entry *const page = page_at(memory, layout->tables + part * layout->table_pages + i);

        for (size_t j = 0; j < ENTRIES; j++) {
            if (page[j].key == 0)
                continue;
            if ((page[j].key - 1) / WORK_KEYS_PER_PAGE != i || find(page, page[j].key) != &page[j])
                return UINT64_MAX;
            counts += page[j].count;
        }
    }
    return counts;
}

bool work_check(const void *memory)
{
    const struct work_size *const size = &((const struct header *)memory)->size;
    const struct layout layout = layout_of(size);
    const double *const plate = page_at(memory, layout.plates[size->rounds % 2]);

    for (unsigned i = 0; i < size->parts; i++) {
        const uint64_t steps = rows_of(size, i) * size->rounds;

        if (atomic_load_explicit(&part_at(memory, &layout, i)->steps, memory_order_relaxed) !=
                steps ||
            counts_of(memory, &layout, i) != steps * DRAWS) {
            printf("checkpoint: part %u has not counted %lu times\n", i, steps * DRAWS);
            return false;
        }
    }
    for (uint64_t i = 0; i < size->side * size->side; i++) {
        if (!(plate[i] >= 0 && plate[i] <= EDGE_HOTTEST)) {
            printf("checkpoint: the plate is %f degrees hot at row %lu, column %lu\n", plate[i],
                   i / size->side, i % size->side);
            return false;
        }
    }
    return true;
}
