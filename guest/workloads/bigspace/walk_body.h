/*
 * A walk, for whoever includes this with these defined:
 *
 *   WALK_REFERENCE, WALK_OBJECT    types: what objects hold to refer to others, and objects
 *   WALK_CONTEXT                   type: where they are
 *   WALK_LOOK(context, reference)  the object, to be read
 *   WALK_CHANGE(context, reference) the object, to be written
 *   WALK_HOLD(walk, index, reference) keep a reference in the stack
 *   WALK_HELD(walk, index)         what is there
 *
 * All references that are kept from one object to the next are in the stack.
 */
#include "guest/workloads/bigspace/build.h"
#include "guest/workloads/bigspace/walk.h"

enum {
    WALK_LAST = 0,  /* in the stack: the composite part before */
    WALK_FLOOR = 1, /* the path from the root */
    WALK_STACK = WALK_FLOOR + LEVELS_MOST + 1 + PARTS + 1,
};

struct walk {
    WALK_CONTEXT *context;
    enum walk_kind kind;
    unsigned depth;           /* of the stack */
    uint8_t next[WALK_STACK]; /* of each object on it, the reference to follow next */
    WALK_REFERENCE *stack;    /* where the context has none */
    struct walk_result result;
};

static void push(struct walk *walk, WALK_REFERENCE reference)
{
    WALK_HOLD(walk, walk->depth, reference);
    walk->next[walk->depth++] = 0;
}

static void pop(struct walk *walk)
{
    WALK_HOLD(walk, --walk->depth, 0);
}

static const WALK_OBJECT *look(struct walk *walk)
{
    walk->result.looks++;
    return WALK_LOOK(walk->context, WALK_HELD(walk, walk->depth - 1));
}

static WALK_OBJECT *change(struct walk *walk)
{
    walk->result.looks++;
    return WALK_CHANGE(walk->context, WALK_HELD(walk, walk->depth - 1));
}

/* Of the part on top; it may have another address afterwards. */
static void visit(struct walk *walk, const struct object_data *part)
{
    walk->result.parts++;
    walk->result.sum = walk->result.sum * 31 + part->id + part->x;
    if (walk->kind == WALK_UPDATE) {
        struct object_data *const data = &change(walk)->data;
        const uint64_t x = data->x;

        data->x = data->y;
        data->y = x;
    } else if (walk->kind == WALK_RELINK) {
        WALK_OBJECT *const object = change(walk);
        const WALK_REFERENCE first = object->refs[0];

        for (unsigned i = 1; i < PART_CONNECTIONS; i++)
            object->refs[i - 1] = object->refs[i];
        object->refs[PART_CONNECTIONS - 1] = first;
    }
}

/* All parts of the composite part on top. */
static void walk_parts(struct walk *walk)
{
    const unsigned floor = walk->depth;
    uint32_t seen = 0;

    if (walk->kind == WALK_RELINK) {
        change(walk)->refs[COMPOSITE_LAST] = WALK_HELD(walk, WALK_LAST);
        WALK_HOLD(walk, WALK_LAST, WALK_HELD(walk, floor - 1));
    }
    push(walk, look(walk)->refs[COMPOSITE_ROOT]);
    while (walk->depth > floor) {
        const unsigned next = walk->next[walk->depth - 1]++;
        const WALK_OBJECT *part = look(walk);

        if (next == 0) {
            const uint32_t bit = 1u << part->data.number;

            if (seen & bit) {
                pop(walk);
                continue;
            }
            seen |= bit;
            visit(walk, &part->data);
            part = look(walk);
        }
        if (next < PART_CONNECTIONS)
            push(walk, part->refs[next]);
        else
            pop(walk);
    }
}

/* Of what the reference on the stack's floor refers to. */
static void walk_all(struct walk *walk)
{
    while (walk->depth > WALK_FLOOR) {
        const WALK_OBJECT *const object = look(walk);
        unsigned next;

        if (object->data.kind == OBJECT_COMPOSITE) {
            walk_parts(walk);
            pop(walk);
            continue;
        }
        next = walk->next[walk->depth - 1]++;
        if (next < FANOUT)
            push(walk, object->refs[next]);
        else
            pop(walk);
    }
    WALK_HOLD(walk, WALK_LAST, 0);
}
