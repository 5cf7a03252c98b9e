#include "guest/workloads/svm/litmus.h"

#include "guest/common/figures.h"
#include "guest/common/random.h"
#include "guest/workloads/svm/svm.h"

enum {
    OUTCOMES = 4,
    NAME_LEN = 64,
    TESTS = 4,
};

/* What a node read in a round: of two variables, or of one twice. */
struct seen {
    uint32_t first, second;
};

/* One node in a test. x and y lie in different pages. */
struct stage {
    volatile uint32_t *x, *y;
    unsigned self;
    uint32_t rounds;
    uint64_t spread, random;
    struct seen *seen; /* [1] to [rounds] */
};

/* What all nodes saw; outcomes: how often each of a test's came. */
struct evidence {
    const struct seen *seen[PEERS_MAX];
    unsigned nodes;
    uint32_t rounds;
    uint64_t outcomes[OUTCOMES];
};

struct litmus {
    const char *name;
    unsigned nodes; /* that it takes */
    const char *outcomes[OUTCOMES];
    void (*play)(struct stage *stage);
    uint64_t (*judge)(struct evidence *evidence); /* how often what is forbidden was seen */
};

static void hold_up(struct stage *stage)
{
    for (uint64_t i = random_below(&stage->random, stage->spread + 1); i > 0; i--)
        __asm__ volatile("" : : : "memory");
}

/* Store buffering: each of two nodes writes one variable and reads the other's. */
static void play_sb(struct stage *stage)
{
    volatile uint32_t *const mine = stage->self == 0 ? stage->x : stage->y;
    volatile uint32_t *const other = stage->self == 0 ? stage->y : stage->x;

    for (uint32_t i = 1; i <= stage->rounds && stage->self < 2; i++) {
        hold_up(stage);
        *mine = i;
        stage->seen[i].first = *other;
    }
}

/*
 * Node 0, in its round i, saw what the other one wrote in round j, and not yet what it writes in
 * round j + 1. In that round the other one must see what node 0 wrote in round i; in round j it may
 * or may not. Values do not go back, which is looked at as well, so other rounds need not be.
 */
static uint64_t judge_sb(struct evidence *evidence)
{
    const struct seen *left = evidence->seen[0], *right = evidence->seen[1];
    uint64_t wrong = 0;

    for (uint32_t i = 1; i <= evidence->rounds; i++) {
        const uint32_t j = left[i].first;

        if (j > 0)
            evidence->outcomes[right[j].first >= i ? 3 : 2]++;
        if (j < evidence->rounds)
            evidence->outcomes[right[j + 1].first >= i ? 1 : 0]++;
        wrong += j < evidence->rounds && right[j + 1].first < i;
        wrong += j < left[i - 1].first || right[i].first < right[i - 1].first;
    }
    return wrong;
}

/* Message passing: one node writes data and then a flag, the others read the flag and the data. */
static void play_mp(struct stage *stage)
{
    for (uint32_t i = 1; i <= stage->rounds; i++) {
        hold_up(stage);
        if (stage->self == 0) {
            *stage->x = i;
            *stage->y = i;
        } else {
            stage->seen[i].first = *stage->y;
            stage->seen[i].second = *stage->x;
        }
    }
}

/* Coherence: one node writes a variable, the others read it twice. */
static void play_corr(struct stage *stage)
{
    for (uint32_t i = 1; i <= stage->rounds; i++) {
        hold_up(stage);
        if (stage->self == 0) {
            *stage->x = i;
        } else {
            stage->seen[i].first = *stage->x;
            hold_up(stage);
            stage->seen[i].second = *stage->x;
        }
    }
}

/* For both: what is read second must not be older, nor what is read in the next round. */
static uint64_t judge_order(struct evidence *evidence)
{
    uint64_t wrong = 0;

    for (unsigned node = 1; node < evidence->nodes; node++) {
        for (uint32_t i = 1; i <= evidence->rounds; i++) {
            const struct seen *seen = &evidence->seen[node][i];

            if (seen->second < seen->first)
                evidence->outcomes[0]++;
            else if (seen->first == 0 && seen->second == 0)
                evidence->outcomes[1]++;
            else
                evidence->outcomes[seen->second == seen->first ? 2 : 3]++;
            wrong += seen->second < seen->first || seen->first < seen[-1].first ||
                     seen->second < seen[-1].second;
        }
    }
    return wrong;
}

/* Independent reads of independent writes: two nodes write, two read in opposite orders. */
static void play_iriw(struct stage *stage)
{
    for (uint32_t i = 1; i <= stage->rounds; i++) {
        hold_up(stage);
        switch (stage->self) {
        case 0: *stage->x = i; break;
        case 1: *stage->y = i; break;
        case 2:
            stage->seen[i].first = *stage->x;
            stage->seen[i].second = *stage->y;
            break;
        case 3:
            stage->seen[i].first = *stage->y;
            stage->seen[i].second = *stage->x;
            break;
        default: break;
        }
    }
}

