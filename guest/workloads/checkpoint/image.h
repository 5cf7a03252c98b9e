/*
 * Checkpoints on a target, a disk, one behind the other, from a first sector that says whose they
 * are:
 *
 *   first sector  identifies this log, and how many pages the state has
 *   checkpoint    header: number, kind, how many pages; the pages' numbers
 *                 pages, each in the place that its index in the list says, written in any order
 *                 end: the pages' checksums, and one over all of it and of the header
 *
 * A checkpoint is complete when its header and its end are whole and belong together, and each page
 * is what its checksum says: in which order the target made them last does not matter. Nothing is
 * written twice. A full checkpoint has all pages, an increment those that changed since the
 * checkpoint before it.
 */
#ifndef CHECKPOINT_IMAGE_H
#define CHECKPOINT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/common/block.h"

#include <trapline/thread.h>

struct image {
    struct block_device *target;
    struct mutex lock;  /* of the target, which takes one call at a time */
    uint64_t id;        /* of the log */
    size_t pages;       /* of the state */
    uint64_t sequence;  /* of the last checkpoint that was begun or found, 0 = none */
    uint64_t at;        /* sector of that one, or where the first goes */
    size_t count;       /* its pages */
    char *header, *end; /* as they are written */
};

/* Sectors of a target that takes so many full checkpoints of pages pages. */
uint64_t image_sectors(size_t pages, uint64_t checkpoints);

/*
 * Begin a log of a state of pages pages; id tells it from what else the target held. Returns 0,
 * -ENOMEM or what the target said.
 */
int image_create(struct image *image, struct block_device *target, size_t pages, uint64_t id);

/* Find a log. Returns 0; -ENOENT where there is none; -EINVAL for other pages; or as above. */
int image_open(struct image *image, struct block_device *target, size_t pages);

void image_close(struct image *image);

/* Begin the next checkpoint: of the count pages of the list. */
void image_begin(struct image *image, const uint32_t *list, size_t count);

/* Write the page that is index-th of its list; may be called by several threads at once. */
int image_write_page(struct image *image, size_t index, const void *contents);

/* All pages were written: complete the checkpoint; with flush, for good. Returns as above. */
int image_commit(struct image *image, bool flush);

/* Bytes that the last checkpoint takes on the target. */
uint64_t image_checkpoint_bytes(const struct image *image);

/*
 * Bring the state of the last complete checkpoint, or of number most where there are more, to
 * memory: pages that it has from itself, others from those before it. *sequence: its number, 0 when
 * none is complete; then memory is as it was. Returns 0 or what the target said.
 */
int image_restore(struct image *image, void *memory, uint64_t most, uint64_t *sequence);

#endif
