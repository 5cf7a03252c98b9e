#include "guest/common/statistics.h"

static void swap(uint64_t *a, uint64_t *b)
{
    const uint64_t value = *a;

    *a = *b;
    *b = value;
}

/* Restore the heap order below root. */
static void sift_down(uint64_t *values, size_t root, size_t count)
{
    for (;;) {
        size_t child = 2 * root + 1;

        if (child >= count)
            return;
        if (child + 1 < count && values[child + 1] > values[child])
            child++;
        if (values[root] >= values[child])
            return;
        swap(&values[root], &values[child]);
        root = child;
    }
}

void sort_values(uint64_t *values, size_t count)
{
    for (size_t root = count / 2; root-- > 0;)
        sift_down(values, root, count);
    for (size_t end = count; end > 1; end--) {
        swap(&values[0], &values[end - 1]);
        sift_down(values, 0, end - 1);
    }
}

double median_of(const uint64_t *sorted, size_t count)
{
    const size_t middle = count / 2;

    if (count % 2)
        return (double)sorted[middle];
    return ((double)sorted[middle - 1] + (double)sorted[middle]) / 2;
}

uint64_t percentile_of(const uint64_t *sorted, size_t count, unsigned percent)
{
    const size_t rank = (count * percent + 99) / 100;

    return sorted[rank ? rank - 1 : 0];
}
