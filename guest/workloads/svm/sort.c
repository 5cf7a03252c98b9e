/*
 * Sorting by merging and splitting: every node has two neighbouring blocks, which it sorts; then,
 * in as many phases as there are blocks, pairs of neighbours, those from an even and those from an
 * odd block by turns, are merged, the smaller half into the first. Half of the phases take a block
 * from another node.
 */
#include "guest/workloads/svm/kernels.h"

#include "guest/common/random.h"
#include "guest/common/statistics.h"

enum {
    BLOCKS_EACH = 2,
};

static uint64_t blocks_of(const struct crew *crew)
{
    return BLOCKS_EACH * crew->count;
}

/* Blocks of whole pages, so that no page has two owners by turns for no reason. */
static uint64_t fit(uint64_t size, unsigned count)
{
    return size - size % (BLOCKS_EACH * count * (TRAPLINE_PAGE_SIZE / sizeof(uint64_t)));
}

static size_t bytes(const struct work *work)
{
    return work->size * sizeof(uint64_t);
}

static void fill(void *memory, const struct work *work)
{
    uint64_t *values = memory, state = 88172645463325252ull;

    for (uint64_t i = 0; i < work->size; i++)
        values[i] = random_next(&state);
}

/* Merge two sorted blocks that follow one another, by way of other memory. */
static void merge(uint64_t *values, uint64_t length, uint64_t *other)
{
    uint64_t left = 0, right = length;

    for (uint64_t i = 0; i < 2 * length; i++) {
        if (right == 2 * length || (left < length && values[left] <= values[right]))
            other[i] = values[left++];
        else
            other[i] = values[right++];
    }
    memcpy(values, other, 2 * length * sizeof(*values));
}

static void run(void *memory, const struct work *work, const struct crew *crew)
{
    const uint64_t blocks = blocks_of(crew), length = work->size / blocks;
    const uint64_t mine = BLOCKS_EACH * crew->self;
    uint64_t *values = memory, *other = malloc(2 * length * sizeof(*other));

    assert(other);
    for (uint64_t block = mine; block < mine + BLOCKS_EACH; block++)
        sort_values(values + block * length, length);
    for (uint64_t phase = 0; phase < blocks; phase++) {
        const uint64_t first = mine + phase % 2;

        if (first + 1 < blocks)
            merge(values + first * length, length, other);
        crew->meet();
    }
    free(other);
}

static size_t result(const struct work *work, size_t *length)
{
    *length = bytes(work);
    return 0;
}

const struct kernel kernel_sort = {
    .name = "sort",
    .usual = {.size = 24576},
    .fit = fit,
    .bytes = bytes,
    .fill = fill,
    .run = run,
    .result = result,
};
