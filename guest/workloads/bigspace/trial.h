/* A sequence of walks through a design, by one of the ways to follow references, and its time. */
#ifndef BIGSPACE_TRIAL_H
#define BIGSPACE_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/workloads/bigspace/walk.h"

enum trial_walk {
    TRIAL_READ,
    TRIAL_UPDATE,
    TRIAL_RELINK,
    TRIAL_AGAIN, /* read what was changed */
    TRIAL_WALKS,
};

/* The walk's name, for figures. */
const char *trial_walk_name(enum trial_walk walk);

struct trial_plan {
    uint64_t root, hot; /* addresses of assemblies: the topmost; one with little below it */
    uint64_t repeats;   /* of the walk below the latter, after one that brings its pages in */
};

struct trial {
    struct walk_result results[TRIAL_WALKS];
    uint64_t ticks[TRIAL_WALKS];
    struct walk_result hot; /* of the repetitions together; their sum is one for all */
    uint64_t hot_ticks;
};

struct trial_window {
    struct trial trial;
    struct window_counts counts;
};

struct trial_cache {
    struct trial trial;
    uint64_t loads, load_ticks;
};

/* The space has all changes afterwards. Each returns 0 or a negative errno value. */
int trial_run_window(struct trial_window *trial, struct space *space, const struct trial_plan *plan,
                     const struct window_options *options);
int trial_run_cache(struct trial_cache *trial, struct space *space, const struct trial_plan *plan,
                    size_t frames);

/* In the space itself. */
void trial_run_space(struct trial *trial, struct space *space, const struct trial_plan *plan);

/* Whether two had the same results. */
bool trial_equal(const struct trial *a, const struct trial *b);

#endif
