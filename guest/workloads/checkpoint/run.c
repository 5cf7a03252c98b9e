#include "guest/workloads/checkpoint/run.h"

#include "guest/common/block.h"
#include "guest/common/figures.h"
#include "guest/workloads/checkpoint/crew.h"
#include "guest/workloads/checkpoint/resume.h"
#include "guest/workloads/checkpoint/saver.h"
#include "guest/workloads/checkpoint/verify.h"

/* A run without checkpoints. Its time, or 0 when there is no memory or the result is none. */
static uint64_t run_plain(const struct run_settings *set, uint64_t *answer)
{
    const size_t pages = work_pages(&set->size);
    void *const memory = pages_alloc(pages, 1);
    struct crew crew;
    uint64_t time;

    if (!memory) {
        printf("checkpoint: no memory for %zu pages of state\n", pages);
        return 0;
    }
    work_format(memory, &set->size);
    crew_init(&crew, memory, (unsigned)set->size.parts);
    time = ticks();
    crew_run(&crew, NULL, NULL);
    time = ticks() - time;
    *answer = work_sum(memory, pages);
    if (set->verify && !work_check(memory))
        time = 0;
    pages_free(memory, pages);
    return time;
}

static void report(const struct run_settings *set, const struct saver_counts *counts,
                   uint64_t run_ticks, uint64_t plain_ticks)
{
    const char *const mode = set->baseline ? "baseline" : region_mechanism_name(set->mechanism);
    const double n = (double)counts->checkpoints;
    uint64_t stopped = 0, busy, longest;

    for (uint64_t i = 0; i < counts->checkpoints; i++)
        stopped += counts->stops[i];
    busy = stopped + counts->trap_ticks + counts->copy_ticks;
    figure_series("checkpoint.stop", mode, "tsc", "checkpoint", counts->stops, counts->checkpoints);
    /* They are sorted now. */
    longest = counts->stops[counts->checkpoints - 1];
    figure_value("checkpoint.stop.longest", mode, "tsc", "run", (double)longest);
    figure_value("checkpoint.stop.mean", mode, "tsc", "checkpoint", (double)stopped / n);
    figure_value("checkpoint.overlap", mode, "percent", "run",
                 100 * (double)counts->copy_ticks / (double)busy);
    figure_value("checkpoint.bytes", mode, "bytes", "checkpoint", (double)counts->bytes / n);
    figure_value("checkpoint.traps", mode, "traps", "checkpoint", (double)counts->traps / n);
    figure_value("checkpoint.trap", mode, "tsc", "trap",
                 counts->traps ? (double)counts->trap_ticks / (double)counts->traps : 0);
    figure_value("checkpoint.direct", mode, "traps", "checkpoint", (double)counts->direct / n);
    figure_value("checkpoint.run", mode, "tsc", "run", (double)run_ticks);
    figure_value("checkpoint.overhead", mode, "percent", "run",
                 100 * ((double)run_ticks / (double)plain_ticks - 1));
    printf(
        "checkpoint: %lu checkpoints of %zu pages of state, %lu bytes each; the longest stop took "
        "%lu ticks, %lu %% of the saving went on beside the computation\n",
        counts->checkpoints, work_pages(&set->size), counts->bytes / counts->checkpoints, longest,
        counts->copy_ticks * 100 / busy);
}

