/*
 * Data-compression paging (Appel and Li, "Virtual Memory Primitives for User Programs", ASPLOS
 * 1991; Wilson, Kaplan and Smaragdakis, "The Case for Compressed Caching in Virtual Memory
 * Systems", USENIX 1999): a program whose memory is several times what there is. Pages that are not
 * in use are compressed into a pool in memory, and only what the pool cannot hold goes to a store.
 *
 *   MAP2    an address of the space is an alias of the frame that the page is in; REMAP2 moves it
 *   TRAP    an access to a page that is not in memory, is watched for use, or is written first
 *   PROTN   takes the access away from a batch of pages, to see which are used: no accessed flags
 *   UNPROT  gives it back to those that are
 *
 * Programs: accesses by Zipf's law, a scan, a hash join. "baseline" pages to the store without
 * compression, in as many frames as frames and pool had together.
 */
#include <trapline/portable.h>

#include "guest/common/options.h"
#include "guest/workloads/zpage/report.h"
#include "guest/workloads/zpage/run.h"

enum {
    MEGA = 1u << 20,
};

static const char *const programs[] = {"random", "scan", "join", NULL};
static const char *const contents[] = {"text", "pointers", "noise", "mixed", NULL};
static const char *const mistakes[] = {"none", "lost-write", NULL};

static struct run_settings set = {.mechanism = REGION_DEFAULT,
                                  .pages = 512,
                                  .frames = 64,
                                  .pool_pages = 96,
                                  .accesses = 60000,
                                  .writes = 20,
                                  .lead_percent = 50,
                                  .batch = 8,
                                  .acceleration = 1,
                                  .program = PROGRAM_RANDOM,
                                  .content = CONTENT_MIXED};
static unsigned mistake;

static const struct option options[] = {
    {"mechanism", OPTION_MECHANISM, &set.mechanism, 0, 0, NULL, "who keeps the protection"},
    {"pages", OPTION_NUMBER, &set.pages, 8, MEGA, NULL, "pages of the space"},
    {"frames", OPTION_NUMBER, &set.frames, 4, MEGA, NULL, "pages that are in memory at once"},
    {"pool", OPTION_NUMBER, &set.pool_pages, 1, MEGA, NULL, "pages of memory for compressed ones"},
    {"program", OPTION_CHOICE, &set.program, 0, 0, programs, "what uses the space"},
    {"data", OPTION_CHOICE, &set.content, 0, 0, contents, "what is in it"},
    {"accesses", OPTION_NUMBER, &set.accesses, 1, 1u << 30, NULL, "of all threads together"},
    {"writes", OPTION_NUMBER, &set.writes, 0, 100, NULL, "percent of them"},
    {"watch", OPTION_NUMBER, &set.lead_percent, 1, 100, NULL,
     "percent of the frames that are watched for use"},
    {"batch", OPTION_NUMBER, &set.batch, 1, SPACE_BATCH_MAX, NULL, "pages of one PROTN"},
    {"acceleration", OPTION_NUMBER, &set.acceleration, 1, 100, NULL, "LZ4's"},
    {"verify", OPTION_FLAG, &set.verify, 0, 0, NULL, "do it again without paging and compare"},
    {"baseline", OPTION_FLAG, &set.baseline, 0, 0, NULL, "page without compression as well"},
    {"break", OPTION_CHOICE, &mistake, 0, 0, mistakes, "a mistake that verify has to find"},
};

int main(int argc, char **argv)
{
    if (!options_read("zpage", argc, argv, options, sizeof(options) / sizeof(options[0])))
        return EXIT_FAILURE;
    set.lose_writes = mistake != 0;
    return run_all(&set) ? EXIT_SUCCESS : EXIT_FAILURE;
}
