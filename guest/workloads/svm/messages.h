/*
 * The baseline: Jacobi's method as one would write it without shared memory. Nodes have their bands
 * in memory of their own, and send the rows at the edges to their neighbours.
 */
#ifndef SVM_MESSAGES_H
#define SVM_MESSAGES_H

#include "guest/workloads/svm/kernels.h"

/*
 * Called on all nodes at once, after peers_start() and instead of svm_start(). Node 0 prints the
 * figures, and returns whether the result is right, if verify is set; the others return true.
 */
bool messages_jacobi(const struct work *work, bool verify);

#endif
