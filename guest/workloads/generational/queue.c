/*
 * A queue whose length wanders: what is old is read and dropped at its head, and the one old object
 * that is written, time and again, is the last one before a collection. Each mutator has its own.
 */
#include "guest/workloads/generational/program.h"

enum {
    QUEUE = 0,
    HEAD = 0, /* the queue's fields; its first entry was taken already */
    TAIL = 1,
    QUEUE_FIELDS = 2,
    NEXT = 0, /* an entry's; its value is its number, from the model's first on */
    DATA = 1,
    ENTRY_FIELDS = 2,
    FIRST = 0, /* the model: the numbers of the entry at the head, taken, and of the last */
    LAST = 1,
    ENTRY_BYTES = sizeof(struct object) + ENTRY_FIELDS * sizeof(struct object *),
    DATA_BYTES = sizeof(struct object),
};

PROGRAM_INLINE struct object *new_entry(struct work *work, uint64_t number, bool marks)
{
    struct object *const entry = heap_new(work->mutator, ENTRY_FIELDS, number);

    program_store(work, entry, DATA, heap_new(work->mutator, 0, program_value(number, 0)), marks);
    return entry;
}

PROGRAM_INLINE void push(struct work *work, bool marks)
{
    struct object *const queue = work->mutator->roots[QUEUE];
    struct object *const entry = new_entry(work, ++work->model[LAST], marks);

    program_store(work, queue->field[TAIL], NEXT, entry, marks);
    program_store(work, queue, TAIL, entry, marks);
}

PROGRAM_INLINE void pop(struct work *work, bool marks)
{
    struct object *const queue = work->mutator->roots[QUEUE];
    struct object *const entry = queue->field[HEAD]->field[NEXT];
    const uint64_t number = ++work->model[FIRST];

    work->wrong += entry->value != number || entry->field[DATA]->value != program_value(number, 0);
    program_store(work, queue, HEAD, entry, marks);
}

PROGRAM_INLINE void fill(struct work *work, bool marks)
{
    heap_reserve(work->mutator, object_bytes(QUEUE_FIELDS) + ENTRY_BYTES + DATA_BYTES);
    work->mutator->roots[QUEUE] = heap_new(work->mutator, QUEUE_FIELDS, 0);
    program_store(work, work->mutator->roots[QUEUE], HEAD, new_entry(work, 0, marks), marks);
    program_store(work, work->mutator->roots[QUEUE], TAIL, work->mutator->roots[QUEUE]->field[HEAD],
                  marks);
    for (uint64_t i = 0; i < work->size / 2; i++) {
        heap_reserve(work->mutator, ENTRY_BYTES + DATA_BYTES);
        push(work, marks);
    }
}

PROGRAM_INLINE void run(struct work *work, bool marks)
{
    const size_t bytes = work->burst * (ENTRY_BYTES + DATA_BYTES) + program_garbage_bytes(work);

    for (uint64_t i = 0; i < work->operations; i++) {
        const uint64_t length = work->model[LAST] - work->model[FIRST];
        const bool pushes = random_below(&work->random, work->size) >= length;

        heap_reserve(work->mutator, bytes);
        program_garbage(work);
        for (uint64_t j = 0; j < work->burst; j++) {
            if (pushes)
                push(work, marks);
            else if (work->model[LAST] != work->model[FIRST])
                pop(work, marks);
        }
    }
}

PROGRAM_CODE(fill, run)

static bool check(const struct work *work)
{
    const struct object *const queue = work->mutator->roots[QUEUE];
    const struct object *entry = queue->field[HEAD];
    uint64_t number = work->model[FIRST];

    if (work->wrong) {
        printf("generational: queue: %lu entries were not what was put in\n", work->wrong);
        return false;
    }
    while (entry->field[NEXT] && entry->value == number) {
        entry = entry->field[NEXT];
        number++;
    }
    if (entry == queue->field[TAIL] && entry->value == number && number == work->model[LAST])
        return true;
    printf("generational: queue: entry %lu of %lu to %lu is not in its place\n", number,
           work->model[FIRST], work->model[LAST]);
    return false;
}

const struct program program_queue = {.name = "queue",
                                      .plain = {fill_plain, run_plain},
                                      .marking = {fill_marking, run_marking},
                                      .check = check};
