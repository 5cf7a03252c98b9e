#include "guest/workloads/overflow/measure.h"

#include "guest/common/figures.h"
#include "guest/common/statistics.h"

enum {
    TRAPS = 64,
};

/* What a vCPU does. */
struct task {
    struct heap *heap;
    struct program_result (*function)(struct heap *heap, uint64_t rounds);
    uint64_t rounds;
    struct program_result result;
    uint64_t ticks;
};

static void run_task(void *argument)
{
    struct task *const task = argument;
    const uint64_t start = ticks();

    task->result = task->function(task->heap, task->rounds);
    task->ticks = ticks() - start - task->heap->counts.collect_ticks;
}

static void run_tasks(struct task *tasks, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        if (thread_start(i, run_task, &tasks[i]) != 0) {
            printf("overflow: no thread on vCPU %u\n", i);
            exit(EXIT_FAILURE);
        }
    }
    run_task(&tasks[0]);
    for (unsigned i = 1; i < count; i++)
        thread_join(i);
}

static void verify(const struct program *program, const struct task *tasks, unsigned count)
{
    const struct program_result expected = program->expected(tasks[0].rounds);

    for (unsigned i = 0; i < count; i++) {
        heap_check(tasks[i].heap);
        if (tasks[i].result.objects == expected.objects && tasks[i].result.sum == expected.sum)
            continue;
        printf("overflow: %s on vCPU %u: the sum is %lx, expected %lx\n", program->name, i,
               tasks[i].result.sum, expected.sum);
        exit(EXIT_FAILURE);
    }
    printf("overflow: verified: %s on %u vCPU%s, %s\n", program->name, count, count == 1 ? "" : "s",
           tasks[0].heap->options.checks ? "with checks" : "guard page");
}

int measure_program(const struct program *program, const struct heap_options *options,
                    uint64_t rounds, struct measured *measured)
{
    const unsigned count = vcpu_count();
    const bool checks = options->checks;
    struct task tasks[HEAPS_MAX];
    const int error = heaps_create(count, options);

    if (error)
        return error;
    for (unsigned i = 0; i < count; i++)
        tasks[i] = (struct task){.heap = heap_get(i),
                                 .function = checks ? program->checked : program->unchecked,
                                 .rounds = rounds};
    run_tasks(tasks, count);
    if (options->verify)
        verify(program, tasks, count);
    measured->counts[checks] = tasks[0].heap->counts;
    measured->result[checks] = tasks[0].result;
    measured->allocation[checks] = (double)tasks[0].ticks / (double)tasks[0].result.objects;
    if (!checks && tasks[0].heap->counts.collections)
        measured->guard =
            (double)tasks[0].heap->counts.guard_ticks / (double)tasks[0].heap->counts.collections;
    heaps_destroy();
    return 0;
}

int measure_trap(const struct heap_options *options, double *trap)
{
    struct heap_options how = *options;
    uint64_t values[TRAPS];
    int error;

    how.checks = false;
    how.mistake = MISTAKE_NONE;
    error = heaps_create(1, &how);
    for (unsigned i = 0; i < TRAPS && !error; i++) {
        const uint64_t start = ticks();

        SITE_STORE((uint64_t *)heap_get(0)->limit, 0, met);
        error = -TRAPLINE_EFAULT; /* it was not forbidden */
        continue;
    met:
        values[i] = ticks() - start;
    }
    if (error)
        return error;
    figure_series("overflow.trap", region_mechanism_name(how.mechanism), "tsc", "overflow", values,
                  TRAPS);
    *trap = median_of(values, TRAPS);
    heaps_destroy();
    return 0;
}
