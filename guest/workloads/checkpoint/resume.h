/* A computation that an earlier run of the program did not end, from what it left on a target. */
#ifndef CHECKPOINT_RESUME_H
#define CHECKPOINT_RESUME_H

#include <stdint.h>

#include <trapline/portable.h>

#include "guest/common/block.h"
#include "guest/workloads/checkpoint/work.h"

/*
 * Restore the last complete checkpoint to a fresh region and go on to the end. *sequence: the
 * checkpoint's number, 0 when the target holds none, *steps: how many were made by then, *sum: of
 * the final state. Returns 0; -EINVAL for a computation of another size; -ENOMEM; or what the
 * target said.
 */
int resume(struct block_device *target, const struct work_size *size,
           enum region_mechanism mechanism, uint64_t *sequence, uint64_t *steps, uint64_t *sum);

#endif
