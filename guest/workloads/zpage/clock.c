#include "guest/workloads/zpage/clock.h"

#include "guest/workloads/zpage/space.h"

static struct clock_settings set;
static uint32_t first, second; /* the hands */
static size_t apart;

void clock_begin(const struct clock_settings *settings)
{
    set = *settings;
    first = second = 0;
    apart = 0;
}

static uint32_t after(uint32_t frame)
{
    return frame + 1 == set.frames ? 0 : frame + 1;
}

static void watch_batch(void)
{
    static uint32_t frames[SPACE_BATCH_MAX];

    for (size_t i = 0; i < set.batch; i++) {
        frames[i] = first;
        first = after(first);
    }
    set.watch(frames, set.batch);
    apart += set.batch;
}

uint32_t clock_choose(void)
{
    for (;;) {
        uint32_t frame;

        while (apart + set.batch <= set.lead)
            watch_batch();
        frame = second;
        second = after(second);
        apart--;
        if (set.untouched(frame))
            return frame;
    }
}
