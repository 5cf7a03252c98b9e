/*
 * What is done to the table: transactions of a few puts and deletes, the same in every run, some of
 * them aborted in the end; and a plain array that says what the table must then hold.
 */
#ifndef STORE_SCRIPT_H
#define STORE_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/workloads/store/table.h"

/* What the table holds: of each key the number of the transaction that put it last, 0 = nothing. */
struct model {
    uint64_t *versions;
    uint64_t keys;
};

bool model_create(struct model *model, uint64_t keys);
void model_destroy(struct model *model);
void model_copy(struct model *to, const struct model *from);

/* Do transaction number number, from 1 on, to the model. Whether it is one that commits. */
bool model_run(struct model *model, uint64_t number);

/*
 * Do it to the table of a store. Returns 1 when it was committed, 0 when it was one that is
 * aborted, or what the store said.
 */
int script_run(struct table *table, uint64_t number, uint64_t keys);

/* Whether the table holds what the model says, and is sound; says what is wrong if told so. */
bool script_check(const struct table *table, const struct model *model, bool say);

#endif