/* A run with checkpoints in a region, up to the answer; then the region is lost. */
static bool run_saved(const struct run_settings *set, struct region *region,
                      struct block_device *target, struct verifier *verifier, uint64_t plain_ticks,
                      uint64_t answer)
{
    const struct saver_options how = {
        .stop_and_copy = set->baseline,
        .increments = set->increment,
        .full = set->full,
        .every = work_steps_in_all(&set->size) / (set->checkpoints + 1),
        .most = set->checkpoints,
        .buffers = set->buffers,
        .slice = set->slice,
        .die = set->die,
        .mistake = (enum saver_mistake)set->mistake,
        .witness = set->verify ? verifier_witness(verifier, region_base(region))
                               : (struct saver_witness){NULL, NULL, NULL},
    };
    struct saver *saver;
    struct image image;
    struct crew crew;
    uint64_t time;
    int error = image_create(&image, target, region_pages(region), ticks());
    bool good;

    crew_init(&crew, region_base(region), (unsigned)set->size.parts);
    if (!error)
        error = saver_create(&saver, region, &image, &crew, &how);
    if (error) {
        printf("checkpoint: the checkpointer cannot be made: %s\n", trapline_error_name(error));
        return false;
    }
    work_format(region_base(region), &set->size);
    time = ticks();
    crew_run(&crew, saver_turn, saver);
    saver_finish(saver);
    time = ticks() - time - saver_counts(saver)->witness_ticks;
    good = work_sum(region_base(region), region_pages(region)) == answer;
    if (good)
        report(set, saver_counts(saver), time, plain_ticks);
    else
        printf("checkpoint: the run with checkpoints ends otherwise than the one without\n");
    saver_destroy(saver);
    image_close(&image);
    return good;
}

/* A run, and what can be got back of it. */
static bool run_verified(const struct run_settings *set, struct block_device *below,
                         uint64_t plain_ticks, uint64_t answer)
{
    const struct verify_options how = {set->mechanism, set->cuts, set->seed};
    const size_t pages = work_pages(&set->size);
    struct verifier verifier;
    struct region *region;
    int error = verifier_create(&verifier, below, pages, set->checkpoints);
    bool good;

    if (!error)
        error = region_create(&region, pages, 1, set->mechanism);
    if (error) {
        printf("checkpoint: no region of %zu pages: %s\n", pages, trapline_error_name(error));
        return false;
    }
    good = run_saved(set, region, set->verify ? &verifier.recording.device : below, &verifier,
                     plain_ticks, answer);
    region_destroy(region);
    if (good && set->verify) {
        good = verify_restores(&verifier, &set->size, answer, &how);
        printf("checkpoint: %s\n",
               good ? "every restored state went on to the same answer" : "verify has failed");
    }
    verifier_destroy(&verifier);
    return good;
}

/* Whether an earlier run was gone on with, *good: to the answer. */
static bool run_resumed(const struct run_settings *set, struct block_device *target,
                        uint64_t answer, bool *good)
{
    uint64_t sequence, steps, sum;
    const int error = resume(target, &set->size, set->mechanism, &sequence, &steps, &sum);

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
           sequence, steps, work_steps_in_all(&set->size),
           *good ? "the answer is the same" : "the answer is another");
    return true;
}

/* On a target that may be too small; what is wrong is printed. */
static bool run_on(const struct run_settings *set, struct block_device *target)
{
    const uint64_t sectors = image_sectors(work_pages(&set->size), set->checkpoints);
    uint64_t answer = 0, plain_ticks;
    bool good;

    if (target->sectors < sectors) {
        printf("checkpoint: the disk has %lu bytes, the checkpoints take up to %lu\n",
               target->sectors * DISK_SECTOR, sectors * DISK_SECTOR);
        return false;
    }
    plain_ticks = run_plain(set, &answer);
    if (plain_ticks == 0)
        return false;
    if (set->resume && run_resumed(set, target, answer, &good))
        return good;
    return run_verified(set, target, plain_ticks, answer);
}

static bool run_in_memory(const struct run_settings *set)
{
    struct memory_disk memory;
    bool good;

    if (memory_disk_create(&memory, image_sectors(work_pages(&set->size), set->checkpoints)) != 0) {
        printf("checkpoint: no memory for %lu checkpoints of %zu pages\n", set->checkpoints,
               work_pages(&set->size));
        return false;
    }
    good = run_on(set, &memory.device);
    memory_disk_destroy(&memory);
    return good;
}

static bool run_on_disk(const struct run_settings *set)
{
    struct real_disk disk;
    const int error = real_disk_open(&disk);

    if (error) {
        printf("checkpoint: the disk cannot be used: %s\n", trapline_error_name(error));
        return false;
    }
    return run_on(set, &disk.device);
}

bool run(const struct run_settings *set)
{
    return set->device == DEVICE_DISK ? run_on_disk(set) : run_in_memory(set);
}
