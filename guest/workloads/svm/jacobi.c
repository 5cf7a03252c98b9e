/*
 * Jacobi's method for Laplace's equation on a square: each point becomes the mean of its four
 * neighbours, from one grid to another, by turns. Each node has a band of rows; only the rows at
 * the edges of the bands go from node to node.
 */
#include "guest/workloads/svm/kernels.h"

static uint64_t fit(uint64_t size, unsigned count)
{
    return size >= 2 + count ? size : 0;
}

static size_t grid_bytes(const struct work *work)
{
    const size_t page = TRAPLINE_PAGE_SIZE;

    return (work->size * work->size * sizeof(double) + page - 1) / page * page;
}

static size_t bytes(const struct work *work)
{
    return 2 * grid_bytes(work);
}

static double *grid(void *memory, const struct work *work, unsigned which)
{
    return (double *)((char *)memory + which * grid_bytes(work));
}

/* Both grids alike: uneven everywhere, so that every point changes in every round. */
static void fill(void *memory, const struct work *work)
{
    for (unsigned which = 0; which < 2; which++) {
        double *points = grid(memory, work, which);

        for (uint64_t i = 0; i < work->size * work->size; i++)
            points[i] = (double)(i * i % 1009);
    }
}

static void relax(const double *from, double *to, uint64_t size, uint64_t first, uint64_t end)
{
    for (uint64_t y = first; y < end; y++) {
        const double *row = from + y * size;

        for (uint64_t x = 1; x < size - 1; x++)
            to[y * size + x] = (row[x - 1] + row[x + 1] + row[x - size] + row[x + size]) / 4;
    }
}

void jacobi_round(void *memory, const struct work *work, const struct crew *crew, uint64_t round)
{
    const uint64_t rows = work->size - 2;

    relax(grid(memory, work, round % 2), grid(memory, work, (round + 1) % 2), work->size,
          1 + crew_part(rows, crew, crew->self), 1 + crew_part(rows, crew, crew->self + 1));
}

static void run(void *memory, const struct work *work, const struct crew *crew)
{
    for (uint64_t round = 0; round < work->rounds; round++) {
        jacobi_round(memory, work, crew, round);
        crew->meet();
    }
}

static size_t result(const struct work *work, size_t *length)
{
    *length = work->size * work->size * sizeof(double);
    return work->rounds % 2 * grid_bytes(work);
}

const struct kernel kernel_jacobi = {
    .name = "jacobi",
    .usual = {.size = 256, .rounds = 16},
    .fit = fit,
    .bytes = bytes,
    .fill = fill,
    .run = run,
    .result = result,
};
