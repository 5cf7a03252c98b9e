/* A small guest that is started again and again: each time everything is as at the first. */
#include "worker.h"

enum {
    FEW = 100, /* exits of one run */
};

int main(void)
{
    struct trapline_stats counts;
    volatile char *page = pages_alloc(1, 1);
    int channel;

    if (!worker_takes_fresh_memory())
        return 1;
    worker_start();
    prot1((void *)page, TRAPLINE_READ);
    *page = 1;
    if (worker_traps != 1)
        return 2;
    if (stats(&counts) != 0 || counts.exits > FEW)
        return 3;
    /* A number is free again, and what is not withdrawn goes with the guest. */
    channel = channel_offer("one-1", (void *)page, 1, TRAPLINE_READ);
    if (channel != 0 && channel != -TRAPLINE_EINVAL && channel != -TRAPLINE_EPIPE)
        return 4;
    return 0;
}
