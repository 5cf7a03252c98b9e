#include "guest/workloads/store/cuts.h"

#include "guest/common/block.h"
#include "guest/common/figures.h"
#include "guest/common/random.h"
#include "guest/workloads/store/recording.h"
#include "guest/workloads/store/script.h"

enum {
    WRITES_PER_TRANSACTION = 24, /* room for the recording, on average */
    WRITES_EXTRA = 4096,
    TWICE = 4,     /* in one recovery of so many the power fails again */
    SURVIVALS = 4, /* what of the unflushed writes survives: nothing, all, or (two of four) some */
};

/* What the script had been told of when so many writes were recorded. */
struct milestone {
    size_t writes;
    uint64_t transaction; /* that brought it: 0 = the empty table */
};

struct cuts {
    struct store_options options;
    uint64_t keys, pages, random;
    struct memory_disk run, durable, trial, again;
    struct recording_disk recording;
    struct milestone *milestones;
    size_t milestone_count;
    size_t reached;     /* milestones of which the script had been told at the cut */
    struct model model; /* of the last of them, */
    struct model next;  /* and of the one behind it */
    uint64_t *recovery; /* ticks of each */
    size_t points, twice;
};

static bool record_transactions(struct cuts *cuts, struct table *table, uint64_t transactions)
{
    for (uint64_t i = 1; i <= transactions; i++) {
        const int result = script_run(table, i, cuts->keys);

        if (result < 0) {
            printf("store: transaction %lu: error %d\n", i, result);
            return false;
        }
        if (result > 0)
            cuts->milestones[cuts->milestone_count++] =
                (struct milestone){cuts->recording.count, i};
    }
    return true;
}

/* Run the script once, from an empty disk. */
static bool record(struct cuts *cuts, uint64_t transactions)
{
    struct store *store;
    struct table table;
    bool good;

    if (store_open(&store, &cuts->recording.device, cuts->pages, &cuts->options) != 0) {
        printf("store: a new store cannot be made\n");
        return false;
    }
    table_open(&table, store, cuts->keys);
    good = store_begin(store) == 0;
    if (good) {
        table_format(&table, cuts->keys);
        good = store_commit(store) == 0;
        cuts->milestones[cuts->milestone_count++] = (struct milestone){cuts->recording.count, 0};
    }
    good = good && record_transactions(cuts, &table, transactions);
    store_close(store);
    return good;
}

/* Whether the store on a disk is as it may be at this cut. */
static bool holds(struct cuts *cuts, const struct table *table)
{
    if (!table_exists(table))
        return cuts->reached == 0;
    return (cuts->reached > 0 && script_check(table, &cuts->model, false)) ||
           (cuts->reached < cuts->milestone_count && script_check(table, &cuts->next, false));
}

/* Open the store after a cut; ticks, unless NULL, is how long that took. */
static bool recover(struct cuts *cuts, struct block_device *device, uint64_t *spent,
                    bool *restarted)
{
    const struct store_options options = {.mechanism = cuts->options.mechanism};
    const uint64_t start = ticks();
    struct store *store;
    struct table table;
    bool good;

    if (store_open(&store, device, cuts->pages, &options) != 0)
        return false;
    *spent = ticks() - start;
    *restarted = store_counts(store)->restarts != 0;
    table_open(&table, store, cuts->keys);
    good = holds(cuts, &table);
    store_close(store);
    return good;
}

/* Do writes from to end - 1, as the power cut leaves them. */
static void survive(struct cuts *cuts, struct memory_disk *disk,
                    const struct recorded_write *writes, size_t from, size_t end, unsigned how)
{
    for (size_t i = from; i < end; i++) {
        if (writes[i].sector == RECORDED_FLUSH || how == 0 ||
            (how > 1 && random_below(&cuts->random, 2)))
            continue;
        memcpy(disk->data + writes[i].sector * DISK_SECTOR, writes[i].data, DISK_SECTOR);
    }
}

static size_t disk_bytes(const struct cuts *cuts)
{
    return cuts->durable.device.sectors * DISK_SECTOR;
}

/* The power fails again while the store is recovered. */
static bool cut_recovery(struct cuts *cuts)
{
    struct recording_disk recording;
    size_t flushed = 0, end;
    uint64_t spent;
    bool good, restarted;

    memcpy(cuts->again.data, cuts->trial.data, disk_bytes(cuts));
    if (recording_disk_create(&recording, &cuts->trial.device, WRITES_EXTRA) != 0)
        return false;
    good = recover(cuts, &recording.device, &spent, &restarted);
    end = (size_t)random_below(&cuts->random, recording.count + 1);
    for (size_t i = 0; i < end; i++)
        if (recording.writes[i].sector == RECORDED_FLUSH)
            flushed = i;
    survive(cuts, &cuts->again, recording.writes, 0, flushed, 1);
    survive(cuts, &cuts->again, recording.writes, flushed, end, SURVIVALS - 1);
    recording_disk_destroy(&recording);
    cuts->twice++;
    return good && recover(cuts, &cuts->again.device, &spent, &restarted);
}

