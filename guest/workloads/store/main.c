/*
 * A persistent store, or recoverable virtual memory: a table of keys and values in memory that is
 * changed by ordinary stores, in transactions that are kept on a disk.
 *
 * Appel and Li's section on persistent stores: pages are brought in when they are touched, and
 * nobody but the MMU finds out which of them a transaction changes.
 *
 *   TRAP    a touch of a page that is not there, or a first write to one that is
 *   PROTN   all pages at the start, and those that a transaction changed at its end
 *   PROT1   a page that was brought in may be read
 *   UNPROT  a page that the transaction changes, from its first write on
 *   MAP2    the page is filled, saved and logged by its second address while the first is forbidden
 *
 * The redo log, which alone makes the store survive, is in log.h; cuts.h cuts the power at each
 * write of a run. With "baseline" the program itself tells the store before each write (as with
 * set_range() of Satyanarayanan's RVM, SOSP '93), and no page is protected.
 */
#include <trapline/portable.h>

#include "guest/common/block.h"
#include "guest/common/figures.h"
#include "guest/common/options.h"
#include "guest/workloads/store/cuts.h"
#include "guest/workloads/store/script.h"
#include "guest/workloads/store/timed.h"

enum {
    DEVICE_MEMORY,
    DEVICE_DISK,
};

static const char *const devices[] = {[DEVICE_MEMORY] = "memory", [DEVICE_DISK] = "disk", NULL};
static const char *const mistakes[] = {"nothing", "commit", "data", NULL};

static struct {
    uint64_t transactions, keys, seed;
    bool verify, baseline, cuts, resume;
    unsigned device;
    enum region_mechanism mechanism;
    unsigned mistake; /* enum log_mistake */
} given = {.transactions = 3000, .keys = 4096, .seed = 1, .mechanism = REGION_DEFAULT};

static const struct option options[] = {
    {.name = "transactions",
     .kind = OPTION_NUMBER,
     .value = &given.transactions,
     .least = 1,
     .most = 1 << 20,
     .help = "how many"},
    {.name = "keys",
     .kind = OPTION_NUMBER,
     .value = &given.keys,
     .least = 16,
     .most = 1 << 20,
     .help = "of the table, and its entries"},
    {.name = "seed",
     .kind = OPTION_NUMBER,
     .value = &given.seed,
     .least = 1,
     .most = UINT64_MAX,
     .help = "what survives a power cut"},
    {.name = "cuts",
     .kind = OPTION_FLAG,
     .value = &given.cuts,
     .help = "cut the power at each write of the run"},
    {.name = "device",
     .kind = OPTION_CHOICE,
     .value = &given.device,
     .choices = devices,
     .help = "where the store is"},
    {.name = "resume",
     .kind = OPTION_FLAG,
     .value = &given.resume,
     .help = "do nothing but open the store that an earlier run left on the disk, and check it"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .value = &given.verify,
     .help = "compare the table with a plain array, also after it was opened again"},
    {.name = "baseline",
     .kind = OPTION_FLAG,
     .value = &given.baseline,
     .help = "the program says what it writes; nothing is protected"},
    {.name = "mechanism",
     .kind = OPTION_MECHANISM,
     .value = &given.mechanism,
     .help = "who protects the pages"},
    {.name = "break",
     .kind = OPTION_CHOICE,
     .value = &given.mistake,
     .choices = mistakes,
     .help = "a flush to leave out: that of a commit, or of the data before the log is emptied"},
};

static const char *mode(void)
{
    return given.baseline ? "baseline" : region_mechanism_name(given.mechanism);
}

/* The transactions' times go to times[]; how many committed, or a negative errno value. */
static int64_t run_transactions(struct table *table, const struct timed_disk *disk, uint64_t *times)
{
    int64_t committed = 0;

    for (uint64_t i = 0; i < given.transactions; i++) {
        const uint64_t start = ticks(), disk_start = disk->ticks;
        const int result = script_run(table, i + 1, given.keys);

        times[i] = ticks() - start - (disk->ticks - disk_start);
        if (result < 0)
            return result;
        committed += result;
    }
    return committed;
}

static void report(const struct store *store, const struct timed_disk *disk, uint64_t *times,
                   uint64_t all, uint64_t committed)
{
    const struct store_counts *const counts = store_counts(store);
    const double second = (double)tsc_hz();
    const double pages = (double)(counts->changed ? counts->changed : 1);

    figure_series("store.transaction", mode(), "tsc", "transaction", times, given.transactions);
    figure_value("store.commits", mode(), "1/s", "run", (double)committed * second / (double)all);
    figure_value("store.commits.bound", mode(), "1/s", "run",
                 disk->ticks ? (double)committed * second / (double)disk->ticks : 0);
    figure_value("store.trap", mode(), "tsc", "page", (double)counts->trap_ticks / pages);
    figure_value("store.traps", mode(), "traps", "run", (double)counts->traps);
    figure_value("store.pages", mode(), "pages", "transaction", pages / (double)given.transactions);
    figure_value("store.log", mode(), "bytes", "transaction",
                 (double)store_log_bytes(store) / (double)committed);
    figure_value("store.restarts", mode(), "restarts", "run", (double)counts->restarts);
    printf("store: %lu of %lu transactions committed, %lu pages changed, %lu sectors and %lu "
           "flushes; %lu %% of the time was the disk's\n",
           committed, given.transactions, counts->changed, disk->sectors_written, disk->flushes,
           disk->ticks * 100 / all);
}

