/* Arrays of all sizes up to some pages, of which the latest ones are kept. */
#include "guest/common/random.h"
#include "guest/workloads/overflow/program.h"

enum {
    LARGEST = 5 * PAGE / WORD,
    SMALL = 64,
    LARGE_ONE_OF = 4, /* one array of so many may be large */
    KEPT = 16,
};

/* How long the next array is. */
static uint64_t length(uint64_t *random)
{
    const uint64_t most = random_below(random, LARGE_ONE_OF) ? SMALL : LARGEST;

    return 1 + random_below(random, most);
}

PROGRAM_INLINE struct program_result run(struct heap *heap, uint64_t rounds, bool checks)
{
    struct program_result result = {.objects = rounds};
    uint64_t random = 1;

    for (uint64_t round = 0; round < rounds; round++) {
        const uint64_t fields = length(&random);

        heap->roots[round % KEPT] =
            (uint64_t)heap_new_array(heap, fields, number_field(round), checks);
    }
    for (unsigned i = 0; i < KEPT && i < rounds; i++) {
        const struct object *const array = field_object(heap->roots[i]);

        for (uint64_t j = 0; j < object_fields(array); j++)
            result.sum = sum_add(result.sum, field_number(array->field[j]));
    }
    return result;
}

PROGRAM_CODE(run)

static struct program_result expected(uint64_t rounds)
{
    struct program_result result = {.objects = rounds};
    uint64_t lengths[KEPT], kept[KEPT], random = 1;

    for (uint64_t round = 0; round < rounds; round++) {
        lengths[round % KEPT] = length(&random);
        kept[round % KEPT] = round;
    }
    for (unsigned i = 0; i < KEPT && i < rounds; i++)
        for (uint64_t j = 0; j < lengths[i]; j++)
            result.sum = sum_add(result.sum, kept[i]);
    return result;
}

const struct program program_arrays = {"arrays", run_checked, run_unchecked, expected};
