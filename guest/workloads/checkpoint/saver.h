/*
 * Checkpoints of a region while others compute in it.
 *
 *   at a checkpoint   all stop; the pages to be saved become read-only by one PROTN; all go on
 *   in the background the saver copies page after page to the target and opens it (UNPROT)
 *   a write to a page that was not copied yet
 *                     traps; the handler copies it to one of a few buffers, which the saver brings
 *                     to the target later, and opens it. Without a free buffer it writes the page
 *                     to the target itself.
 *
 * What the saver does of it happens in its turns: see crew.h.
 */
#ifndef CHECKPOINT_SAVER_H
#define CHECKPOINT_SAVER_H

#include <stdbool.h>
#include <stdint.h>

#include <trapline/portable.h>

#include "guest/workloads/checkpoint/image.h"

struct crew;
struct saver;

/* Made on purpose, to see that they are found. */
enum saver_mistake {
    SAVER_FAULTLESS,
    SAVER_OPENS_UNCOPIED, /* the handler opens a page and does not copy it */
    SAVER_FORGETS_DIRTY,  /* an increment lacks the last of its pages */
    SAVER_FLUSHES_NOT,    /* a checkpoint is called complete without a flush */
};

/* Who looks on, for a verification; the time that it takes is not counted. NULL: nobody. */
struct saver_witness {
    void (*stopped)(void *context, uint64_t sequence);   /* at a checkpoint's instant */
    void (*completed)(void *context, uint64_t sequence); /* it is on the target for good */
    void *context;
};

struct saver_options {
    bool stop_and_copy; /* all is copied while all are stopped, and nothing is protected */
    bool increments;    /* save what was written since the checkpoint before, by DIRTY */
    uint64_t full;      /* of increments: each full-th checkpoint has all pages; 0 = the first */
    uint64_t every;     /* steps of the computation from one checkpoint to the next */
    uint64_t most;      /* checkpoints */
    uint64_t buffers;   /* pages */
    uint64_t slice;     /* pages that are copied in a turn */
    uint64_t die;       /* in the middle of this checkpoint the program ends, as if it had failed */
    enum saver_mistake mistake;
    struct saver_witness witness;
};

struct saver_counts {
    uint64_t checkpoints; /* complete ones */
    uint64_t *stops;      /* ticks of each, from the wish to stop till all may go on */
    uint64_t copy_ticks;  /* in the saver's turns, stops left out */
    uint64_t trap_ticks;  /* in the handler */
    uint64_t traps;
    uint64_t direct; /* traps that found no buffer */
    uint64_t bytes;  /* on the target */
    uint64_t witness_ticks;
};

/*
 * For the computation of a crew in a region, all of whose pages are saved to an image. One at a
 * time. Returns 0 and the saver, or a negative errno value.
 */
int saver_create(struct saver **saver, struct region *region, struct image *image,
                 struct crew *crew, const struct saver_options *options);
void saver_destroy(struct saver *saver);

/* A crew_turn, with a saver as its context. A target that fails ends the program. */
bool saver_turn(void *saver);

/* The computation has ended: complete the checkpoint in progress. */
void saver_finish(struct saver *saver);

const struct saver_counts *saver_counts(const struct saver *saver);

#endif
