/*
 * One of many guests. The argument: how many guests share this one's CPU. Its memory is its own and
 * fresh, its results are right, and it gets its share of the CPU.
 */
#include "worker.h"

enum {
    /*
     * How often a guest's turn comes while it looks how often that is. One that waited for the
     * console before has had two or three slices more than others by then, which they get back.
     */
    SLICES = 14,
    SLICE_MS = 10,
    PART = 100, /* of a slice */
    TRIES = 50,
};

/* How often a loop that looks at the clock goes round in so many ticks. */
static uint64_t turns_in(uint64_t ticks)
{
    uint64_t start = rdtsc(), turns = 0;

    while (rdtsc() - start < ticks)
        turns++;
    return turns;
}

/* The part of the CPU that this guest gets, in thousandths. */
static uint64_t share(unsigned guests)
{
    uint64_t slice = SLICE_MS * (tsc_hz() / 1000), alone = 0;

    for (unsigned try = 0; try < TRIES;
         try++) { /* the most: when no other's turn comes meanwhile */
        uint64_t turns = turns_in(slice / PART);

        if (turns > alone)
            alone = turns;
    }
    return turns_in(guests * SLICES * slice) * 1000 / (alone * PART * guests * SLICES);
}

int main(int argc, char **argv)
{
    unsigned guests = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    char *page = pages_alloc(1, 1);
    uint64_t part;

    CHECK("the memory is fresh", worker_takes_fresh_memory());
    worker_sign(page);
    worker_start();
    CHECK_EQUAL("the first checksum", worker_run(1), worker_expected(1));
    part = share(guests);
    printf("share: %lu/1000 of the CPU, of %u guests\n", part, guests);
    CHECK("a fair share", part * guests > 700 && part * guests < 1400);
    CHECK_EQUAL("the second checksum", worker_run(2), worker_expected(2));
    CHECK("the memory is its own", worker_is_signed(page));
    return check_done();
}
