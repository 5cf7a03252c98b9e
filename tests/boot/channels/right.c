/*
 * Channels, the side that accepts: what can be done with the pages and what cannot; a conversation
 * with "left"; and what is left of a channel when one or the other side withdraws, and when
 * "mortal" ends.
 */
#include "shared.h"

static unsigned char *window;

/* Whether a read is delivered as one of a channel that is gone. */
static bool is_gone(const void *address)
{
    probe((void *)address, TRAPLINE_READ);
    return probe_seen.faults == 1 && probe_seen.fault.kind == (TRAPLINE_READ | TRAPLINE_Q_GONE) &&
           probe_seen.fault.address == (uint64_t)address;
}

static void limits(void)
{
    unsigned char *const page = window + PAGE;
    const uint64_t address = (uint64_t)page;
    void *buffer[2];
    char name[TRAPLINE_NAME_LEN] = "left";
    size_t left;

    CHECK_EQUAL("what left wrote is here", has_pattern(page, 1), 1);
    CHECK_EQUAL("printing from it", hypercall2(TRAPLINE_HC_PRINT, address, 8), -TRAPLINE_EFAULT);
    CHECK_EQUAL("statistics to it", hypercall2(TRAPLINE_HC_STATS, address, 0), -TRAPLINE_EFAULT);
    CHECK_EQUAL("a trap area in it", hypercall2(TRAPLINE_HC_TRAP, address, 0), -TRAPLINE_ENOENT);
    CHECK_EQUAL("a list in it", hypercall(TRAPLINE_HC_PROTN, address, 1, 0, 0).rax,
                -TRAPLINE_EFAULT);
    CHECK_EQUAL("an alias of it", map2(page, window + 64 * PAGE, TRAPLINE_READ), -TRAPLINE_EINVAL);
    CHECK_EQUAL("taking it for an alias", unmap2(page), -TRAPLINE_EINVAL);
    CHECK_EQUAL("tracking it", track(page, 1, 1), -TRAPLINE_EINVAL);
    CHECK_EQUAL("asking what is dirty", dirty(page, 1, buffer, 2, &left), -TRAPLINE_EINVAL);
    CHECK_EQUAL("offering it",
                hypercall(TRAPLINE_HC_OFFER, (uint64_t)name, address, 1, TRAPLINE_READ).rax,
                -TRAPLINE_ENOENT);
    CHECK_EQUAL("an alias over it", map2(window - PAGE, page, TRAPLINE_READ), -TRAPLINE_ENOENT);
    CHECK_EQUAL("the same with a page", map2(pages_alloc(1, 1), page, TRAPLINE_READ),
                -TRAPLINE_EEXIST);

    CHECK_EQUAL("protecting it", prot1(page, TRAPLINE_READ), 0);
    CHECK_EQUAL("a read is allowed", probe(page, TRAPLINE_READ), 0);
    CHECK_EQUAL("a write is delivered", probe(page, TRAPLINE_WRITE), 1);
    CHECK_EQUAL("protecting all", prot1(page, TRAPLINE_NONE), 0);
    CHECK_EQUAL("a read is delivered", probe(page, TRAPLINE_READ), 1);
    CHECK_EQUAL("unprotecting it", unprot(page), 0);
    CHECK_EQUAL("all is allowed but execution", probe(page, TRAPLINE_EXEC), 1);
    CHECK_EQUAL("reading", probe(page, TRAPLINE_READ), 0);
    CHECK_EQUAL("a list of pages", protn_range(window, PAGES, TRAPLINE_READ), 0);
    CHECK_EQUAL("a write is delivered there", probe(window + 2 * PAGE, TRAPLINE_WRITE), 1);
    CHECK_EQUAL("and allowed again", unprot_range(window, PAGES), 0);
}