/* The power fails when so many writes were made, of which those before flushed are on the disk. */
static bool cut(struct cuts *cuts, size_t flushed, size_t writes)
{
    const unsigned how = (unsigned)(cuts->points % SURVIVALS);
    uint64_t state;
    bool restarted;

    memcpy(cuts->trial.data, cuts->durable.data, disk_bytes(cuts));
    state = cuts->random;
    survive(cuts, &cuts->trial, cuts->recording.writes, flushed, writes, how);
    if (!recover(cuts, &cuts->trial.device, &cuts->recovery[cuts->points++], &restarted)) {
        printf(
            "store: power cut behind write %lu of %lu: the store does not hold what %lu committed "
            "transactions left\n",
            writes, cuts->recording.count, cuts->reached ? cuts->reached - 1 : 0);
        return false;
    }
    if (!restarted || random_below(&cuts->random, TWICE) != 0)
        return true;
    /* The same disk once more. */
    memcpy(cuts->trial.data, cuts->durable.data, disk_bytes(cuts));
    cuts->random = state;
    survive(cuts, &cuts->trial, cuts->recording.writes, flushed, writes, how);
    if (cut_recovery(cuts))
        return true;
    printf("store: power cut behind write %lu, and again in the recovery: the store does not hold "
           "what %lu committed transactions left\n",
           writes, cuts->reached ? cuts->reached - 1 : 0);
    return false;
}

/* The script was told of another transaction. */
static void reach(struct cuts *cuts)
{
    model_copy(&cuts->model, &cuts->next);
    cuts->reached++;
    if (cuts->reached < cuts->milestone_count)
        model_run(&cuts->next, cuts->milestones[cuts->reached].transaction);
}

static bool cut_everywhere(struct cuts *cuts)
{
    size_t flushed = 0;

    for (size_t i = 0; i <= cuts->recording.count; i++) {
        while (cuts->reached < cuts->milestone_count && cuts->milestones[cuts->reached].writes <= i)
            reach(cuts);
        if (!cut(cuts, flushed, i))
            return false;
        if (i == cuts->recording.count || cuts->recording.writes[i].sector != RECORDED_FLUSH)
            continue;
        survive(cuts, &cuts->durable, cuts->recording.writes, flushed, i, 1);
        flushed = i;
    }
    return true;
}

static bool create(struct cuts *cuts, uint64_t transactions)
{
    const uint64_t sectors = log_disk_sectors(cuts->pages);
    const size_t room = transactions * WRITES_PER_TRANSACTION + WRITES_EXTRA;

    cuts->milestones = calloc(transactions + 1, sizeof(*cuts->milestones));
    cuts->recovery = calloc(room, sizeof(*cuts->recovery));
    return cuts->milestones && cuts->recovery && model_create(&cuts->model, cuts->keys) &&
           model_create(&cuts->next, cuts->keys) && memory_disk_create(&cuts->run, sectors) == 0 &&
           memory_disk_create(&cuts->durable, sectors) == 0 &&
           memory_disk_create(&cuts->trial, sectors) == 0 &&
           memory_disk_create(&cuts->again, sectors) == 0 &&
           recording_disk_create(&cuts->recording, &cuts->run.device, room) == 0;
}

static void destroy(struct cuts *cuts)
{
    free(cuts->milestones);
    free(cuts->recovery);
    model_destroy(&cuts->model);
    model_destroy(&cuts->next);
    memory_disk_destroy(&cuts->run);
    memory_disk_destroy(&cuts->durable);
    memory_disk_destroy(&cuts->trial);
    memory_disk_destroy(&cuts->again);
    recording_disk_destroy(&cuts->recording);
}

bool cuts_run(const struct store_options *options, uint64_t transactions, uint64_t keys,
              uint64_t seed)
{
    struct cuts cuts = {
        .options = *options,
        .keys = keys,
        .pages = table_pages(keys),
        .random = seed,
    };
    const char *const mode = region_mechanism_name(options->mechanism);
    bool good = create(&cuts, transactions);

    if (!good)
        printf("store: no memory to record %lu transactions\n", transactions);
    good = good && record(&cuts, transactions) && cut_everywhere(&cuts);
    if (good) {
        figure_value("store.cuts", mode, "cuts", "run", (double)cuts.points);
        figure_value("store.cuts.twice", mode, "cuts", "run", (double)cuts.twice);
        figure_series("store.recovery", mode, "tsc", "cut", cuts.recovery, cuts.points);
        printf("store: after each of %lu power cuts, and after %lu more in the recovery, the store "
               "held the committed transactions, of %lu\n",
               cuts.points, cuts.twice, cuts.milestone_count - 1);
    }
    destroy(&cuts);
    return good;
}
