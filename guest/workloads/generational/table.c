/*
 * A hash table of keys and values with chains. All mutators use one array of buckets, each its own
 * buckets; so they write to the same pages.
 */
#include "guest/workloads/generational/program.h"

enum {
    ARRAY = 0, /* the root: the buckets, one object; the work's extra is how many */
    NEXT = 0,  /* the fields of an entry; its value is the key */
    DATA = 1,
    ENTRY_FIELDS = 2,
    CHAIN = 2,    /* entries of a bucket, about */
    DELETES = 16, /* one operation of so many removes its keys */
};

/* Mutator index has the keys that are index more than a multiple of count, and their buckets. */
static uint64_t key_at(const struct work *work, uint64_t place)
{
    return place * work->count + work->index;
}

static bool setup(struct heap *heap, struct work *works)
{
    const unsigned count = heap->options.mutators;
    const uint64_t buckets = (works[0].size / CHAIN + 1) * count;
    struct object *const array = heap_new_old(heap, buckets, buckets);

    for (unsigned i = 0; i < count && array; i++) {
        heap->mutators[i].roots[ARRAY] = array;
        works[i].extra = buckets;
    }
    return array != NULL;
}

PROGRAM_INLINE void put(struct work *work, uint64_t place, uint64_t version, bool marks)
{
    const uint64_t key = key_at(work, place), bucket = key % work->extra;
    struct object *const array = work->mutator->roots[ARRAY];
    struct object *const data = heap_new(work->mutator, 0, program_value(key, version));
    struct object *entry = array->field[bucket];

    while (entry && entry->value != key)
        entry = entry->field[NEXT];
    if (!entry) {
        entry = heap_new(work->mutator, ENTRY_FIELDS, key);
        program_store(work, entry, NEXT, array->field[bucket], marks);
        program_store(work, array, bucket, entry, marks);
    }
    program_store(work, entry, DATA, data, marks);
    work->model[place] = version;
}

PROGRAM_INLINE void drop(struct work *work, uint64_t place, bool marks)
{
    const uint64_t key = key_at(work, place);
    struct object *holder = work->mutator->roots[ARRAY];
    uint64_t field = key % work->extra;

    while (holder->field[field] && holder->field[field]->value != key) {
        holder = holder->field[field];
        field = NEXT;
    }
    if (holder->field[field])
        program_store(work, holder, field, holder->field[field]->field[NEXT], marks);
    work->model[place] = 0;
}

PROGRAM_INLINE void fill(struct work *work, bool marks)
{
    for (uint64_t place = 0; place < work->size; place++) {
        heap_reserve(work->mutator, object_bytes(0) + object_bytes(ENTRY_FIELDS));
        put(work, place, 1, marks);
    }
}

PROGRAM_INLINE void run(struct work *work, bool marks)
{
    const size_t bytes =
        work->burst * (object_bytes(0) + object_bytes(ENTRY_FIELDS)) + program_garbage_bytes(work);

    for (uint64_t i = 0; i < work->operations; i++) {
        const uint64_t place = random_below(&work->random, work->size);
        const bool deletes = random_below(&work->random, DELETES) == 0;

        heap_reserve(work->mutator, bytes);
        program_garbage(work);
        for (uint64_t j = 0; j < work->burst; j++) {
            if (deletes)
                drop(work, (place + j) % work->size, marks);
            else
                put(work, (place + j) % work->size, i + 2, marks);
        }
    }
}

PROGRAM_CODE(fill, run)

static const struct object *find(const struct work *work, uint64_t key)
{
    const struct object *entry = work->mutator->roots[ARRAY]->field[key % work->extra];

    while (entry && entry->value != key)
        entry = entry->field[NEXT];
    return entry;
}

/* Entries in this mutator's buckets. */
static uint64_t count_entries(const struct work *work)
{
    const struct object *const array = work->mutator->roots[ARRAY];
    uint64_t count = 0;

    for (uint64_t bucket = work->index; bucket < work->extra; bucket += work->count)
        for (const struct object *entry = array->field[bucket]; entry; entry = entry->field[NEXT])
            count++;
    return count;
}

static bool check(const struct work *work)
{
    uint64_t wanted = 0;

    for (uint64_t place = 0; place < work->size; place++) {
        const uint64_t key = key_at(work, place), version = work->model[place];
        const struct object *const entry = find(work, key);

        wanted += version != 0;
        if (version ? entry && entry->field[DATA]->value == program_value(key, version) : !entry)
            continue;
        printf("generational: table: key %lu is not as it was left (version %lu)\n", key, version);
        return false;
    }
    if (count_entries(work) == wanted)
        return true;
    printf("generational: table: %lu entries are there, not %lu\n", count_entries(work), wanted);
    return false;
}

const struct program program_table = {.name = "table",
                                      .setup = setup,
                                      .plain = {fill_plain, run_plain},
                                      .marking = {fill_marking, run_marking},
                                      .check = check};
