/*
 * What can be got back of a run: from its last checkpoints, from earlier ones, and from what a
 * power cut leaves of the target at any moment.
 */
#ifndef CHECKPOINT_VERIFY_H
#define CHECKPOINT_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/workloads/checkpoint/recording.h"
#include "guest/workloads/checkpoint/saver.h"
#include "guest/workloads/checkpoint/work.h"

struct verifier {
    struct recording_disk recording; /* where the run's checkpoints go */
    const void *memory;              /* of the run */
    size_t pages;
    uint64_t checkpoints; /* complete ones */
    uint64_t *sums;       /* of the state at each checkpoint's instant, from number 1 on */
    size_t *writes;       /* recorded when each was complete */
};

/* For a run of up to most checkpoints to below. Returns 0 or -ENOMEM. */
int verifier_create(struct verifier *verifier, struct block_device *below, size_t pages,
                    uint64_t most);
void verifier_destroy(struct verifier *verifier);

/* Who looks on at a run in memory. */
struct saver_witness verifier_witness(struct verifier *verifier, const void *memory);

struct verify_options {
    enum region_mechanism mechanism;
    uint64_t cuts; /* of the power, at writes that chance takes */
    uint64_t seed;
};

/*
 * The run's memory is lost. Restore from the first, a middle and the last checkpoint, and from what
 * cuts leave: each time the state must be that of a checkpoint's instant, after a cut no earlier
 * one than was complete by then; and the computation, gone on with, must come to the answer, the
 * checksum of a run's final state. What is wrong is printed.
 */
bool verify_restores(const struct verifier *verifier, const struct work_size *size, uint64_t answer,
                     const struct verify_options *options);

#endif
