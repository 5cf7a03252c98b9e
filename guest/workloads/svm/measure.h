/* A kernel on one node alone and on all together: times, counts, and whether the results agree. */
#ifndef SVM_MEASURE_H
#define SVM_MEASURE_H

#include "guest/workloads/svm/kernels.h"

/* Bytes of the space that a kernel takes with its nodes' reports; work->size is one that fits. */
size_t measure_bytes(const struct kernel *kernel, const struct work *work);

/*
 * Called on all nodes at once. Node 0 prints the figures, and returns whether the result is that of
 * the kernel alone, if verify is set; the others return true.
 */
bool measure_kernel(const struct kernel *kernel, const struct work *work, const char *mode,
                    bool verify);

#endif
