/*
 * The shared address space as its programs see it: memory that all nodes have at the same offsets,
 * locks, and barriers. Each node runs one thread that uses it.
 */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include <trapline/portable.h>

#include "guest/common/peers.h"

struct svm_options {
    size_t pages; /* of the space */
    enum region_mechanism mechanism;
    uint64_t hold; /* ticks for which a page that came stays, so that it can be used */
    bool deaf;     /* the mistake: invalidations are acknowledged and not done */
};

/* What a node counted since svm_counts_reset(). */
struct svm_counts {
    uint64_t read_faults;
    uint64_t write_faults;
    uint64_t upgrades;      /* of the write faults those for which no page had to come */
    uint64_t pages;         /* that came */
    uint64_t messages;      /* sent, those of locks and barriers included */
    uint64_t forwards;      /* requests passed on */
    uint64_t invalidations; /* done for others */
    uint64_t deferred;      /* messages that had to wait here */
    uint64_t stale;         /* copies that were invalid when they came */
};

enum {
    SVM_SAMPLES = 240, /* times of faults that are kept, the first ones */
    SVM_LOCKS = 4,
};

/* What a fault took, from the handler's beginning to its end, in ticks. */
struct svm_times {
    uint32_t reads, writes; /* how many there are of each */
    uint64_t read[SVM_SAMPLES], write[SVM_SAMPLES];
};

/*
 * Make the space, all zero, on every node of peers_start(): node 0 owns all pages at first. Returns
 * 0 or what region_create() or region_map2_range() said; -ENOMEM.
 */
int svm_start(const struct svm_options *options);

/* Part, when all nodes have come to this. */
void svm_end(void);

/* Whole pages of the space; all nodes make the same calls. NULL: there are too few left. */
void *svm_alloc(size_t bytes);

/* Wait until all nodes have called this. */
void svm_barrier(void);

/* Locks, 0 to SVM_LOCKS - 1; each is one node's at a time. */
void svm_lock(unsigned lock);
void svm_unlock(unsigned lock);

void svm_counts_reset(void);
void svm_counts_read(struct svm_counts *counts, struct svm_times *times);

/*
 * Look, on all nodes at once, whether the tables and copies of all of them agree; node 0 prints
 * what does not, and returns whether all did. The others return true. scratch: svm_audit_bytes() of
 * the space.
 */
size_t svm_audit_bytes(void);
bool svm_audit(void *scratch);

#endif
