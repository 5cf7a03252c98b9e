/* A run of a program in the space, the same without paging, and what came out. */
#ifndef ZPAGE_RUN_H
#define ZPAGE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/workloads/zpage/space.h"
#include "guest/workloads/zpage/work.h"

struct run_settings {
    enum region_mechanism mechanism;
    uint64_t pages, frames, pool_pages;
    uint64_t accesses, writes;
    uint64_t lead_percent, batch, acceleration;
    unsigned program, content; /* enum program, enum content_kind */
    bool verify, baseline, lose_writes;
};

/* Do all that the settings say. Returns false when something was wrong, which was printed. */
bool run_all(const struct run_settings *settings);

#endif
