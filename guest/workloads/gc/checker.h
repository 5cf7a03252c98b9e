/*
 * The heap's verifier: while all mutators stand it follows every pointer from the roots. Each must
 * lead to the first word of an object in the to-space, with a header that is one, and what the
 * program says about the words that are no pointers must hold.
 */
#ifndef GC_CHECKER_H
#define GC_CHECKER_H

#include "guest/workloads/gc/heap.h"

/* Memory for checks. Returns 0 or -ENOMEM. */
int gc_checker_create(struct gc_heap *heap);
void gc_checker_destroy(struct gc_heap *heap);

/* Check all. What is wrong is printed, and ends the program with EXIT_FAILURE. */
void gc_check(struct gc_heap *heap);

/* Objects and bytes that the latest check found reachable, and the checks made. */
struct gc_checked {
    uint64_t objects, bytes, checks;
};
struct gc_checked gc_checker_found(const struct gc_heap *heap);

#endif
