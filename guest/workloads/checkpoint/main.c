/*
 * Concurrent checkpoints: a computation's whole state is saved while it goes on.
 *
 * Li, Naughton and Plank (PPoPP 1990; IEEE TPDS 1994): stopping a program until its memory is
 * copied stops it for long; here it stops until its memory is read-only, and is copied afterwards.
 *
 *   PROTN   all pages that are to be saved become read-only, at the checkpoint's instant
 *   TRAP    a write to one that was not saved yet: it is copied before
 *   UNPROT  a page that was saved may be written
 *   DIRTY   with "increment", which pages were written since the checkpoint before
 *
 * The computation is in work.h, its threads in crew.h, the checkpointer in saver.h, what it writes
 * in image.h. "baseline" stops and copies, without a primitive.
 */
#include <trapline/portable.h>

#include "guest/common/figures.h"
#include "guest/common/options.h"
#include "guest/workloads/checkpoint/crew.h"
#include "guest/workloads/checkpoint/resume.h"
#include "guest/workloads/checkpoint/saver.h"
#include "guest/workloads/checkpoint/verify.h"
#include "guest/workloads/checkpoint/work.h"

enum {
    DEVICE_MEMORY,
    DEVICE_DISK,
};

static const char *const devices[] = {[DEVICE_MEMORY] = "memory", [DEVICE_DISK] = "disk", NULL};
static const char *const mistakes[] = {"nothing", "open", "dirty", "flush", NULL};

static struct {
    struct work_size size;
    uint64_t checkpoints, full, buffers, slice, cuts, seed, die;
    bool increment, baseline, verify, resume;
    unsigned device;
    enum region_mechanism mechanism;
    unsigned mistake; /* enum saver_mistake */
} given = {.size = {.side = 192, .parts = 4, .keys = 49152, .rounds = 200},
           .checkpoints = 8,
           .buffers = 32,
           .slice = 2,
           .cuts = 16,
           .seed = 1,
           .mechanism = REGION_DEFAULT};

/* A number in given. */
#define NUMBER(option, field, low, high, text)                                                     \
    {                                                                                              \
        .name = (option), .kind = OPTION_NUMBER, .value = &given.field, .least = (low),            \
        .most = (high), .help = (text)                                                             \
    }

static const struct option options[] = {
    NUMBER("side", size.side, 8, WORK_SIDE_MOST, "of the plate, in cells"),
    NUMBER("parts", size.parts, 1, WORK_PARTS_MOST, "that the work is divided in"),
    NUMBER("keys", size.keys, WORK_KEYS_PER_PAGE, 1 << 24, "of all tables"),
    NUMBER("rounds", size.rounds, 1, 1 << 20, "of heat spreading"),
    NUMBER("checkpoints", checkpoints, 1, 1024, "that are taken on the way"),
    NUMBER("full", full, 0, 1024, "with increment: each so many checkpoints one has all pages"),
    NUMBER("buffers", buffers, 0, 4096, "for pages that are written before they are saved"),
    NUMBER("slice", slice, 1, 4096, "pages that are saved in one go"),
    NUMBER("cuts", cuts, 0, 4096, "of the power that verify tries"),
    NUMBER("seed", seed, 1, UINT64_MAX, "of when the power is cut, and what it leaves"),
    NUMBER("die", die, 0, 1024, "the checkpoint in whose middle the program ends; 0 = none"),
    {.name = "device",
     .kind = OPTION_CHOICE,
     .value = &given.device,
     .choices = devices,
     .help = "where checkpoints go; what a disk held is lost, but with resume"},
    {.name = "resume",
     .kind = OPTION_FLAG,
     .value = &given.resume,
     .help = "go on with what an earlier run left on the disk, if there is anything"},
    {.name = "increment",
     .kind = OPTION_FLAG,
     .value = &given.increment,
     .help = "save what was written since the checkpoint before"},
    {.name = "baseline", .kind = OPTION_FLAG, .value = &given.baseline, .help = "stop and copy"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .value = &given.verify,
     .help = "restore from several checkpoints and after power cuts, and go on to the end"},
    {.name = "mechanism",
     .kind = OPTION_MECHANISM,
     .value = &given.mechanism,
     .help = "who protects the pages"},
    {.name = "break",
     .kind = OPTION_CHOICE,
     .value = &given.mistake,
     .choices = mistakes,
     .help = "a page that is opened uncopied, a dirty page forgotten, a flush left out"},
};

static const char *mode(void)
{
    return given.baseline ? "baseline" : region_mechanism_name(given.mechanism);
}

