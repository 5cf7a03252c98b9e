/*
 * A full binary tree. An operation replaces what a row of neighbouring nodes hold, or a small
 * subtree by a new one. Each mutator has a tree of its own.
 */
#include "guest/workloads/generational/program.h"

enum {
    ROOT = 0,
    LEFT = 0, /* the fields of a node; its value is its number: 1, and 2n and 2n + 1 below n */
    RIGHT = 1,
    DATA = 2,
    NODE_FIELDS = 3,
    GRAFTS = 8, /* one operation of so many replaces a subtree */
    GRAFT_LEVELS = 3,
    GRAFT_NODES = (1 << GRAFT_LEVELS) - 1,
    SIZE_LEAST = 2 << GRAFT_LEVELS,
    NODE_BYTES = sizeof(struct object) + NODE_FIELDS * sizeof(struct object *),
    DATA_BYTES = sizeof(struct object),
};

/* The sizes become powers of two. */
static bool setup(struct heap *heap, struct work *works)
{
    for (unsigned i = 0; i < heap->options.mutators; i++)
        while (works[i].size & (works[i].size - 1))
            works[i].size &= works[i].size - 1;
    return works[0].size >= SIZE_LEAST;
}

PROGRAM_INLINE struct object *new_node(struct work *work, uint64_t number, uint64_t version,
                                       bool marks)
{
    struct object *const node = heap_new(work->mutator, NODE_FIELDS, number);

    program_store(work, node, DATA, heap_new(work->mutator, 0, program_value(number, version)),
                  marks);
    work->model[number] = version;
    return node;
}

/* The node of a number, by the bits of it below the highest. */
PROGRAM_INLINE struct object *find(const struct work *work, uint64_t number)
{
    struct object *node = work->mutator->roots[ROOT];

    for (int bit = 62 - __builtin_clzll(number); bit >= 0; bit--)
        node = node->field[number >> bit & 1];
    return node;
}

/* Nodes 1 to size - 1. */
PROGRAM_INLINE void fill(struct work *work, bool marks)
{
    heap_reserve(work->mutator, NODE_BYTES + DATA_BYTES);
    work->mutator->roots[ROOT] = new_node(work, 1, 1, marks);
    for (uint64_t number = 2; number < work->size; number++) {
        heap_reserve(work->mutator, NODE_BYTES + DATA_BYTES);
        program_store(work, find(work, number / 2), number & 1, new_node(work, number, 1, marks),
                      marks);
    }
}

/* A new subtree in place of the one that node number is the root of; number is not 1. */
PROGRAM_INLINE void graft(struct work *work, uint64_t number, uint64_t version, bool marks)
{
    struct object *nodes[GRAFT_NODES + 1];

    nodes[1] = new_node(work, number, version, marks);
    for (uint64_t i = 2; i <= GRAFT_NODES; i++) {
        const unsigned level = 63 - (unsigned)__builtin_clzll(i);

        nodes[i] = new_node(work, (number << level) + (i - (1ull << level)), version, marks);
        program_store(work, nodes[i / 2], i & 1, nodes[i], marks);
    }
    program_store(work, find(work, number / 2), number & 1, nodes[1], marks);
}

PROGRAM_INLINE void run(struct work *work, bool marks)
{
    const uint64_t grafts_from = work->size >> GRAFT_LEVELS;
    const size_t bytes = work->burst * DATA_BYTES + GRAFT_NODES * (NODE_BYTES + DATA_BYTES) +
                         program_garbage_bytes(work);

    for (uint64_t i = 0; i < work->operations; i++) {
        const uint64_t version = i + 2;
        const uint64_t first = 1 + random_below(&work->random, work->size - 1);

        heap_reserve(work->mutator, bytes);
        program_garbage(work);
        if (random_below(&work->random, GRAFTS) == 0) {
            graft(work, grafts_from + first % grafts_from, version, marks);
            continue;
        }
        for (uint64_t j = 0; j < work->burst; j++) {
            const uint64_t number = 1 + (first + j - 1) % (work->size - 1);

            program_store(work, find(work, number), DATA,
                          heap_new(work->mutator, 0, program_value(number, version)), marks);
            work->model[number] = version;
        }
    }
}

PROGRAM_CODE(fill, run)

static bool check(const struct work *work)
{
    for (uint64_t number = 1; number < work->size; number++) {
        const struct object *const node = find(work, number);

        if (node->value == number &&
            node->field[DATA]->value == program_value(number, work->model[number]))
            continue;
        printf("generational: tree: node %lu is not as it was left (version %lu)\n", number,
               work->model[number]);
        return false;
    }
    return true;
}

const struct program program_tree = {.name = "tree",
                                     .setup = setup,
                                     .plain = {fill_plain, run_plain},
                                     .marking = {fill_marking, run_marking},
                                     .check = check};
