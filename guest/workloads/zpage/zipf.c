#include "guest/workloads/zpage/zipf.h"

#include <trapline/portable.h>

#include "guest/common/random.h"

enum {
    SEED = 4711,
};

#define UNIT (1ull << 40) /* the weight of rank 1 */

static uint64_t *up_to; /* of each rank, from 0: the weights of all up to it */
static uint32_t *page_of;
static size_t ranks;

bool zipf_init(size_t pages)
{
    uint64_t random = SEED, sum = 0;

    ranks = pages;
    up_to = malloc(pages * sizeof(*up_to));
    page_of = malloc(pages * sizeof(*page_of));
    if (!up_to || !page_of)
        return false;
    for (size_t i = 0; i < pages; i++) {
        const size_t other = random_below(&random, i + 1);

        sum += UNIT / (i + 1);
        up_to[i] = sum;
        page_of[i] = page_of[other];
        page_of[other] = (uint32_t)i;
    }
    return true;
}

size_t zipf_page(uint64_t random)
{
    const uint64_t weight = random % up_to[ranks - 1];
    size_t low = 0, high = ranks - 1;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (up_to[middle] > weight)
            high = middle;
        else
            low = middle + 1;
    }
    return page_of[low];
}
