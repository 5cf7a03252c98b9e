/*
 * What channels cost, between two guests made from one section: `make run GUEST=channel COPIES=2`,
 * on one CPU or, with CPUS=2, on a CPU each. NAME-1 measures, NAME-2 answers.
 *
 *   channel.ring      a ring, and the other side's ring that answers it; both park meanwhile
 *   channel.withdraw  taking a page back from a guest that has it mapped; that guest is parked, or,
 *                     with the argument spin, running: then it has to be interrupted
 */
#include <trapline/trapline.h>

enum {
    ROUNDS = 300,
    PAGES = 1,
};

static uint64_t times[ROUNDS];
static struct trapline_stats counts; /* what the operations of a row cost */

static void park(void)
{
    hypercall2(TRAPLINE_HC_PARK, 0, 0);
}

/* This guest's name with another digit at its end. */
static const char *other(char digit)
{
    static char name[TRAPLINE_NAME_LEN];

    strcpy(name, guest_info()->name);
    name[strlen(name) - 1] = digit;
    return name;
}

static void sort(void)
{
    for (unsigned i = 1; i < ROUNDS; i++) {
        uint64_t value = times[i];
        unsigned at = i;

        for (; at > 0 && times[at - 1] > value; at--)
            times[at] = times[at - 1];
        times[at] = value;
    }
}

/* Add what was counted since before, but for the calls of stats() themselves. */
static void count_since(const struct trapline_stats *before)
{
    struct trapline_stats now;

    stats(&now);
    counts.exits += now.exits - before->exits - 1;
    counts.flushes += now.flushes - before->flushes;
    counts.ipis += now.ipis - before->ipis;
}

/* A row over the times and counts. */
static void report(const char *name)
{
    sort();
    printf("@json {\"name\":\"%s\",\"mode\":\"exit\",\"unit\":\"tsc\",\"n\":%u,\"min\":%lu,"
           "\"median\":%lu,\"p99\":%lu,\"exits\":%.3f,\"flushes\":%.3f,\"ipis\":%.3f,"
           "\"per\":\"op\"}\n",
           name, ROUNDS, times[0], times[ROUNDS / 2], times[ROUNDS * 99 / 100],
           (double)counts.exits / ROUNDS, (double)counts.flushes / ROUNDS,
           (double)counts.ipis / ROUNDS);
    printf("%-18s median %lu ticks, min %lu, p99 %lu\n", name, times[ROUNDS / 2], times[0],
           times[ROUNDS * 99 / 100]);
    counts = (struct trapline_stats){0};
}

static bool measure(void)
{
    uint64_t *page = pages_alloc(PAGES, 1);
    struct trapline_stats before;
    int channel = channel_offer(other('2'), page, PAGES, TRAPLINE_READ | TRAPLINE_WRITE);

    if (channel < 0)
        return false;
    park(); /* until it is accepted */
    stats(&before);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start = ticks();

        page[1] = round + 1;
        channel_ring(channel);
        do
            park();
        while (*(volatile uint64_t *)page != round + 1);
        times[round] = ticks() - start;
    }
    count_since(&before);
    report("channel.ring");
    channel_withdraw(channel);

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start;

        channel = channel_offer(other('2'), page, PAGES, TRAPLINE_READ | TRAPLINE_WRITE);
        while (channel_ring(channel) == -TRAPLINE_EAGAIN)
            park(); /* until it is accepted */
        stats(&before);
        start = ticks();
        if (channel_withdraw(channel) != 0)
            return false;
        times[round] = ticks() - start;
        count_since(&before);
    }
    report("channel.withdraw");
    return true;
}

static int accept_next(void *address)
{
    int channel;

    while ((channel = channel_accept(other('1'), address, PAGES, NULL, NULL)) == -TRAPLINE_EAGAIN)
        park();
    return channel;
}

static void answer(bool spin)
{
    uint64_t *page = alias_window();
    int channel;

    channel_listen_offers(0, 0);
    channel = accept_next(page);
    for (unsigned round = 0; round < ROUNDS; round++) {
        do
            park();
        while (((volatile uint64_t *)page)[1] != round + 1);
        *(volatile uint64_t *)page = round + 1;
        channel_ring(channel);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        while (channel_ring(channel) != -TRAPLINE_EPIPE) {
            if (!spin)
                park();
        }
        channel_withdraw(channel);
        channel = accept_next(page);
    }
    while (channel_ring(channel) != -TRAPLINE_EPIPE)
        park();
}

int main(int argc, char **argv)
{
    const char *name = guest_info()->name;
    char digit = name[strlen(name) - 1];

    if (digit == '2') {
        answer(argc > 1 && strcmp(argv[1], "spin") == 0);
        return EXIT_SUCCESS;
    }
    if (digit != '1') {
        printf("channel: this takes two guests: make run GUEST=channel COPIES=2\n");
        return EXIT_FAILURE;
    }
    return measure() ? EXIT_SUCCESS : EXIT_FAILURE;
}
