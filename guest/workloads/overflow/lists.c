/* Lists of numbers: made, and mapped to others, of which the latest ones are kept. */
#include "guest/workloads/overflow/program.h"

enum {
    NUMBER = 0, /* the fields of a cell */
    REST = 1,
    CELL_FIELDS = 2,
    LENGTH = 1000,
    KEPT = 8,
    LIST = KEPT, /* roots: from 0 on what is kept, and the two lists of the moment */
    MAPPED = KEPT + 1,
};

static inline uint64_t element(uint64_t round, uint64_t i)
{
    return (round * LENGTH + i) & 0xffffff;
}

static inline uint64_t map(uint64_t number)
{
    return number * 3 + 1;
}

PROGRAM_INLINE void push(struct heap *heap, unsigned root, uint64_t number, bool checks)
{
    struct object *const cell = heap_new(heap, CELL_FIELDS, &heap->roots[root], checks);

    cell->field[NUMBER] = number_field(number);
    heap->roots[root] = (uint64_t)cell;
}

static uint64_t sum_list(uint64_t sum, uint64_t list)
{
    for (; list; list = field_object(list)->field[REST])
        sum = sum_add(sum, field_number(field_object(list)->field[NUMBER]));
    return sum;
}

PROGRAM_INLINE struct program_result run(struct heap *heap, uint64_t rounds, bool checks)
{
    struct program_result result = {0};

    for (uint64_t round = 0; round < rounds; round++) {
        heap->roots[LIST] = heap->roots[MAPPED] = 0;
        for (uint64_t i = 0; i < LENGTH; i++)
            push(heap, LIST, element(round, i), checks);
        /* The list itself is a root: what is still to be mapped. */
        for (; heap->roots[LIST]; heap->roots[LIST] = field_object(heap->roots[LIST])->field[REST])
            push(heap, MAPPED, map(field_number(field_object(heap->roots[LIST])->field[NUMBER])),
                 checks);
        heap->roots[round % KEPT] = heap->roots[MAPPED];
        result.objects += 2 * LENGTH;
    }
    for (unsigned i = 0; i < KEPT; i++)
        result.sum = sum_list(result.sum, heap->roots[i]);
    return result;
}

PROGRAM_CODE(run)

static struct program_result expected(uint64_t rounds)
{
    struct program_result result = {.objects = rounds * 2 * LENGTH};

    for (uint64_t i = 0; i < KEPT; i++) {
        /* The last round that was kept in this place. */
        const uint64_t round = rounds - 1 - (rounds - 1 + KEPT - i) % KEPT;

        for (uint64_t j = 0; j < LENGTH && round < rounds; j++)
            result.sum = sum_add(result.sum, map(element(round, j)));
    }
    return result;
}

const struct program program_lists = {"lists", run_checked, run_unchecked, expected};
