/*
 * The programs that use the space. They know nothing of paging: given ordinary memory they do the
 * same and come to the same contents and sums, which is what the verification compares.
 */
#ifndef ZPAGE_WORK_H
#define ZPAGE_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/workloads/zpage/content.h"

enum program {
    PROGRAM_RANDOM, /* blocks of pages that are chosen by a Zipf distribution */
    PROGRAM_SCAN,   /* all blocks, one after the other, again and again */
    PROGRAM_JOIN    /* a hash join: see join.c */
};

enum {
    WORK_THREADS_MAX = 32,
};

struct work_result {
    uint64_t sum;      /* of what was read */
    uint64_t accesses; /* blocks read or written */
    uint64_t wrong;    /* blocks that were not what was written there last */
};

struct work {
    char *memory;
    size_t pages;
    unsigned threads;
    enum program program;
    enum content_kind content;
    uint64_t accesses; /* of each thread; a join takes what it takes */
    unsigned writes;   /* percent of the accesses */
    uint32_t *written; /* by thread and page: writes so far; NULL: nothing is checked on the way */
    struct work_result results[WORK_THREADS_MAX];
};

/* What programs need beside their memory. Returns false when there is no memory for it. */
bool work_init(size_t pages);

/* Fill the thread's part of the memory; run the program on it. Threads are 0 to threads - 1. */
void work_fill(struct work *work, unsigned thread);
void work_run(struct work *work, unsigned thread);

/* touch.c and join.c: the same for programs of theirs. */
void touch_fill(struct work *work, unsigned thread);
void touch_run(struct work *work, unsigned thread);
void join_fill(struct work *work, unsigned thread);
void join_run(struct work *work, unsigned thread);

#endif
