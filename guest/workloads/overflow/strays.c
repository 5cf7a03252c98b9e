#include "guest/workloads/overflow/strays.h"

#include "guest/common/figures.h"
#include "guest/common/random.h"
#include "guest/workloads/overflow/sites.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    LIVE = 512,      /* blocks that are in use at once */
    SLOTS = 128,     /* of which so many can have guard pages, with those freed lately */
    STEPS = 16,      /* blocks made and freed for each stray */
    SIZE_MOST = 600, /* bytes */
    FAR = 256,       /* bytes from a block that a stray is, at most */
    SITES = 4,       /* places in the code that are astray */
};

/* What the program is about to do wrong, and what it was told of. */
static struct stray expected, told;
static unsigned tellings;
static volatile uint64_t place; /* the instruction */

static uint64_t on_stray(const struct stray *stray)
{
    const uint64_t next = stray->rip ? site_recovery(stray->rip) : 1;

    /* With an unknown place it is no stray of this program's; the red zones end it. */
    if (next) {
        told = *stray;
        tellings++;
    }
    return next;
}

/* A write or a read of a byte, at a place in the code of its own wherever it is inlined. */
static inline __attribute__((always_inline)) void access_byte(char *byte, bool write)
{
    if (write)
        __asm__ goto("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, %[place]\n"
                     "1: movb $0x77, (%[byte])\n\t" SITE_NOTE
                     :
                     : [place] "m"(place), [byte] "r"(byte)
                     : "rax", "memory"
                     : site_full);
    else
        __asm__ goto("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, %[place]\n"
                     "1: movb (%[byte]), %%al\n\t" SITE_NOTE
                     :
                     : [place] "m"(place), [byte] "r"(byte)
                     : "rax", "memory"
                     : site_full);
site_full:
    return;
}

static void go_astray(unsigned site, char *byte, bool write)
{
    switch (site) {
    case 0: access_byte(byte, true); break;
    case 1: access_byte(byte, write); break;
    case 2: access_byte(byte, !write); break;
    default: access_byte(byte, false); break;
    }
}

/* Which of the sites writes. */
static bool site_writes(unsigned site, bool write)
{
    return site == 0 || (site == 1 && write) || (site == 2 && !write);
}

struct block {
    uint8_t *bytes;
    size_t size;
    uint64_t number;
};

static struct block blocks[LIVE];
static uint64_t made, guarded;
static uint64_t spent[2]; /* ticks in making and freeing blocks: [1] of those with guard pages */

static uint8_t content(const struct block *block, size_t i)
{
    return (uint8_t)(block->number * 7 + i);
}

static void make(struct block *block, uint64_t *random)
{
    uint64_t start, end;

    block->size = 1 + random_below(random, SIZE_MOST);
    block->number = made++;
    start = ticks();
    block->bytes = redzones_alloc(block->size);
    end = ticks();
    assert(block->bytes);
    guarded += redzones_guards(block->bytes);
    spent[redzones_guards(block->bytes)] += end - start;
    for (size_t i = 0; i < block->size; i++)
        block->bytes[i] = content(block, i);
}

/* Whether a block holds what was put in. */
static bool is_whole(const struct block *block)
{
    for (size_t i = 0; i < block->size; i++)
        if (block->bytes[i] != content(block, i))
            return false;
    return true;
}

static bool replace(struct block *block, uint64_t *random)
{
    const bool whole = is_whole(block), guards = redzones_guards(block->bytes);
    uint64_t start;

    if (!whole)
        printf("overflow: block %lu was changed by a stray write\n", block->number);
    start = ticks();
    redzones_free(block->bytes);
    spent[guards] += ticks() - start;
    make(block, random);
    return whole;
}

/* The next block that has guard pages, from a random one on. */
static struct block *pick_guarded(uint64_t *random)
{
    const uint64_t first = random_below(random, LIVE);

    for (uint64_t i = 0; i < LIVE; i++)
        if (redzones_guards(blocks[(first + i) % LIVE].bytes))
            return &blocks[(first + i) % LIVE];
    printf("overflow: no block has guard pages\n");
    exit(EXIT_FAILURE);
}

/* Whether what was told is what happened; what was told of no block, or another, is printed. */
static bool check_told(bool by_pattern)
{
    const struct stray *const a = &expected, *const b = &told;

    if (tellings == 1 && a->kind == b->kind && a->write == b->write && a->address == b->address &&
        a->block == b->block && a->size == b->size && a->number == b->number &&
        a->distance == b->distance && b->rip == (by_pattern ? 0 : place))
        return true;
    printf("overflow: a stray access was told of %u times; it was\n", tellings);
    stray_print(a);
    if (tellings)
        stray_print(b);
    return false;
}