/* Whether the table is as the script leaves it. */
static bool verify(const struct table *table)
{
    struct model model;
    bool good;

    if (!model_create(&model, given.keys)) {
        printf("store: no memory to verify\n");
        return false;
    }
    for (uint64_t i = 1; i <= given.transactions; i++)
        model_run(&model, i);
    good = script_check(table, &model, true);
    model_destroy(&model);
    return good;
}

static bool run(struct block_device *below)
{
    const struct store_options how = {
        .mechanism = given.mechanism,
        .explicit = given.baseline,
        .mistake = (enum log_mistake)given.mistake,
    };
    uint64_t *const times = calloc(given.transactions, sizeof(*times));
    struct timed_disk disk;
    struct store *store;
    struct table table;
    uint64_t start;
    int64_t committed = times ? 0 : -TRAPLINE_ENOMEM;
    bool good;

    timed_disk_init(&disk, below);
    if (!committed)
        committed = store_open(&store, &disk.device, table_pages(given.keys), &how);
    if (committed) {
        printf("store: cannot be opened: error %ld\n", committed);
        return false;
    }
    table_open(&table, store, given.keys);
    if (store_begin(store) == 0) {
        table_format(&table, given.keys);
        committed = store_commit(store);
    }
    timed_disk_init(&disk, below);
    start = ticks();
    if (committed == 0)
        committed = run_transactions(&table, &disk, times);
    if (committed > 0)
        report(store, &disk, times, ticks() - start, (uint64_t)committed);
    else
        printf("store: a transaction failed: error %ld\n", committed);
    good = committed > 0 && (!given.verify || verify(&table));
    store_close(store);
    free(times);
    return good;
}

/* What a program finds that opens the store after the one before it has ended. */
static bool reopen(struct block_device *disk)
{
    const struct store_options how = {.mechanism = given.mechanism};
    struct store *store;
    struct table table;
    bool good;

    if (store_open(&store, disk, table_pages(given.keys), &how) != 0) {
        printf("store: cannot be opened again\n");
        return false;
    }
    table_open(&table, store, given.keys);
    good = verify(&table);
    printf("store: opened again: %s; %lu pages changed by the log's records\n",
           good ? "all is there" : "wrong", store_counts(store)->replayed);
    store_close(store);
    return good;
}

static bool run_in_memory(void)
{
    struct memory_disk disk;
    bool good;

    if (memory_disk_create(&disk, log_disk_sectors(table_pages(given.keys))) != 0) {
        printf("store: no memory for a disk of %lu sectors\n",
               log_disk_sectors(table_pages(given.keys)));
        return false;
    }
    good = run(&disk.device) && (!given.verify || reopen(&disk.device));
    memory_disk_destroy(&disk);
    return good;
}

/* Whatever the disk held is gone, but with "resume". */
static bool run_on_disk(void)
{
    static const uint8_t nothing[DISK_SECTOR];
    struct real_disk disk;
    int error = real_disk_open(&disk);

    if (error == 0 && disk.device.sectors < log_disk_sectors(table_pages(given.keys))) {
        printf("store: the disk has %lu sectors, the store takes %lu\n", disk.device.sectors,
               log_disk_sectors(table_pages(given.keys)));
        return false;
    }
    for (unsigned i = 0; i < LOG_HEADERS && error == 0 && !given.resume; i++)
        error = disk.device.write(&disk.device, i, 1, nothing);
    if (error) {
        printf("store: the disk cannot be used: %s\n", trapline_error_name(error));
        return false;
    }
    if (given.resume)
        return reopen(&disk.device);
    return run(&disk.device) && (!given.verify || reopen(&disk.device));
}

static bool dispatch(void)
{
    const struct store_options how = {
        .mechanism = given.mechanism,
        .mistake = (enum log_mistake)given.mistake,
    };

    if (given.cuts)
        return cuts_run(&how, given.transactions, given.keys, given.seed);
    return given.device == DEVICE_DISK ? run_on_disk() : run_in_memory();
}

int main(int argc, char **argv)
{
    if (!options_read("store", argc, argv, options, sizeof(options) / sizeof(options[0])))
        return EXIT_FAILURE;
    return dispatch() ? EXIT_SUCCESS : EXIT_FAILURE;
}
