#include "guest/workloads/zpage/work.h"

#include "guest/workloads/zpage/zipf.h"

bool work_init(size_t pages)
{
    content_init();
    return zipf_init(pages);
}

void work_fill(struct work *work, unsigned thread)
{
    if (work->program == PROGRAM_JOIN)
        join_fill(work, thread);
    else
        touch_fill(work, thread);
}

void work_run(struct work *work, unsigned thread)
{
    work->results[thread] = (struct work_result){.sum = 0};
    if (work->program == PROGRAM_JOIN)
        join_run(work, thread);
    else
        touch_run(work, thread);
}