/*
 * When node 2 saw x as a and y as b, and node 3 saw y newer than b, then for node 2 x came to be a
 * before y came to be newer: node 3 must not see x as it was before a. The first round of node 3
 * that saw y newer is the one to look at.
 */
static uint64_t judge_iriw(struct evidence *evidence)
{
    const struct seen *left = evidence->seen[2], *right = evidence->seen[3];
    uint64_t wrong = 0;
    uint32_t j = 1;

    for (uint32_t i = 1; i <= evidence->rounds; i++) {
        while (j <= evidence->rounds && right[j].first <= left[i].second)
            j++;
        if (j > evidence->rounds) {
            evidence->outcomes[1]++; /* no round of node 3 saw y newer */
        } else if (right[j].second < left[i].first) {
            evidence->outcomes[0]++;
            wrong++;
        } else {
            evidence->outcomes[right[j].second == left[i].first ? 2 : 3]++;
        }
    }
    return wrong;
}

static const struct litmus tests[TESTS] = {
    {"sb", 2, {"both old", "the second's new", "the first's new", "both new"}, play_sb, judge_sb},
    {"mp", 2, {"old data", "nothing yet", "its data", "newer data"}, play_mp, judge_order},
    {"corr", 2, {"older", "nothing yet", "the same", "newer"}, play_corr, judge_order},
    {"iriw", 4, {"orders differ", "no later read", "the same x", "newer x"}, play_iriw, judge_iriw},
};

static size_t seen_bytes(const struct litmus_options *options)
{
    const size_t bytes = (options->rounds + 1) * sizeof(struct seen), page = TRAPLINE_PAGE_SIZE;

    return (bytes + page - 1) / page * page;
}

static size_t test_bytes(const struct litmus_options *options)
{
    return 2 * TRAPLINE_PAGE_SIZE + peers_count() * seen_bytes(options);
}

size_t litmus_bytes(const struct litmus_options *options)
{
    return TESTS * test_bytes(options);
}

static void report(const struct litmus *test, const struct evidence *evidence, uint64_t wrong,
                   uint64_t time, const struct litmus_options *options)
{
    char name[NAME_LEN];

    printf("svm: litmus %s:", test->name);
    for (unsigned i = 0; i < OUTCOMES; i++)
        printf(" %s %lu%c", test->outcomes[i], (unsigned long)evidence->outcomes[i],
               i + 1 < OUTCOMES ? ',' : ';');
    printf(" wrong %lu, %u rounds of %u nodes\n", (unsigned long)wrong, evidence->rounds,
           evidence->nodes);
    snprintf(name, sizeof(name), "svm.litmus.%s.wrong", test->name);
    figure_value(name, options->mode, "outcomes", "run", (double)wrong);
    snprintf(name, sizeof(name), "svm.litmus.%s.round", test->name);
    figure_value(name, options->mode, "tsc", "op", (double)time / evidence->rounds);
}

/* Returns how often node 0 found what is forbidden. */
static uint64_t run_test(const struct litmus *test, const struct litmus_options *options)
{
    const size_t bytes = seen_bytes(options);
    char *shared = svm_alloc(test_bytes(options));
    struct seen *seen = calloc(1, bytes);
    struct stage stage = {
        .x = (volatile uint32_t *)shared,
        .y = (volatile uint32_t *)(shared + TRAPLINE_PAGE_SIZE),
        .self = peers_self(),
        .rounds = (uint32_t)options->rounds,
        .spread = options->spread,
        .random = 0x9e3779b97f4a7c15ull + peers_self(),
        .seen = seen,
    };
    struct evidence evidence = {.nodes = peers_count(), .rounds = stage.rounds};
    uint64_t start, wrong = 0;

    assert(shared && seen);
    svm_barrier();
    start = ticks();
    test->play(&stage);
    svm_barrier();
    start = ticks() - start;
    for (unsigned i = 0; i < evidence.nodes; i++)
        evidence.seen[i] = (struct seen *)(shared + 2 * TRAPLINE_PAGE_SIZE + i * bytes);
    memcpy((void *)evidence.seen[stage.self], seen, bytes);
    free(seen);
    svm_barrier();
    if (stage.self == 0) {
        wrong = test->judge(&evidence);
        report(test, &evidence, wrong, start, options);
    }
    svm_barrier();
    return wrong;
}

bool litmus_run(const struct litmus_options *options)
{
    uint64_t wrong = 0;

    for (unsigned i = 0; i < TESTS; i++) {
        if (tests[i].nodes <= peers_count())
            wrong += run_test(&tests[i], options);
        else if (peers_self() == 0)
            printf("svm: litmus %s takes %u nodes\n", tests[i].name, tests[i].nodes);
    }
    if (wrong)
        printf("svm: not sequentially consistent: %lu forbidden outcomes\n", (unsigned long)wrong);
    return wrong == 0;
}
