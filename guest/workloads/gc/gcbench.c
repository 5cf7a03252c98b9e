/*
 * GCBench, by John Ellis and Pete Kovac, in the form that Hans Boehm gave it: a large tree that is
 * dropped, a tree and an array that live to the end, and many short-lived trees of several depths,
 * half of them built from the root and half from the leaves. Depths are smaller here than there;
 * the array shrinks with them. Every node has a number, and the numbers of a tree follow one
 * another.
 */
#include "guest/workloads/gc/program.h"

enum {
    NODE,
    ARRAY,
    DEPTH_LEAST = 4,
    DEPTH_STEP = 2,
    DEPTH_MOST = 18,
    STRETCH = 2,             /* the first tree is deeper by so much */
    ARRAY_DEPTH = 16,        /* at that depth the original's array has */
    ARRAY_ELEMENTS = 500000, /* this length */
};

struct node {
    struct node *left, *right;
    uint64_t number, check;
};

struct bench {
    struct gc_mutator *mutator;
    uint64_t numbers; /* given so far */
    bool verify;
};

static bool node_intact(const void *object, size_t elements)
{
    const struct node *const node = object;

    (void)elements;
    return node->check == program_mix(node->number, NODE);
}

static bool array_intact(const void *object, size_t elements)
{
    const uint64_t *const words = object;

    for (size_t i = 0; i < elements; i++)
        if (words[i] != program_mix(i, ARRAY))
            return false;
    return true;
}

static const struct gc_type types[] = {
    [NODE] = {.name = "node", .words = 4, .pointers = 3, .intact = node_intact},
    [ARRAY] = {.name = "array", .element_words = 1, .intact = array_intact},
};

static uint64_t tree_size(uint64_t depth)
{
    return (2ull << depth) - 1;
}

static struct node *new_node(struct bench *bench)
{
    struct node *const node = gc_alloc(bench->mutator, NODE, 0);

    if (node) {
        node->number = bench->numbers++;
        node->check = program_mix(node->number, NODE);
    }
    return node;
}

/* A tree from its leaves upwards, or NULL. */
static struct node *make_tree(struct bench *bench, uint64_t depth)
{
    void *slot[2] = {NULL};
    struct gc_frame frame = {.slots = slot, .count = 2};
    struct node *node;

    if (depth == 0)
        return new_node(bench);
    gc_enter(bench->mutator, &frame);
    slot[0] = make_tree(bench, depth - 1);
    slot[1] = slot[0] ? make_tree(bench, depth - 1) : NULL;
    node = slot[1] ? new_node(bench) : NULL;
    if (node) {
        node->left = slot[0];
        node->right = slot[1];
    }
    gc_leave(bench->mutator);
    return node;
}

/* Give a node a tree below it, from the top downwards. Returns false without memory for it. */
static bool populate(struct bench *bench, struct node *root, uint64_t depth)
{
    void *slot[1] = {root};
    struct gc_frame frame = {.slots = slot, .count = 1};
    struct node *child;
    bool good;

    if (depth == 0)
        return true;
    gc_enter(bench->mutator, &frame);
    child = new_node(bench);
    ((struct node *)slot[0])->left = child;
    good = child;
    if (good) {
        child = new_node(bench);
        ((struct node *)slot[0])->right = child;
        good = child;
    }
    good = good && populate(bench, ((struct node *)slot[0])->left, depth - 1) &&
           populate(bench, ((struct node *)slot[0])->right, depth - 1);
    gc_leave(bench->mutator);
    return good;
}

/* A populated tree. */
static struct node *grow_tree(struct bench *bench, uint64_t depth)
{
    void *slot[1] = {new_node(bench)};
    struct gc_frame frame = {.slots = slot, .count = 1};
    bool good;

    gc_enter(bench->mutator, &frame);
    good = slot[0] && populate(bench, slot[0], depth);
    gc_leave(bench->mutator);
    return good ? slot[0] : NULL;
}

/* Add what a tree consists of; it allocates nothing. */
static void sum_tree(const struct node *node, uint64_t *nodes, uint64_t *sum)
{
    if (!node)
        return;
    *nodes += 1;
    *sum += node_intact(node, 0) ? node->number : 0;
    sum_tree(node->left, nodes, sum);
    sum_tree(node->right, nodes, sum);
}

/* Whether a tree has all its nodes, whose numbers begin with first. */
static bool check_tree(const struct node *tree, uint64_t depth, uint64_t first)
{
    const uint64_t size = tree_size(depth);
    uint64_t nodes = 0, sum = 0;

    sum_tree(tree, &nodes, &sum);
    if (nodes == size && sum == size * first + size * (size - 1) / 2)
        return true;
    printf("gcbench: a tree of depth %lu has %lu nodes of %lu, and the sum of their numbers is "
           "%lu in place of %lu\n",
           (unsigned long)depth, (unsigned long)nodes, (unsigned long)size, (unsigned long)sum,
           (unsigned long)(size * first + size * (size - 1) / 2));
    return false;
}

/* One tree that is dropped again. */
static bool short_lived(struct bench *bench, uint64_t depth, bool from_root)
{
    const uint64_t first = bench->numbers;
    const struct node *const tree = from_root ? grow_tree(bench, depth) : make_tree(bench, depth);

    return tree && (!bench->verify || check_tree(tree, depth, first));
}

static bool short_lived_trees(struct bench *bench, uint64_t most)
{
    for (uint64_t depth = DEPTH_LEAST; depth <= most; depth += DEPTH_STEP) {
        const uint64_t trees = 2 * tree_size(most + STRETCH) / tree_size(depth);

        for (uint64_t i = 0; i < 2 * trees; i++)
            if (!short_lived(bench, depth, i < trees))
                return false;
    }
    return true;
}

static uint64_t *make_array(struct bench *bench, uint64_t depth)
{
    const uint64_t length = (ARRAY_ELEMENTS << depth) >> ARRAY_DEPTH;
    uint64_t *const array = gc_alloc(bench->mutator, ARRAY, length ? length : 1);

    for (uint64_t i = 0; array && i < gc_elements(array); i++)
        array[i] = program_mix(i, ARRAY);
    return array;
}

static bool run(struct gc_mutator *mutator, const struct program_options *options)
{
    struct bench bench = {.mutator = mutator, .verify = options->verify};
    void *slot[2] = {NULL};
    struct gc_frame frame = {.slots = slot, .count = 2};
    const uint64_t depth = options->size;
    bool good = true;

    gc_enter(mutator, &frame);
    for (uint64_t round = 0; round < options->rounds && good; round++) {
        uint64_t first;

        slot[0] = slot[1] = NULL;
        good = short_lived(&bench, depth + STRETCH, false);
        first = bench.numbers;
        slot[0] = good ? grow_tree(&bench, depth) : NULL;
        slot[1] = slot[0] ? make_array(&bench, depth) : NULL;
        good = slot[1] && short_lived_trees(&bench, depth);
        if (good && options->verify)
            gc_collect(mutator);
        good = good && check_tree(slot[0], depth, first);
        if (good && !array_intact(slot[1], gc_elements(slot[1]))) {
            printf("gcbench: the array is not what it was\n");
            good = false;
        }
    }
    gc_leave(mutator);
    return good;
}

const struct program gcbench = {
    .name = "gcbench",
    .types = types,
    .type_count = sizeof(types) / sizeof(types[0]),
    .size = 11,
    .rounds = 1,
    .most = DEPTH_MOST,
    .run = run,
};
