/* A run as the options say: without checkpoints, with them, and what can be got back of it. */
#ifndef CHECKPOINT_RUN_H
#define CHECKPOINT_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include <trapline/portable.h>

#include "guest/workloads/checkpoint/work.h"

enum run_device {
    DEVICE_MEMORY,
    DEVICE_DISK,
};

struct run_settings {
    struct work_size size;
    uint64_t checkpoints, full, buffers, slice; /* see struct saver_options */
    uint64_t die;
    uint64_t cuts, seed; /* see struct verify_options */
    bool increment, baseline, verify, resume;
    unsigned device; /* enum run_device */
    enum region_mechanism mechanism;
    unsigned mistake; /* enum saver_mistake */
};

/* Whether all went well; figures, and what is wrong, are printed. */
bool run(const struct run_settings *set);

#endif
