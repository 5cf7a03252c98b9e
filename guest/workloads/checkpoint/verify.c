#include "guest/workloads/checkpoint/verify.h"

#include "guest/common/random.h"
#include "guest/workloads/checkpoint/crew.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    GARBAGE = 0xa5,
    LOST_ONE_IN = 8, /* sectors that a cut loses of those that were not flushed */
    AT_END = 4,      /* each so many cuts one is at a checkpoint's end */
};

/* Calls to the target besides those for pages: header, end, flush; and the log's begin. */
enum {
    WRITES_OF_CHECKPOINT = 3,
    WRITES_OF_LOG = 2,
};

int verifier_create(struct verifier *verifier, struct block_device *below, size_t pages,
                    uint64_t most)
{
    *verifier = (struct verifier){.pages = pages};
    verifier->sums = calloc(most + 1, sizeof(*verifier->sums));
    verifier->writes = calloc(most + 1, sizeof(*verifier->writes));
    if (!verifier->sums || !verifier->writes)
        return -TRAPLINE_ENOMEM;
    return recording_disk_create(&verifier->recording, below,
                                 WRITES_OF_LOG + most * (pages + WRITES_OF_CHECKPOINT));
}

void verifier_destroy(struct verifier *verifier)
{
    recording_disk_destroy(&verifier->recording);
    free(verifier->sums);
    free(verifier->writes);
}

static void stopped(void *context, uint64_t sequence)
{
    struct verifier *const verifier = context;

    verifier->sums[sequence] = work_sum(verifier->memory, verifier->pages);
}

static void completed(void *context, uint64_t sequence)
{
    struct verifier *const verifier = context;

    verifier->checkpoints = sequence;
    verifier->writes[sequence] = verifier->recording.count;
}

struct saver_witness verifier_witness(struct verifier *verifier, const void *memory)
{
    verifier->memory = memory;
    return (struct saver_witness){stopped, completed, verifier};
}

/* A restoration: to memory that holds nothing of use. */
struct trial {
    const struct verifier *verifier;
    void *memory;
    uint64_t restored; /* the checkpoint's number */
};

/* From a target, up to checkpoint most; at least number least must be found. */
static bool restore(struct trial *trial, struct block_device *target, uint64_t least, uint64_t most)
{
    const struct verifier *const verifier = trial->verifier;
    struct image image;
    int error;

    memset(trial->memory, GARBAGE, verifier->pages * PAGE);
    trial->restored = 0;
    error = image_open(&image, target, verifier->pages);
    if (!error)
        error = image_restore(&image, trial->memory, most, &trial->restored);
    image_close(&image);
    /* The power may have been cut before anything was there. */
    if (error && !(error == -TRAPLINE_ENOENT && least == 0)) {
        printf("checkpoint: the target cannot be read: error %d\n", error);
        return false;
    }
    if (trial->restored < least) {
        printf("checkpoint: number %lu was complete, but %lu is the last that is found\n", least,
               trial->restored);
        return false;
    }
    if (trial->restored != 0 &&
        work_sum(trial->memory, verifier->pages) != verifier->sums[trial->restored]) {
        printf("checkpoint: the image of number %lu is not the state at its instant\n",
               trial->restored);
        return false;
    }
    return true;
}

/* Go on with what was restored, to the end. */
static bool finish(const struct trial *trial, const struct work_size *size, uint64_t answer)
{
    struct crew crew;
    bool good;

    crew_init(&crew, trial->memory, (unsigned)size->parts);
    crew_run(&crew, NULL, NULL);
    good = work_sum(trial->memory, trial->verifier->pages) == answer;
    if (!good)
        printf("checkpoint: the computation that went on from number %lu ends otherwise\n",
               trial->restored);
    return good;
}

