/*
 * A linked list that is walked from end to end, again and again, while some of its nodes are
 * replaced by new ones: what a collector that scans page by page finds hardest, since each node is
 * known only from the one before it.
 */
#include "guest/common/random.h"
#include "guest/workloads/gc/program.h"

enum {
    NODE,
    REPLACED = 4, /* one node in so many, each round */
};

struct node {
    struct node *next;
    uint64_t value, check;
};

static bool node_intact(const void *object, size_t elements)
{
    const struct node *const node = object;

    (void)elements;
    return node->check == program_mix(node->value, NODE);
}

static const struct gc_type types[] = {
    [NODE] = {.name = "list node", .words = 3, .pointers = 1, .intact = node_intact},
};

static struct node *new_node(struct gc_mutator *mutator, uint64_t value)
{
    struct node *const node = gc_alloc(mutator, NODE, 0);

    if (node) {
        node->value = value;
        node->check = program_mix(value, NODE);
    }
    return node;
}

/* Put the first node in slot[0]; what the list holds goes to model[]. */
static bool build(struct gc_mutator *mutator, void **slot, uint64_t *model, uint64_t nodes,
                  uint64_t *random)
{
    slot[0] = NULL;
    for (uint64_t i = nodes; i-- > 0;) {
        struct node *const node = new_node(mutator, random_next(random));

        if (!node)
            return false;
        model[i] = node->value;
        node->next = slot[0];
        slot[0] = node;
    }
    return true;
}

/* Walk along; slot[1] is the node before the one at hand. */
static bool replace_some(struct gc_mutator *mutator, void **slot, uint64_t *model, uint64_t nodes,
                         uint64_t *random)
{
    slot[1] = slot[0];
    for (uint64_t i = 1; i < nodes; i++) {
        if (random_below(random, REPLACED) == 0) {
            struct node *const node = new_node(mutator, random_next(random));
            struct node *const before = slot[1];

            if (!node)
                return false;
            model[i] = node->value;
            node->next = before->next->next;
            before->next = node;
        }
        slot[1] = ((struct node *)slot[1])->next;
    }
    return true;
}

/* Whether the list is what model[] says. */
static bool check(const struct node *node, const uint64_t *model, uint64_t nodes)
{
    uint64_t i = 0;

    for (; node; node = node->next, i++) {
        if (i < nodes && node->value == model[i] && node_intact(node, 0))
            continue;
        printf("list: node %lu of %lu is not what was written\n", (unsigned long)i,
               (unsigned long)nodes);
        return false;
    }
    if (i != nodes)
        printf("list: %lu nodes in place of %lu\n", (unsigned long)i, (unsigned long)nodes);
    return i == nodes;
}

static bool run(struct gc_mutator *mutator, const struct program_options *options)
{
    uint64_t *const model = calloc(options->size, sizeof(*model));
    uint64_t random = options->seed + thread_self();
    void *slot[2] = {NULL};
    struct gc_frame frame = {.slots = slot, .count = 2};
    bool good = model;

    gc_enter(mutator, &frame);
    good = good && build(mutator, slot, model, options->size, &random);
    for (uint64_t round = 0; round < options->rounds && good; round++)
        good = replace_some(mutator, slot, model, options->size, &random) &&
               (!options->verify || check(slot[0], model, options->size));
    if (good && options->verify)
        gc_collect(mutator);
    good = good && check(slot[0], model, options->size);
    gc_leave(mutator);
    free(model);
    return good;
}

const struct program list = {
    .name = "list",
    .types = types,
    .type_count = sizeof(types) / sizeof(types[0]),
    .size = 8000,
    .rounds = 100,
    .most = 1 << 24,
    .run = run,
};
