/* The figures of a run. */
#ifndef GC_REPORT_H
#define GC_REPORT_H

#include "guest/workloads/gc/heap.h"

/* When a mutator ran, in ticks. */
struct span {
    uint64_t start, end;
};

/* Print them; all threads have ended. Returns false without memory for it. */
bool report(const struct gc_heap *heap, const struct span *spans, struct span all);

#endif