static bool restore_points(struct trial *trial, const struct work_size *size, uint64_t answer)
{
    struct block_device *const target = trial->verifier->recording.below;
    const uint64_t last = trial->verifier->checkpoints;
    const uint64_t points[] = {1, (last + 1) / 2, last};

    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        if (!restore(trial, target, points[i], points[i]) || !finish(trial, size, answer))
            return false;
    return true;
}

/* What is on the disk when the power fails after so many calls: all that was flushed, and of the
 * rest what chance leaves. */
static void survive(const struct verifier *verifier, size_t calls, uint64_t *random,
                    struct block_device *left)
{
    const struct recorded_write *const writes = verifier->recording.writes;
    struct block_device *const target = verifier->recording.below;
    size_t flushed = 0;
    char sector[DISK_SECTOR];

    for (size_t i = 0; i < calls; i++)
        if (writes[i].first == RECORDED_FLUSH)
            flushed = i;
    for (size_t i = 0; i < calls; i++) {
        if (writes[i].first == RECORDED_FLUSH)
            continue;
        for (uint64_t at = writes[i].first; at < writes[i].first + writes[i].count; at++) {
            if (i > flushed && random_below(random, LOST_ONE_IN) == 0)
                continue;
            target->read(target, at, 1, sector);
            left->write(left, at, 1, sector);
        }
    }
}

static uint64_t complete_at(const struct verifier *verifier, size_t calls)
{
    uint64_t complete = 0;

    while (complete < verifier->checkpoints && verifier->writes[complete + 1] <= calls)
        complete++;
    return complete;
}

/* Cut the power after so many calls. Where finishing is wanted the computation goes on to its end.
 */
static bool cut(struct trial *trial, size_t calls, uint64_t *random)
{
    struct memory_disk left;
    bool good;

    if (memory_disk_create(&left, trial->verifier->recording.device.sectors) != 0) {
        printf("checkpoint: no memory for what a power cut leaves\n");
        return false;
    }
    survive(trial->verifier, calls, random, &left.device);
    good = restore(trial, &left.device, complete_at(trial->verifier, calls), UINT64_MAX);
    memory_disk_destroy(&left);
    return good;
}

/* At any call, at the moment a checkpoint is called complete, and in the middle of the last one. */
static bool try_cuts(struct trial *trial, const struct work_size *size, uint64_t answer,
                     const struct verify_options *options)
{
    const struct verifier *const verifier = trial->verifier;
    const uint64_t last = verifier->checkpoints;
    uint64_t random = options->seed, between = 0;

    for (uint64_t i = 0; i < options->cuts; i++) {
        const bool at_end = i % AT_END == 0;
        const size_t calls = at_end ? verifier->writes[1 + random_below(&random, last)]
                                    : random_below(&random, verifier->recording.count + 1);

        if (!cut(trial, calls, &random))
            return false;
        between += !at_end;
    }
    /* In the middle of the last one. */
    if (!cut(trial, (verifier->writes[last - 1] + verifier->writes[last]) / 2, &random))
        return false;
    if (trial->restored != last - 1) {
        printf("checkpoint: number %lu was half written, and number %lu was restored\n", last,
               trial->restored);
        return false;
    }
    if (last > 1 && !finish(trial, size, answer))
        return false;
    printf(
        "checkpoint: %lu power cuts, %lu of them at any write: each left a state to go on with\n",
        options->cuts + 1, between + 1);
    return true;
}

bool verify_restores(const struct verifier *verifier, const struct work_size *size, uint64_t answer,
                     const struct verify_options *options)
{
    struct trial trial = {.verifier = verifier};
    struct region *region;
    bool good;

    if (verifier->checkpoints == 0) {
        printf("checkpoint: the run was too short for a checkpoint\n");
        return false;
    }
    if (region_create(&region, verifier->pages, 1, options->mechanism) != 0) {
        printf("checkpoint: no memory to restore to\n");
        return false;
    }
    trial.memory = region_base(region);
    good = restore_points(&trial, size, answer) && try_cuts(&trial, size, answer, options);
    region_destroy(region);
    return good;
}
