#include "guest/workloads/gc/collector.h"

#include "guest/workloads/gc/chaos.h"
#include "guest/workloads/gc/scan.h"

/* Sleep until there is a cycle. Returns false at the end. */
static bool wait_for_work(struct gc_heap *heap)
{
    bool work;

    mutex_lock(&heap->lock);
    while (!heap->quit && gc_phase(heap) != GC_ACTIVE)
        condition_wait(&heap->work, &heap->lock);
    work = !heap->quit;
    heap->busy += work;
    mutex_unlock(&heap->lock);
    return work;
}

static void rest(struct gc_heap *heap)
{
    mutex_lock(&heap->lock);
    if (--heap->busy == 0)
        condition_signal(&heap->all_stand);
    mutex_unlock(&heap->lock);
}

static void collect(void *argument)
{
    struct gc_heap *const heap = argument;
    struct gc_worker *const worker = &heap->worker[thread_self()];
    unsigned turns = 0;

    while (wait_for_work(heap)) {
        while (gc_phase(heap) == GC_ACTIVE) {
            gc_chaos(heap, worker);
            if (!gc_scan_some(heap, worker, GC_BY_COLLECTOR))
                gc_wait_a_moment(&turns);
        }
        rest(heap);
    }
}

int gc_collectors_start(struct gc_heap *heap)
{
    int result = 0;

    for (unsigned i = 0; i < heap->options.collectors && result == 0; i++)
        result = thread_start(heap->options.mutators + i, collect, heap);
    return result;
}

void gc_collectors_end(struct gc_heap *heap)
{
    mutex_lock(&heap->lock);
    heap->quit = true;
    condition_broadcast(&heap->work);
    mutex_unlock(&heap->lock);
    for (unsigned i = 0; i < heap->options.collectors; i++)
        thread_join(heap->options.mutators + i);
}
