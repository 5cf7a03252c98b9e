/*
 * The threads that compute, and the gate at which they stop between two steps.
 *
 * With one vCPU its thread computes all parts, and the saver has its turn after each step: see
 * saver.h. With more of them vCPU 0 is the saver's, the others share the parts.
 */
#ifndef CHECKPOINT_CREW_H
#define CHECKPOINT_CREW_H

#include <stdatomic.h>
#include <stdbool.h>

#include <trapline/thread.h>

struct crew {
    void *memory; /* of the computation, see work.h */
    unsigned parts;
    unsigned threads; /* beside the calling one; 0 with one vCPU */
    struct mutex lock;
    struct condition quiet, open; /* nobody computes; the gate was opened */
    atomic_bool closed;           /* the gate; changed under the lock */
    unsigned waiting;             /* threads at the gate */
    atomic_uint ended;            /* threads that have no more to do; changed under the lock */
};

/* What else is done meanwhile, by vCPU 0. Returns whether there was anything to do. */
typedef bool crew_turn(void *context);

/*
 * Go on with the computation in memory until it ends. turn, unless NULL, is called over and over,
 * with one vCPU after each step. A thread that cannot be started ends the program.
 */
void crew_run(struct crew *crew, void *memory, unsigned parts, crew_turn *turn, void *context);

/* In a turn: have all threads stop after the step that they are in, and go on. */
void crew_stop(struct crew *crew);
void crew_go(struct crew *crew);

#endif
