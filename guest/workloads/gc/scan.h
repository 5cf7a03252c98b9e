/* Scanning: a page of the to-space whose pointers lead to the from-space is put right and opened.
 */
#ifndef GC_SCAN_H
#define GC_SCAN_H

#include "guest/workloads/gc/heap.h"

/* Scan one page that waits for it. Returns false when there is none that can be had now. */
bool gc_scan_some(struct gc_heap *heap, struct gc_worker *worker, enum gc_who who);

/*
 * The handler's: page of the to-space was touched. Returns when it is open, after having scanned it
 * or waited for who does.
 */
void gc_scan_page(struct gc_heap *heap, struct gc_worker *worker, uint32_t page);

/* The cycle's last page was opened, or there was none: called by who has opened it. */
void gc_scan_finished(struct gc_heap *heap);

/* Wait a moment for another thread. */
void gc_wait_a_moment(unsigned *turns);

#endif
