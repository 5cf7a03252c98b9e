/* Full binary trees, built from their leaves up, of which the latest ones are kept. */
#include "guest/workloads/overflow/program.h"

enum {
    NUMBER = 0, /* the fields of a node */
    LEFT = 1,
    RIGHT = 2,
    NODE_FIELDS = 3,
    LEVELS = 10,
    LEAVES = 1 << (LEVELS - 1),
    NODES = 2 * LEAVES - 1,
    KEPT = 4,
    TREE = KEPT, /* roots: from 0 on what is kept; from here on the trees of each level that wait */
    NOTHING = KEPT + LEVELS, /* a root that stays NULL */
};

static inline uint64_t element(uint64_t round, uint64_t i)
{
    return (round * NODES + i) & 0xffffff;
}

PROGRAM_INLINE struct object *new_node(struct heap *heap, uint64_t number, unsigned right,
                                       bool checks)
{
    struct object *const node = heap_new(heap, NODE_FIELDS, &heap->roots[right], checks);

    node->field[NUMBER] = number_field(number);
    return node;
}

/* A leaf; then, as long as a tree of the same height waits, a node above both. */
PROGRAM_INLINE void build(struct heap *heap, uint64_t round, bool checks)
{
    uint64_t made = 0;

    for (uint64_t leaf = 1; leaf <= LEAVES; leaf++) {
        struct object *node = new_node(heap, element(round, made++), NOTHING, checks);
        unsigned level = TREE;

        node->field[LEFT] = 0;
        /* As counting does in binary: a level is full when the bit is set. */
        for (uint64_t bits = leaf; !(bits & 1); bits >>= 1, level++) {
            const unsigned right = TREE + LEVELS + 1;

            heap->roots[right] = (uint64_t)node;
            node = new_node(heap, element(round, made++), right, checks);
            node->field[LEFT] = heap->roots[level];
        }
        heap->roots[level] = (uint64_t)node;
    }
    heap->roots[round % KEPT] = heap->roots[TREE + LEVELS - 1];
}

/* Nodes in the order in which they were made: left, right, node. */
static uint64_t sum_tree(uint64_t sum, uint64_t tree)
{
    const struct object *const node = field_object(tree);

    if (node->field[LEFT]) {
        sum = sum_tree(sum, node->field[LEFT]);
        sum = sum_tree(sum, node->field[RIGHT]);
    }
    return sum_add(sum, field_number(node->field[NUMBER]));
}

PROGRAM_INLINE struct program_result run(struct heap *heap, uint64_t rounds, bool checks)
{
    struct program_result result = {.objects = rounds * NODES};

    for (uint64_t round = 0; round < rounds; round++)
        build(heap, round, checks);
    for (unsigned i = 0; i < KEPT; i++)
        result.sum = heap->roots[i] ? sum_tree(result.sum, heap->roots[i]) : result.sum;
    return result;
}

PROGRAM_CODE(run)

static struct program_result expected(uint64_t rounds)
{
    struct program_result result = {.objects = rounds * NODES};

    for (uint64_t i = 0; i < KEPT; i++) {
        const uint64_t round = rounds - 1 - (rounds - 1 + KEPT - i) % KEPT;

        for (uint64_t j = 0; j < NODES && round < rounds; j++)
            result.sum = sum_add(result.sum, element(round, j));
    }
    return result;
}

const struct program program_trees = {"trees", run_checked, run_unchecked, expected};