static void read_only(void)
{
    unsigned char *const address = window + 32 * PAGE;
    unsigned access;
    size_t got;

    CHECK_EQUAL("accepting where something is", channel_accept("left", window, 1, NULL, NULL),
                -TRAPLINE_EEXIST);
    CHECK_EQUAL("accepting at a bad address", channel_accept("left", address + 8, 1, NULL, NULL),
                -TRAPLINE_EINVAL);
    CHECK_EQUAL("accepting to read", channel_accept("left", address, 100, &got, &access), 1);
    CHECK_EQUAL("it is a page", got, 1);
    CHECK_EQUAL("to read", access, TRAPLINE_READ);
    CHECK_EQUAL("reading is allowed", probe(address, TRAPLINE_READ), 0);
    CHECK_EQUAL("writing is not", probe(address, TRAPLINE_WRITE), 1);
    CHECK_EQUAL("UNPROT does not give it", unprot(address), 0);
    CHECK_EQUAL("writing is still not", probe(address, TRAPLINE_WRITE), 1);
}

static void converse(int channel, struct shared *shared)
{
    unsigned wrong = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        while (atomic_load(&shared->turn) != 2 * round + 1)
            park();
        if (round == ROUNDS / 2)
            read_only();
        if (round == ROUNDS - 1)
            fill(window + 2 * PAGE, ROUNDS);
        atomic_store(&shared->turn, 2 * round + 2);
        wrong += channel_ring(channel) != 0;
    }
    CHECK_EQUAL("all rings went through", wrong, 0);
}

/* Read until the page is gone; what left writes from then on is not to be seen. */
static void watch(int channel, struct shared *shared)
{
    bool leaked = false;

    atomic_store(&shared->watching, 1);
    channel_ring(channel);
    trap(probe_handler, 0);
    probe_seen.faults = 0;
    while (!probe_seen.faults) {
        unsigned char byte = probe_read(window + PAGE + 100);

        leaked |= !probe_seen.faults && byte == SECRET;
    }
    trap(NULL, 0);
    CHECK("what is written after WITHDRAW is not seen", !leaked);
    CHECK_EQUAL("it is gone", probe_seen.fault.kind, TRAPLINE_READ | TRAPLINE_Q_GONE);
    CHECK("each page is", is_gone(window) && is_gone(window + 2 * PAGE));
    CHECK_EQUAL("ringing it", channel_ring(channel), -TRAPLINE_EPIPE);
    CHECK_EQUAL("protecting it", prot1(window, TRAPLINE_READ), -TRAPLINE_ENOENT);
}

static void last_words_of_mortal(void)
{
    unsigned char *const address = window + 8 * PAGE;
    int channel = accept_next("mortal", address, 16, NULL, NULL);

    CHECK("mortal's offer", channel >= 0);
    CHECK("what mortal wrote is here", has_pattern(address, 77));
    CHECK_EQUAL("ringing it", channel_ring(channel), 0); /* so that it ends */
    while (channel_ring(channel) != -TRAPLINE_EPIPE)
        park();
    CHECK("it is gone with mortal", is_gone(address));
    CHECK_EQUAL("forgetting it", channel_withdraw(channel), 0);
}

int main(void)
{
    struct shared *shared;
    unsigned access;
    int channel;
    size_t got;

    window = alias_window();
    shared = (struct shared *)window;
    CHECK_EQUAL("listening for offers", channel_listen_offers(0, 0), 0);
    channel = accept_next("left", window, 16, &got, &access);
    CHECK_EQUAL("accepting", channel, 0);
    CHECK_EQUAL("the pages", got, PAGES);
    CHECK_EQUAL("their access", access, ACCESS_RW);
    limits();
    converse(channel, shared);
    watch(channel, shared);
    CHECK_EQUAL("forgetting it", channel_withdraw(channel), 0);
    CHECK_EQUAL("which is possible once", channel_withdraw(channel), -TRAPLINE_ENOENT);
    last_words_of_mortal();

    channel = accept_next("left", window, 1, NULL, NULL);
    CHECK("accepting again at the same address", channel >= 0);
    window[17] = 17;
    CHECK_EQUAL("withdrawing on this side", channel_withdraw(channel), 0);
    channel = accept_next("left", window, 1, NULL, NULL);
    CHECK("accepting the last", channel >= 0);
    window[18] = 18;
    return check_done();
}
