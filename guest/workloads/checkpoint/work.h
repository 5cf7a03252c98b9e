/*
 * The computation that is checkpointed: heat spreads over a square plate (Jacobi's iteration), and
 * what is seen on the way is counted in tables.
 *
 * The plate's rows are divided among parts, each of which has a table of its own. Everything is in
 * one piece of memory, how far each part has come included, and holds no address: a copy of the
 * memory made while no part is in a step can be gone on with, anywhere, by any number of threads,
 * and ends with the same bytes.
 *
 * A part may begin a round when its neighbours have ended the one before: there are two plates, of
 * which a round reads one and writes the other.
 */
#ifndef CHECKPOINT_WORK_H
#define CHECKPOINT_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WORK_SIDE_MOST = 4096,
    WORK_PARTS_MOST = 32,
    WORK_KEYS_PER_PAGE = 128, /* of a table */
};

struct work_size {
    uint64_t side;  /* rows and columns of the plate, at least 2 * parts + 2, at most SIDE_MOST */
    uint64_t parts; /* 1 to PARTS_MOST */
    uint64_t keys;  /* of all tables, at least KEYS_PER_PAGE for each */
    uint64_t rounds;
};

/* Pages that a computation takes. */
size_t work_pages(const struct work_size *size);

/* Make the state that a computation begins with, in work_pages() zeroed pages. */
void work_format(void *memory, const struct work_size *size);

/* Whether memory holds the state of a computation of that size. */
bool work_is(const void *memory, const struct work_size *size);

enum work_progress {
    WORK_DONE,  /* a step was made */
    WORK_WAITS, /* a neighbour has to come on first */
    WORK_ENDED,
};

/* Make a step of a part: compute a row, count. A part's steps are made by one thread at a time. */
enum work_progress work_step(void *memory, unsigned part);

/* The steps that all parts have made together, and those of a whole computation. */
uint64_t work_steps(const void *memory);
uint64_t work_steps_in_all(const struct work_size *size);

/* A checksum of the whole memory, of so many pages, whatever is there. */
uint64_t work_sum(const void *memory, size_t pages);

/*
 * Whether the state of a computation that ended is one: the tables hold as many counts as there
 * were steps, each key at most once and in its page, and the plate is between its coldest and
 * hottest edge. What is wrong is printed.
 */
bool work_check(const void *memory);

#endif
