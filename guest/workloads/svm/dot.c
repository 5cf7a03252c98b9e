/*
 * The dot product of two vectors, a bad case: every number is used once, so that all that a node
 * does is wait for pages. The sum is a shared variable behind a lock.
 */
#include "guest/workloads/svm/kernels.h"

enum {
    SUM_LOCK = 0,
};

static uint64_t fit(uint64_t size, unsigned count)
{
    return size >= count ? size : 0;
}

static size_t vector_bytes(const struct work *work)
{
    const size_t page = TRAPLINE_PAGE_SIZE;

    return (work->size * sizeof(double) + page - 1) / page * page;
}

/* The sum has a page of its own, the first. */
static size_t bytes(const struct work *work)
{
    return TRAPLINE_PAGE_SIZE + 2 * vector_bytes(work);
}

static double *vector(void *memory, const struct work *work, unsigned which)
{
    return (double *)((char *)memory + TRAPLINE_PAGE_SIZE + which * vector_bytes(work));
}

/* Small whole numbers: their sum is the same in whatever order it is made. */
static void fill(void *memory, const struct work *work)
{
    *(double *)memory = 0;
    for (uint64_t i = 0; i < work->size; i++) {
        vector(memory, work, 0)[i] = (double)(i % 101);
        vector(memory, work, 1)[i] = (double)(i % 89);
    }
}

static void run(void *memory, const struct work *work, const struct crew *crew)
{
    const double *left = vector(memory, work, 0), *right = vector(memory, work, 1);
    const uint64_t end = crew_part(work->size, crew, crew->self + 1);
    double sum = 0;

    for (uint64_t i = crew_part(work->size, crew, crew->self); i < end; i++)
        sum += left[i] * right[i];
    crew->lock(SUM_LOCK);
    *(volatile double *)memory += sum;
    crew->unlock(SUM_LOCK);
    crew->meet();
}

static size_t result(const struct work *work, size_t *length)
{
    (void)work;
    *length = sizeof(double);
    return 0;
}

const struct kernel kernel_dot = {
    .name = "dot",
    .usual = {.size = 32768},
    .fit = fit,
    .bytes = bytes,
    .fill = fill,
    .run = run,
    .result = result,
};
