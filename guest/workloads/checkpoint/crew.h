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
#include <stdint.h>

#include <trapline/thread.h>

struct crew {
    void *memory; /* of the computation, see work.h */
    unsigned parts;
    unsigned threads; /* beside the calling one; 0 with one vCPU */
    struct mutex lock;
    struct condition quiet, open; /* nobody computes; the gate was opened */
    atomic_bool closed;           /* the gate; changed under the lock */
    uint64_t closed_at;           /* ticks */
    _Atomic uint64_t due;         /* steps of the computation after which the gate closes */
    unsigned waiting;             /* threads at the gate */
    atomic_uint ended;            /* threads that have no more to do; changed under the lock */
};

/* What else is done meanwhile, by vCPU 0. Returns whether there was anything to do. */
typedef bool crew_turn(void *context);

/* For a computation in memory; its gate is not due. */
void crew_init(struct crew *crew, void *memory, unsigned parts);

/*
 * Go on with the computation until it ends. turn, unless NULL, is called over and over, with one
 * vCPU after each step. A thread that cannot be started ends the program.
 */
void crew_run(struct crew *crew, crew_turn *turn, void *context);

/*
 * Have the threads stop by themselves once the computation has made so many steps, so that none is
 * far beyond when the saver comes; UINT64_MAX: never. The saver still has to call crew_stop().
 */
void crew_set_due(struct crew *crew, uint64_t steps);

/*
 * In a turn: have all threads stop after the step that they are in, and go on. Returns when the
 * first was to stop, in ticks.
 */
uint64_t crew_stop(struct crew *crew);
void crew_go(struct crew *crew);

#endif
