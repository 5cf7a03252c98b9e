/*
 * Where checkpoints go: bytes by offset. What was written is kept for good when a flush after it
 * has returned 0; till then any part of it may be lost.
 */
#ifndef CHECKPOINT_TARGET_H
#define CHECKPOINT_TARGET_H

#include <stddef.h>
#include <stdint.h>

enum {
    TARGET_BLOCK = 512, /* offsets and sizes are multiples of it */
};

/*
 * Each call returns 0; -EINVAL for what lies beyond the end or is no whole block; or another
 * negative errno value of the medium's own. One call at a time.
 */
struct target {
    int (*write)(struct target *target, uint64_t offset, const void *data, size_t bytes);
    int (*read)(struct target *target, uint64_t offset, void *data, size_t bytes);
    int (*flush)(struct target *target);
    uint64_t bytes;
};

/* Memory: it survives the state that is saved there, and nothing more. */
struct memory_target {
    struct target target;
    char *data;
};

/* Of bytes bytes, rounded up to whole pages, all zero. Returns 0 or -ENOMEM. */
int memory_target_create(struct memory_target *memory, uint64_t bytes);
void memory_target_destroy(struct memory_target *memory);

/* The disk that the program was given: <trapline/disk.h>. It survives the program. */
struct disk_target {
    struct target target;
    struct disk *disk;
};

/* Returns 0 or what disk_open() said. */
int disk_target_open(struct disk_target *target);

/*
 * A target that passes everything on and keeps a list of what was written and flushed, to find out
 * what may be left of it when the power fails. No byte is written twice: see image.h.
 */
struct recorded_write {
    uint64_t offset; /* RECORDED_FLUSH: a flush */
    size_t bytes;
};

#define RECORDED_FLUSH UINT64_MAX

struct recording_target {
    struct target target;
    struct target *below;
    struct recorded_write *writes;
    size_t count, room;
};

/* room: how many calls are kept; those beyond fail with -ENOMEM. Returns 0 or -ENOMEM. */
int recording_target_create(struct recording_target *recording, struct target *below, size_t room);
void recording_target_destroy(struct recording_target *recording);

#endif