/* Whether the options fit together; if not, why is printed. */
static bool sensible(void)
{
    const char *wrong = NULL;

    if (given.size.side < 2 * given.size.parts + 2)
        wrong = "the plate needs two rows for each part";
    else if (given.size.keys < given.size.parts * WORK_KEYS_PER_PAGE)
        wrong = "the tables need 128 keys for each part";
    else if (given.baseline && given.increment)
        wrong = "baseline knows no increments: it has no DIRTY";
    else if (given.mistake == SAVER_OPENS_UNCOPIED && given.baseline)
        wrong = "break=open is a mistake of what baseline does not do";
    else if (given.mistake == SAVER_FORGETS_DIRTY && !given.increment)
        wrong = "break=dirty is a mistake with increments alone";
    else if (given.resume && given.device != DEVICE_DISK)
        wrong = "resume needs device=disk: memory does not survive the program";
    else if (given.die > given.checkpoints || (given.die && given.baseline))
        wrong = "die is the number of a checkpoint, and not for baseline";
    else if (given.checkpoints >= work_steps_in_all(&given.size))
        wrong = "there are fewer steps than checkpoints";
    if (wrong)
        printf("checkpoint: %s\n", wrong);
    return !wrong;
}

/* A run without checkpoints. Its time, or 0 when there is no memory or the result is none. */
static uint64_t run_plain(uint64_t *answer)
{
    const size_t pages = work_pages(&given.size);
    void *const memory = pages_alloc(pages, 1);
    struct crew crew;
    uint64_t time;

    if (!memory) {
        printf("checkpoint: no memory for %zu pages of state\n", pages);
        return 0;
    }
    work_format(memory, &given.size);
    crew_init(&crew, memory, (unsigned)given.size.parts);
    time = ticks();
    crew_run(&crew, NULL, NULL);
    time = ticks() - time;
    *answer = work_sum(memory, pages);
    if (given.verify && !work_check(memory))
        time = 0;
    pages_free(memory, pages);
    return time;
}

static void report(const struct saver_counts *counts, uint64_t run_ticks, uint64_t plain_ticks)
{
    const double n = (double)counts->checkpoints;
    uint64_t stopped = 0, busy, longest;

    for (uint64_t i = 0; i < counts->checkpoints; i++)
        stopped += counts->stops[i];
    busy = stopped + counts->trap_ticks + counts->copy_ticks;
    figure_series("checkpoint.stop", mode(), "tsc", "checkpoint", counts->stops,
                  counts->checkpoints);
    /* They are sorted now. */
    longest = counts->stops[counts->checkpoints - 1];
    figure_value("checkpoint.stop.longest", mode(), "tsc", "run", (double)longest);
    figure_value("checkpoint.stop.mean", mode(), "tsc", "checkpoint", (double)stopped / n);
    figure_value("checkpoint.overlap", mode(), "percent", "run",
                 100 * (double)counts->copy_ticks / (double)busy);
    figure_value("checkpoint.bytes", mode(), "bytes", "checkpoint", (double)counts->bytes / n);
    figure_value("checkpoint.traps", mode(), "traps", "checkpoint", (double)counts->traps / n);
    figure_value("checkpoint.trap", mode(), "tsc", "trap",
                 counts->traps ? (double)counts->trap_ticks / (double)counts->traps : 0);
    figure_value("checkpoint.direct", mode(), "traps", "checkpoint", (double)counts->direct / n);
    figure_value("checkpoint.run", mode(), "tsc", "run", (double)run_ticks);
    figure_value("checkpoint.overhead", mode(), "percent", "run",
                 100 * ((double)run_ticks / (double)plain_ticks - 1));
    printf(
        "checkpoint: %lu checkpoints of %zu pages of state, %lu bytes each; the longest stop took "
        "%lu ticks, %lu %% of the saving went on beside the computation\n",
        counts->checkpoints, work_pages(&given.size), counts->bytes / counts->checkpoints, longest,
        counts->copy_ticks * 100 / busy);
}

