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

#include "guest/common/options.h"
#include "guest/workloads/checkpoint/run.h"
#include "guest/workloads/checkpoint/saver.h"

static const char *const devices[] = {[DEVICE_MEMORY] = "memory", [DEVICE_DISK] = "disk", NULL};
static const char *const mistakes[] = {"nothing", "open", "dirty", "flush", NULL};

static struct run_settings given = {.size = {.side = 192, .parts = 4, .keys = 49152, .rounds = 200},
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

int main(int argc, char **argv)
{
    if (!options_read("checkpoint", argc, argv, options, sizeof(options) / sizeof(options[0])) ||
        !sensible())
        return EXIT_FAILURE;
    return run(&given) ? EXIT_SUCCESS : EXIT_FAILURE;
}
