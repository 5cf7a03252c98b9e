#include "guest/workloads/bigspace/space.h"

#define WALK_REFERENCE                  uint64_t
#define WALK_OBJECT                     struct object64
#define WALK_CONTEXT                    struct space
#define WALK_LOOK(space, address)       bigspace_object(space, address)
#define WALK_CHANGE(space, address)     bigspace_object(space, address)
#define WALK_HOLD(walk, index, address) ((walk)->stack[index] = (address))
#define WALK_HELD(walk, index)          ((walk)->stack[index])
#include "guest/workloads/bigspace/walk_body.h"

void walk_space(struct space *space, uint64_t root, enum walk_kind kind, struct walk_result *result)
{
    uint64_t stack[WALK_STACK] = {0};
    struct walk walk = {.context = space, .kind = kind, .depth = WALK_FLOOR, .stack = stack};

    push(&walk, root);
    walk_all(&walk);
    *result = walk.result;
}
