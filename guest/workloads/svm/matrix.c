/*
 * The product of two square matrices: each node computes a band of rows, for which it reads a band
 * of the first and all of the second.
 */
#include "guest/workloads/svm/kernels.h"

static uint64_t fit(uint64_t size, unsigned count)
{
    return size >= count ? size : 0;
}

static size_t matrix_bytes(const struct work *work)
{
    const size_t page = TRAPLINE_PAGE_SIZE;

    return (work->size * work->size * sizeof(double) + page - 1) / page * page;
}

static size_t bytes(const struct work *work)
{
    return 3 * matrix_bytes(work);
}

static double *matrix(void *memory, const struct work *work, unsigned which)
{
    return (double *)((char *)memory + which * matrix_bytes(work));
}

static void fill(void *memory, const struct work *work)
{
    double *left = matrix(memory, work, 0), *right = matrix(memory, work, 1);

    for (uint64_t i = 0; i < work->size * work->size; i++) {
        left[i] = (double)(i % 17);
        right[i] = (double)(i % 13);
    }
    memset(matrix(memory, work, 2), 0, matrix_bytes(work));
}

static void run(void *memory, const struct work *work, const struct crew *crew)
{
    const uint64_t size = work->size;
    const uint64_t end = crew_part(size, crew, crew->self + 1);
    const double *left = matrix(memory, work, 0), *right = matrix(memory, work, 1);
    double *product = matrix(memory, work, 2);

    for (uint64_t y = crew_part(size, crew, crew->self); y < end; y++) {
        for (uint64_t x = 0; x < size; x++) {
            double sum = 0;

            for (uint64_t i = 0; i < size; i++)
                sum += left[y * size + i] * right[i * size + x];
            product[y * size + x] = sum;
        }
    }
    crew->meet();
}

static size_t result(const struct work *work, size_t *length)
{
    *length = work->size * work->size * sizeof(double);
    return 2 * matrix_bytes(work);
}

const struct kernel kernel_matrix = {
    .name = "matrix",
    .usual = {.size = 128},
    .fit = fit,
    .bytes = bytes,
    .fill = fill,
    .run = run,
    .result = result,
};
