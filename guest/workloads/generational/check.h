/* The heap's verifier. */
#ifndef GENERATIONAL_CHECK_H
#define GENERATIONAL_CHECK_H

#include "guest/workloads/generational/heap.h"

/*
 * After a collection, when the nursery is empty: every old object is whole, and every pointer in it
 * and every root is NULL or leads to an old object's first byte. What is wrong is printed, and ends
 * the program. The nursery is overwritten.
 */
void check_heap(struct heap *heap);

#endif
