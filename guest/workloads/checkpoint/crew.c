#include "guest/workloads/checkpoint/crew.h"

#include <trapline/portable.h>

#include "guest/workloads/checkpoint/work.h"

enum {
    IDLE_TICKS = 20000, /* who has nothing to do looks again after that */
};

/* What a thread is started with. */
struct member {
    struct crew *crew;
    unsigned number; /* from 0 */
};

void crew_init(struct crew *crew, void *memory, unsigned parts)
{
    const unsigned others = vcpu_count() - 1;

    *crew = (struct crew){
        .memory = memory,
        .parts = parts,
        .threads = others < parts ? others : parts,
        .due = UINT64_MAX,
    };
}

void crew_set_due(struct crew *crew, uint64_t steps)
{
    atomic_store(&crew->due, steps);
}

/* Under the lock. */
static void close_gate(struct crew *crew)
{
    if (atomic_load(&crew->closed))
        return;
    crew->closed_at = ticks();
    atomic_store(&crew->closed, true);
    /* Those that wait for a neighbour come to the gate at once. */
    for (unsigned i = 0; i < crew->threads; i++)
        thread_unpark(i + 1);
}

uint64_t crew_stop(struct crew *crew)
{
    uint64_t since;

    mutex_lock(&crew->lock);
    close_gate(crew);
    while (crew->waiting + atomic_load(&crew->ended) < crew->threads)
        condition_wait(&crew->quiet, &crew->lock);
    since = crew->closed_at;
    mutex_unlock(&crew->lock);
    return since;
}

void crew_go(struct crew *crew)
{
    mutex_lock(&crew->lock);
    atomic_store(&crew->closed, false);
    condition_broadcast(&crew->open);
    mutex_unlock(&crew->lock);
}

static bool is_due(struct crew *crew)
{
    return work_steps(crew->memory) >= atomic_load_explicit(&crew->due, memory_order_relaxed);
}

static void wait_at_gate(struct crew *crew)
{
    mutex_lock(&crew->lock);
    if (is_due(crew))
        close_gate(crew);
    thread_unpark(0);
    crew->waiting++;
    condition_signal(&crew->quiet);
    while (atomic_load(&crew->closed))
        condition_wait(&crew->open, &crew->lock);
    crew->waiting--;
    mutex_unlock(&crew->lock);
}

static void compute(void *argument)
{
    const struct member *const member = argument;
    struct crew *const crew = member->crew;
    bool more = true;

    while (more) {
        bool moved = false;

        more = false;
        for (unsigned part = member->number; part < crew->parts; part += crew->threads) {
            const enum work_progress progress = work_step(crew->memory, part);

            more |= progress != WORK_ENDED;
            moved |= progress == WORK_DONE;
            if (atomic_load_explicit(&crew->closed, memory_order_relaxed) || is_due(crew))
                wait_at_gate(crew);
        }
        if (more && !moved)
            thread_park(IDLE_TICKS);
    }
    mutex_lock(&crew->lock);
    atomic_fetch_add(&crew->ended, 1);
    condition_signal(&crew->quiet);
    mutex_unlock(&crew->lock);
    thread_unpark(0);
}

/* All parts in turn, by the calling thread. */
static void compute_alone(const struct crew *crew, crew_turn *turn, void *context)
{
    bool more = true;

    while (more) {
        more = false;
        for (unsigned part = 0; part < crew->parts; part++) {
            more |= work_step(crew->memory, part) != WORK_ENDED;
            if (turn)
                turn(context);
        }
    }
}

void crew_run(struct crew *crew, crew_turn *turn, void *context)
{
    struct member members[WORK_PARTS_MOST];

    if (crew->threads == 0)
        compute_alone(crew, turn, context);
    for (unsigned i = 0; i < crew->threads; i++) {
        int error;

        members[i] = (struct member){crew, i};
        error = thread_start(i + 1, compute, &members[i]);
        if (error) {
            printf("checkpoint: thread %u cannot be started: error %d\n", i + 1, error);
            exit(EXIT_FAILURE);
        }
    }
    while (atomic_load(&crew->ended) < crew->threads)
        if (!turn || !turn(context))
            thread_park(IDLE_TICKS);
    for (unsigned i = 0; i < crew->threads; i++)
        thread_join(i + 1);
}