/* A run with checkpoints in a region, up to the answer; then the region is lost. */
static bool run_saved(struct region *region, struct target *target, struct verifier *verifier,
                      uint64_t plain_ticks, uint64_t answer)
{
    const struct saver_options how = {
        .stop_and_copy = given.baseline,
        .increments = given.increment,
        .full = given.full,
        .every = work_steps_in_all(&given.size) / (given.checkpoints + 1),
        .most = given.checkpoints,
        .buffers = given.buffers,
        .slice = given.slice,
        .die = given.die,
        .mistake = (enum saver_mistake)given.mistake,
        .witness = given.verify ? verifier_witness(verifier, region_base(region))
                                : (struct saver_witness){NULL, NULL, NULL},
    };
    struct saver *saver;
    struct image image;
    struct crew crew;
    uint64_t time;
    int error = image_create(&image, target, region_pages(region), ticks());
    bool good;

    crew_init(&crew, region_base(region), (unsigned)given.size.parts);
    if (!error)
        error = saver_create(&saver, region, &image, &crew, &how);
    if (error) {
        printf("checkpoint: the checkpointer cannot be made: %s\n", trapline_error_name(error));
        return false;
    }
    work_format(region_base(region), &given.size);
    time = ticks();
    crew_run(&crew, saver_turn, saver);
    saver_finish(saver);
    time = ticks() - time - saver_counts(saver)->witness_ticks;
    good = work_sum(region_base(region), region_pages(region)) == answer;
    if (good)
        report(saver_counts(saver), time, plain_ticks);
    else
        printf("checkpoint: the run with checkpoints ends otherwise than the one without\n");
    saver_destroy(saver);
    image_close(&image);
    return good;
}

/* A run, and what can be got back of it. */
static bool run(struct target *below, uint64_t plain_ticks, uint64_t answer)
{
    const struct verify_options how = {given.mechanism, given.cuts, given.seed};
    const size_t pages = work_pages(&given.size);
    struct verifier verifier;
    struct region *region;
    int error = verifier_create(&verifier, below, pages, given.checkpoints);
    bool good;

    if (!error)
        error = region_create(&region, pages, 1, given.mechanism);
    if (error) {
        printf("checkpoint: no region of %zu pages: %s\n", pages, trapline_error_name(error));
        return false;
    }
    good = run_saved(region, given.verify ? &verifier.recording.target : below, &verifier,
                     plain_ticks, answer);
    region_destroy(region);
    if (good && given.verify) {
        good = verify_restores(&verifier, &given.size, answer, &how);
        printf("checkpoint: %s\n",
               good ? "every restored state went on to the same answer" : "verify has failed");
    }
    verifier_destroy(&verifier);
    return good;
}

/* Whether an earlier run was gone on with, *good: to the answer. */
static bool run_resumed(struct target *target, uint64_t answer, bool *good)
{
    uint64_t sequence, steps, sum;
    const int error = resume(target, &given.size, given.mechanism, &sequence, &steps, &sum);

    *good = false;
    if (error) {
        printf("checkpoint: what is on the disk cannot be gone on with: %s\n",
               trapline_error_name(error));
        return true;
    }
    if (sequence == 0) {
        printf("checkpoint: there is nothing to resume\n");
        return false;
    }
    *good = sum == answer;
    printf("checkpoint: resumed from number %lu of an earlier run, after %lu of %lu steps; %s\n",
           sequence, steps, work_steps_in_all(&given.size),
           *good ? "the answer is the same" : "the answer is another");
    return true;
}

/* On a target that may be too small; what is wrong is printed. */
static bool run_on(struct target *target)
{
    const uint64_t bytes = image_bytes(work_pages(&given.size), given.checkpoints);
    uint64_t answer = 0, plain_ticks;
    bool good;

    if (target->bytes < bytes) {
        printf("checkpoint: the disk has %lu bytes, the checkpoints take up to %lu\n",
               target->bytes, bytes);
        return false;
    }
    plain_ticks = run_plain(&answer);
    if (plain_ticks == 0)
        return false;
    if (given.resume && run_resumed(target, answer, &good))
        return good;
    return run(target, plain_ticks, answer);
}

static bool run_in_memory(void)
{
    struct memory_target memory;
    bool good;

    if (memory_target_create(&memory, image_bytes(work_pages(&given.size), given.checkpoints)) !=
        0) {
        printf("checkpoint: no memory for %lu checkpoints of %zu pages\n", given.checkpoints,
               work_pages(&given.size));
        return false;
    }
    good = run_on(&memory.target);
    memory_target_destroy(&memory);
    return good;
}

static bool run_on_disk(void)
{
    struct disk_target disk;
    const int error = disk_target_open(&disk);

    if (error) {
        printf("checkpoint: the disk cannot be used: %s\n", trapline_error_name(error));
        return false;
    }
    return run_on(&disk.target);
}

int main(int argc, char **argv)
{
    bool good;

    if (!options_read("checkpoint", argc, argv, options, sizeof(options) / sizeof(options[0])) ||
        !sensible())
        return EXIT_FAILURE;
    good = given.device == DEVICE_DISK ? run_on_disk() : run_in_memory();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
