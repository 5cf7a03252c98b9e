/*
 * A mutator stands at a safe point, or is away. Who leads a stop waits until nobody runs and no
 * collector is busy. The phase leaves IDLE and ENDED only in a stop, so one that was expected, with
 * no stop under way, stays until this stop is made.
 */
#include "guest/workloads/gc/stop.h"

#include "guest/workloads/gc/chaos.h"

/* The calling mutator runs no more; with the lock held. */
static void stand(struct gc_heap *heap)
{
    if (--heap->running == 0)
        condition_signal(&heap->all_stand);
}

/* It runs again, when nobody wants a stop; with the lock held. */
static void run_again(struct gc_heap *heap)
{
    while (atomic_load(&heap->stop_wanted))
        condition_wait(&heap->go_on, &heap->lock);
    heap->running++;
}

/* Checks are not part of what the heap costs, so waits for their end are not logged. */
static void stand_by(struct gc_mutator *mutator)
{
    struct gc_heap *const heap = mutator->heap;
    const uint64_t start = ticks();
    bool check;

    gc_chaos(heap, mutator->worker);
    mutex_lock(&heap->lock);
    check = gc_phase(heap) == GC_ENDED;
    stand(heap);
    run_again(heap);
    mutex_unlock(&heap->lock);
    if (!check)
        gc_pauses_add(&mutator->pauses, GC_PAUSE_STOP, start);
}

void gc_safepoint(struct gc_mutator *mutator)
{
    if (atomic_load_explicit(&mutator->heap->stop_wanted, memory_order_acquire))
        stand_by(mutator);
}

bool gc_stop(struct gc_mutator *mutator, enum gc_phase expected)
{
    struct gc_heap *const heap = mutator->heap;

    mutex_lock(&heap->lock);
    if (atomic_load(&heap->stop_wanted) || gc_phase(heap) != expected) {
        mutex_unlock(&heap->lock);
        gc_safepoint(mutator);
        return false;
    }
    atomic_store(&heap->stop_wanted, true);
    heap->running--;
    while (heap->running || heap->busy)
        condition_wait(&heap->all_stand, &heap->lock);
    mutex_unlock(&heap->lock);
    return true;
}

void gc_resume(struct gc_mutator *mutator)
{
    struct gc_heap *const heap = mutator->heap;

    mutex_lock(&heap->lock);
    atomic_store(&heap->stop_wanted, false);
    heap->running++;
    condition_broadcast(&heap->go_on);
    if (gc_phase(heap) == GC_ACTIVE)
        condition_broadcast(&heap->work);
    mutex_unlock(&heap->lock);
}

void gc_collectors_wake(struct gc_heap *heap)
{
    mutex_lock(&heap->lock);
    condition_broadcast(&heap->work);
    mutex_unlock(&heap->lock);
}

void gc_collectors_rest(struct gc_heap *heap)
{
    mutex_lock(&heap->lock);
    while (heap->busy)
        condition_wait(&heap->all_stand, &heap->lock);
    mutex_unlock(&heap->lock);
}

void gc_away(struct gc_mutator *mutator)
{
    mutex_lock(&mutator->heap->lock);
    stand(mutator->heap);
    mutex_unlock(&mutator->heap->lock);
}

void gc_back(struct gc_mutator *mutator)
{
    mutex_lock(&mutator->heap->lock);
    run_again(mutator->heap);
    mutex_unlock(&mutator->heap->lock);
}

void gc_lock(struct gc_mutator *mutator, struct mutex *mutex)
{
    if (mutex_try_lock(mutex))
        return;
    gc_away(mutator);
    mutex_lock(mutex);
    gc_back(mutator);
}
