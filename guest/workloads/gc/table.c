/*
 * A hash table that all mutators share, with entries that come and go, and data of one word to
 * several pages that some of them refer to. A mutator changes only keys of its own, so it knows
 * what each has to be: a version, in a plain array, from which the value and the data follow. The
 * table of buckets, a large object that is all pointers, is made anew every so often.
 */
#include "guest/common/random.h"
#include "guest/workloads/gc/program.h"

enum {
    BUCKETS,
    ENTRY,
    DATA,
    BUCKETS_LEAST = 1024,
    KEYS_PER_BUCKET = 2,
    REHASH = 1024, /* changes between two tables of buckets */
    KINDS = 10,    /* of ten operations */
    PUTS = 5,      /* so many write, */
    DELETES = 2,   /* so many delete, and the others look */
    SMALL_DATA = 12,
    LARGE_SHARE = 64, /* one entry in so many has large data */
    LARGE_DATA = 1500,
};

struct entry {
    struct entry *next;
    uint64_t *data;
    uint64_t key, version, value;
};

/* Slots of all mutators, and what they share outside the heap. */
static void *shared[1];
static struct gc_frame shared_frame = {.slots = shared, .count = 1};
static struct mutex lock; /* of the table */
static uint64_t changes;
static uint32_t *versions; /* of each key; 0 = it is not there */

static uint64_t value_of(uint64_t key, uint64_t version)
{
    return program_mix(key, version);
}

static bool entry_intact(const void *object, size_t elements)
{
    const struct entry *const entry = object;

    (void)elements;
    return entry->value == value_of(entry->key, entry->version);
}

static bool data_intact(const void *object, size_t elements)
{
    const uint64_t *const words = object;

    for (size_t i = 1; i < elements; i++)
        if (words[i] != program_mix(words[0], i))
            return false;
    return true;
}

static const struct gc_type types[] = {
    [BUCKETS] = {.name = "table of buckets", .element_words = 1, .element_pointers = 1},
    [ENTRY] = {.name = "entry", .words = 5, .pointers = 3, .intact = entry_intact},
    [DATA] = {.name = "data", .element_words = 1, .intact = data_intact},
};

/* Words of data of an entry; 0 = it has none. */
static size_t data_words(uint64_t value)
{
    return value % LARGE_SHARE == 0 ? LARGE_DATA : value % SMALL_DATA;
}

static struct entry **bucket_of(uint64_t key)
{
    struct entry **const buckets = shared[0];

    return &buckets[program_mix(key, BUCKETS) % gc_elements(buckets)];
}

static struct entry *find(uint64_t key)
{
    struct entry *entry = *bucket_of(key);

    while (entry && entry->key != key)
        entry = entry->next;
    return entry;
}

/* A table of buckets of the size that is right now, with all that is in the old one. */
static bool rehash(struct gc_mutator *mutator, uint64_t keys)
{
    const uint64_t wanted = keys / KEYS_PER_BUCKET;
    struct entry **const fresh =
        gc_alloc(mutator, BUCKETS, wanted > BUCKETS_LEAST ? wanted : BUCKETS_LEAST);
    struct entry **const old = shared[0];

    if (!fresh)
        return false;
    shared[0] = fresh;
    for (size_t i = 0; old && i < gc_elements(old); i++) {
        for (struct entry *entry = old[i], *next; entry; entry = next) {
            struct entry **const bucket = bucket_of(entry->key);

            next = entry->next;
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    return true;
}

static void delete (uint64_t key)
{
    struct entry **link = bucket_of(key);

    while (*link && (*link)->key != key)
        link = &(*link)->next;
    if (*link)
        *link = (*link)->next;
}

static bool put(struct gc_mutator *mutator, uint64_t key, uint64_t version)
{
    void *slot[1] = {NULL};
    struct gc_frame frame = {.slots = slot, .count = 1};
    const uint64_t value = value_of(key, version);
    const size_t words = data_words(value);
    struct entry *entry;

    gc_enter(mutator, &frame);
    if (words) {
        uint64_t *const data = slot[0] = gc_alloc(mutator, DATA, words);

        for (size_t i = 0; data && i < words; i++)
            data[i] = i ? program_mix(value, i) : value;
    }
    entry = words && !slot[0] ? NULL : gc_alloc(mutator, ENTRY, 0);
    if (entry) {
        delete (key);
        *entry = (struct entry){.next = *bucket_of(key),
                                .data = slot[0],
                                .key = key,
                                .version = version,
                                .value = value};
        *bucket_of(key) = entry;
    }
    gc_leave(mutator);
    return entry;
}

/* Whether the table has of a key what it should. */
static bool look(uint64_t key)
{
    const struct entry *const entry = find(key);
    const size_t words = entry ? data_words(entry->value) : 0;

    if ((entry ? entry->version : 0) == versions[key] &&
        (!entry || (entry_intact(entry, 0) && !entry->data == !words)) &&
        (!words || (gc_elements(entry->data) == words && entry->data[0] == entry->value &&
                    data_intact(entry->data, words))))
        return true;
    printf("table: key %lu is not what was written: version %lu in place of %lu\n",
           (unsigned long)key, (unsigned long)(entry ? entry->version : 0),
           (unsigned long)versions[key]);
    return false;
}

/* One operation, with the lock held. */
static bool step(struct gc_mutator *mutator, uint64_t key, uint64_t version, uint64_t kind,
                 uint64_t keys)
{
    if (kind >= PUTS + DELETES)
        return look(key);
    if (++changes % REHASH == 0 && !rehash(mutator, keys))
        return false;
    if (kind < PUTS && !put(mutator, key, version))
        return false;
    if (kind >= PUTS)
        delete (key);
    versions[key] = kind < PUTS ? (uint32_t)version : 0;
    return true;
}

static bool prepare(struct gc_heap *heap, const struct program_options *options)
{
    versions = calloc(options->size, sizeof(*versions));
    gc_globals(heap, &shared_frame);
    return versions;
}

static bool run(struct gc_mutator *mutator, const struct program_options *options)
{
    const uint64_t own = options->size / options->mutators;
    uint64_t random = options->seed + thread_self();
    bool good;

    gc_lock(mutator, &lock);
    good = shared[0] || rehash(mutator, options->size);
    mutex_unlock(&lock);
    for (uint64_t i = 1; i <= options->rounds && good; i++) {
        const uint64_t key = random_below(&random, own) * options->mutators + thread_self();
        const uint64_t kind = random_below(&random, KINDS);

        gc_lock(mutator, &lock);
        good = step(mutator, key, i, kind, options->size);
        mutex_unlock(&lock);
    }
    return good;
}

static bool finish(struct gc_mutator *mutator, const struct program_options *options)
{
    uint64_t present = 0, found = 0;
    bool good = true;

    if (options->verify)
        gc_collect(mutator);
    for (uint64_t key = 0; options->verify && key < options->size && good; key++) {
        present += versions[key] != 0;
        good = look(key);
    }
    for (size_t i = 0; good && i < gc_elements(shared[0]); i++)
        for (const struct entry *at = ((struct entry **)shared[0])[i]; at; at = at->next)
            found++;
    if (good && options->verify && found != present) {
        printf("table: %lu entries in place of %lu\n", (unsigned long)found,
               (unsigned long)present);
        good = false;
    }
    free(versions);
    return good;
}

const struct program table = {
    .name = "table",
    .types = types,
    .type_count = sizeof(types) / sizeof(types[0]),
    .size = 4096,
    .rounds = 40000,
    .most = 1 << 24,
    .prepare = prepare,
    .run = run,
    .finish = finish,
};
