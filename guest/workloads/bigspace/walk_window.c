#include "guest/workloads/bigspace/window.h"

#define WALK_REFERENCE                    uint32_t
#define WALK_OBJECT                       struct object32
#define WALK_CONTEXT                      struct window
#define WALK_LOOK(window, reference)      window_object(window, reference)
#define WALK_CHANGE(window, reference)    window_object(window, reference)
#define WALK_HOLD(walk, index, reference) window_root((walk)->context, index, reference)
#define WALK_HELD(walk, index)            ((walk)->context->roots[index])
#include "guest/workloads/bigspace/walk_body.h"

_Static_assert((int)WALK_STACK <= (int)WINDOW_ROOTS, "WINDOW_ROOTS");

void walk_window(struct window *window, uint64_t root, enum walk_kind kind,
                 struct walk_result *result)
{
    struct walk walk = {.context = window, .kind = kind, .depth = WALK_FLOOR};

    push(&walk, window_reference(window, root));
    walk_all(&walk);
    *result = walk.result;
}