/* What strays came to. */
struct tally {
    uint64_t trapped, by_pattern, unnoticed;
};

/*
 * One stray access of a random kind. A write beside the block in its own page shows when it is
 * freed; a read there shows never.
 */
static bool stray_once(uint64_t *random, struct tally *tally)
{
    struct block *const block = pick_guarded(random);
    const unsigned site = (unsigned)random_below(random, SITES);
    const bool write = random_below(random, 2), writes = site_writes(site, write);
    const enum stray_kind kind = (enum stray_kind)random_below(random, STRAY_FREED + 1);
    const uint64_t start = (uint64_t)block->bytes;
    const uint64_t distance =
        kind == STRAY_FREED ? random_below(random, block->size) : 1 + random_below(random, FAR);
    const uint64_t address = kind == STRAY_BEYOND   ? start + block->size + distance - 1
                             : kind == STRAY_BEFORE ? start - distance
                                                    : start + distance;
    const bool in_page = kind != STRAY_FREED && address / PAGE == start / PAGE;

    expected = (struct stray){.kind = kind,
                              .write = writes,
                              .address = address,
                              .rip = 0,
                              .block = start,
                              .size = block->size,
                              .number = block->number,
                              .distance = distance};
    tellings = 0;
    if (kind == STRAY_FREED && !replace(block, random))
        return false;
    go_astray(site, (char *)address, write);
    if (!in_page)
        expected.rip = place;
    if (in_page && !writes) {
        tally->unnoticed++;
        return tellings == 0;
    }
    tally->trapped += !in_page;
    tally->by_pattern += in_page;
    if (in_page && !replace(block, random))
        return false;
    return check_told(in_page);
}

static void report(const struct strays_options *options, const struct tally *tally)
{
    const char *const mode =
        options->sample ? region_mechanism_name(options->mechanism) : "baseline";

    figure_value("overflow.redzones.plain", mode, "tsc", "block",
                 (double)spent[0] / (double)(made > guarded ? made - guarded : 1));
    if (!options->sample)
        return;
    figure_value("overflow.redzones.block", mode, "tsc", "block",
                 (double)spent[1] / (double)guarded);
    figure_value("overflow.redzones.guarded", mode, "percent", "block",
                 100 * (double)guarded / (double)made);
    figure_value("overflow.redzones.trapped", mode, "accesses", "run", (double)tally->trapped);
    figure_value("overflow.redzones.pattern", mode, "accesses", "run", (double)tally->by_pattern);
    figure_value("overflow.redzones.unnoticed", mode, "accesses", "run", (double)tally->unnoticed);
    printf("overflow: of %lu stray accesses %lu were told of at once, %lu when the block was "
           "freed, and %lu reads beside a block in its page never; %lu of %lu blocks had guard "
           "pages\n",
           tally->trapped + tally->by_pattern + tally->unnoticed, tally->trapped, tally->by_pattern,
           tally->unnoticed, guarded, made);
}

/* An ordinary loop that runs too far: nothing in it is prepared for a trap. */
static __attribute__((noinline)) void run_too_far(volatile uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size + PAGE; i++)
        bytes[i] = 0;
}

static bool run(const struct strays_options *options, struct tally *tally)
{
    uint64_t random = options->seed;
    bool good = true;

    for (unsigned i = 0; i < LIVE; i++)
        make(&blocks[i], &random);
    if (options->mistake == MISTAKE_STRAY && options->sample) {
        struct block *const block = pick_guarded(&random);

        run_too_far(block->bytes, block->size);
    }
    for (uint64_t stray = 0; stray < options->strays && good; stray++) {
        for (unsigned i = 0; i < STEPS && good; i++)
            good = replace(&blocks[random_below(&random, LIVE)], &random);
        if (good && options->sample)
            good = stray_once(&random, tally) || !options->verify;
    }
    for (unsigned i = 0; i < LIVE; i++)
        redzones_free(blocks[i].bytes);
    return good;
}

bool strays_run(const struct strays_options *options)
{
    struct tally tally = {0};
    int error = sites_init();
    bool good;

    if (!error)
        error =
            redzones_init(options->mechanism, SLOTS, options->sample, on_stray, options->mistake);
    if (error) {
        printf("overflow: no red zones: %s\n", trapline_error_name(error));
        return false;
    }
    good = run(options, &tally);
    redzones_end();
    if (good)
        report(options, &tally);
    if (good && options->verify)
        printf("overflow: verified: each stray access was named exactly\n");
    return good;
}
