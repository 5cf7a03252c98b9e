#include "guest/workloads/store/script.h"

#include "guest/common/random.h"

enum {
    OPERATIONS_MAX = 6, /* of a transaction */
    ABORTED = 8,        /* one transaction of so many */
    DELETES = 4,        /* one operation of so many */
};

struct operation {
    uint64_t key;
    bool deletes;
};

struct transaction {
    struct operation operations[OPERATIONS_MAX];
    unsigned count;
    bool aborts;
};

static void make(struct transaction *transaction, uint64_t number, uint64_t keys)
{
    uint64_t state = number * 0x9e3779b97f4a7c15ull;

    random_next(&state);
    transaction->count = 1 + (unsigned)random_below(&state, OPERATIONS_MAX);
    transaction->aborts = random_below(&state, ABORTED) == 0;
    for (unsigned i = 0; i < transaction->count; i++) {
        transaction->operations[i].key = random_below(&state, keys);
        transaction->operations[i].deletes = random_below(&state, DELETES) == 0;
    }
}

/* The value of a key as a transaction puts it. */
static void make_value(uint64_t *value, uint64_t key, uint64_t number)
{
    for (unsigned i = 0; i < TABLE_WORDS; i++)
        value[i] = (key + 1) * 0xff51afd7ed558ccdull ^ (number << 8 | i);
}

bool model_create(struct model *model, uint64_t keys)
{
    *model = (struct model){calloc(keys, sizeof(*model->versions)), keys};
    return model->versions != NULL;
}

void model_destroy(struct model *model)
{
    free(model->versions);
}

void model_copy(struct model *to, const struct model *from)
{
    memcpy(to->versions, from->versions, from->keys * sizeof(*from->versions));
}

bool model_run(struct model *model, uint64_t number)
{
    struct transaction transaction;

    make(&transaction, number, model->keys);
    for (unsigned i = 0; i < transaction.count && !transaction.aborts; i++)
        model->versions[transaction.operations[i].key] =
            transaction.operations[i].deletes ? 0 : number;
    return !transaction.aborts;
}

int script_run(struct table *table, uint64_t number, uint64_t keys)
{
    struct transaction transaction;
    int error = store_begin(table->store);

    if (error)
        return error;
    make(&transaction, number, keys);
    for (unsigned i = 0; i < transaction.count; i++) {
        const struct operation *const operation = &transaction.operations[i];
        uint64_t value[TABLE_WORDS];

        if (operation->deletes) {
            table_delete(table, operation->key);
            continue;
        }
        make_value(value, operation->key, number);
        if (!table_put(table, operation->key, value)) {
            store_abort(table->store);
            return -TRAPLINE_ENOMEM;
        }
    }
    if (transaction.aborts) {
        store_abort(table->store);
        return 0;
    }
    error = store_commit(table->store);
    if (error)
        store_abort(table->store);
    return error ? error : 1;
}

static bool check_key(const struct table *table, uint64_t key, uint64_t version)
{
    const uint64_t *const value = table_get(table, key);
    uint64_t wanted[TABLE_WORDS];

    if (!version || !value)
        return !version && !value;
    make_value(wanted, key, version);
    return memcmp(value, wanted, sizeof(wanted)) == 0;
}

bool script_check(const struct table *table, const struct model *model, bool say)
{
    uint64_t used, wanted = 0;

    if (!table_exists(table) || !table_check(table, &used)) {
        if (say)
            printf("store: the table's chains are broken\n");
        return false;
    }
    for (uint64_t key = 0; key < model->keys; key++) {
        wanted += model->versions[key] != 0;
        if (check_key(table, key, model->versions[key]))
            continue;
        if (say)
            printf("store: key %lu is not as transaction %lu left it\n", key, model->versions[key]);
        return false;
    }
    if (used != wanted && say)
        printf("store: %lu entries are in use, %lu should be\n", used, wanted);
    return used == wanted;
}
