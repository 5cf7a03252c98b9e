/* Durations of what the pager does, by kind: written in handlers, under the space's lock. */
#ifndef ZPAGE_SAMPLES_H
#define ZPAGE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sample_kind {
    SAMPLE_ZERO,     /* a fault that brought a page that was never written */
    SAMPLE_POOL,     /* ... that was in the pool */
    SAMPLE_BACKING,  /* ... that was in the store */
    SAMPLE_TOUCH,    /* a fault that found a page in use */
    SAMPLE_WRITE,    /* a fault that was the first write to a page */
    SAMPLE_LATE,     /* a fault on a page that another vCPU had dealt with by then */
    SAMPLE_COMPRESS, /* of a page */
    SAMPLE_EXPAND,
    SAMPLE_KINDS
};

/* Take the memory. Returns false when there is none. */
bool samples_open(void);
void samples_close(void);

/* Note one duration in ticks: the first 32,768 of each kind are kept, all are counted. */
void samples_add(enum sample_kind kind, uint64_t duration);

/* How many there were; those that were kept; the sum of all. */
uint64_t samples_count(enum sample_kind kind);
uint64_t *samples_kept(enum sample_kind kind, size_t *count);
uint64_t samples_sum(enum sample_kind kind);

void samples_count_anew(void);

#endif
