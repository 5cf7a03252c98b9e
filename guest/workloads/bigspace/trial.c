#include "guest/workloads/bigspace/trial.h"

typedef void walk_function(void *context, uint64_t root, enum walk_kind kind,
                           struct walk_result *result);

static void by_window(void *context, uint64_t root, enum walk_kind kind, struct walk_result *result)
{
    walk_window(context, root, kind, result);
}

static void by_cache(void *context, uint64_t root, enum walk_kind kind, struct walk_result *result)
{
    walk_cache(context, root, kind, result);
}

static void in_space(void *context, uint64_t root, enum walk_kind kind, struct walk_result *result)
{
    walk_space(context, root, kind, result);
}

const char *trial_walk_name(enum trial_walk walk)
{
    static const char *const names[TRIAL_WALKS] = {"bigspace.read", "bigspace.update",
                                                   "bigspace.relink", "bigspace.again"};

    return names[walk];
}

static void run(struct trial *trial, walk_function *walk, void *context,
                const struct trial_plan *plan)
{
    static const enum walk_kind kinds[TRIAL_WALKS] = {WALK_READ, WALK_UPDATE, WALK_RELINK,
                                                      WALK_READ};

    *trial = (struct trial){0};
    for (unsigned i = 0; i < TRIAL_WALKS; i++) {
        const uint64_t start = ticks();

        walk(context, plan->root, kinds[i], &trial->results[i]);
        trial->ticks[i] = ticks() - start;
    }
    walk(context, plan->hot, WALK_READ, &trial->hot);
    trial->hot = (struct walk_result){0};
    for (uint64_t i = 0; i < plan->repeats; i++) {
        struct walk_result result;
        const uint64_t start = ticks();

        walk(context, plan->hot, WALK_READ, &result);
        trial->hot_ticks += ticks() - start;
        trial->hot.looks += result.looks;
        trial->hot.parts += result.parts;
        trial->hot.sum = result.sum;
    }
}

int trial_run_window(struct trial_window *trial, struct space *space, const struct trial_plan *plan,
                     const struct window_options *options)
{
    struct window window;
    const int error = window_open(&window, space, options);

    if (error)
        return error;
    run(&trial->trial, by_window, &window, plan);
    trial->counts = window.counts;
    window_close(&window);
    return 0;
}

int trial_run_cache(struct trial_cache *trial, struct space *space, const struct trial_plan *plan,
                    size_t frames)
{
    struct cache cache;
    const int error = cache_create(&cache, space, frames);

    if (error)
        return error;
    run(&trial->trial, by_cache, &cache, plan);
    trial->loads = cache.loads;
    trial->load_ticks = cache.load_ticks;
    cache_destroy(&cache);
    return 0;
}

void trial_run_space(struct trial *trial, struct space *space, const struct trial_plan *plan)
{
    run(trial, in_space, space, plan);
}

static bool same(const struct walk_result *a, const struct walk_result *b)
{
    return a->looks == b->looks && a->parts == b->parts && a->sum == b->sum;
}

bool trial_equal(const struct trial *a, const struct trial *b)
{
    for (unsigned i = 0; i < TRIAL_WALKS; i++)
        if (!same(&a->results[i], &b->results[i]))
            return false;
    return same(&a->hot, &b->hot);
}
