/*
 * Channels, the side that offers: what is refused; a conversation with "right"; and what this side
 * sees when one or the other withdraws, and when "right" ends.
 */
#include "shared.h"

static unsigned char *pages;

static int64_t offer(const void *name, uint64_t page, uint64_t count, uint64_t access)
{
    return hypercall(TRAPLINE_HC_OFFER, (uint64_t)name, page, count, access).rax;
}

static void refusals(void)
{
    static char name[TRAPLINE_NAME_LEN] = "right", unterminated[TRAPLINE_NAME_LEN];
    const uint64_t page = (uint64_t)pages, most = TRAPLINE_CHANNEL_PAGES;

    memset(unterminated, 'x', sizeof(unterminated));
    CHECK_EQUAL("a guest that does not exist", channel_offer("nobody", pages, 1, 1),
                -TRAPLINE_ENOENT);
    CHECK_EQUAL("a name that none can have",
                channel_offer("12345678901234567890123456789012", pages, 1, 1), -TRAPLINE_ENOENT);
    CHECK_EQUAL("an offer to itself", channel_offer("left", pages, 1, 1), -TRAPLINE_EINVAL);
    CHECK_EQUAL("a name without end", offer(unterminated, page, 1, 1), -TRAPLINE_EINVAL);
    CHECK_EQUAL("a name outside RAM", offer((void *)ram_size(), page, 1, 1), -TRAPLINE_EFAULT);
    CHECK_EQUAL("a name across the end of RAM", offer((void *)(ram_size() - 8), page, 1, 1),
                -TRAPLINE_EFAULT);
    CHECK_EQUAL("a misaligned page", offer(name, page + 8, 1, 1), -TRAPLINE_EINVAL);
    CHECK_EQUAL("no pages", offer(name, page, 0, 1), -TRAPLINE_EINVAL);
    CHECK_EQUAL("too many pages", offer(name, page, most + 1, 1), -TRAPLINE_EINVAL);
    CHECK_EQUAL("no access", offer(name, page, 1, 0), -TRAPLINE_EINVAL);
    CHECK_EQUAL("writing without reading", offer(name, page, 1, TRAPLINE_WRITE), -TRAPLINE_EINVAL);
    CHECK_EQUAL("an access that is none", offer(name, page, 1, 9), -TRAPLINE_EINVAL);
    CHECK_EQUAL("an access of 33 bits", offer(name, page, 1, 0x100000001), -TRAPLINE_EINVAL);
    CHECK_EQUAL("pages outside RAM", offer(name, (uint64_t)alias_window(), 1, 1), -TRAPLINE_ENOENT);
    CHECK_EQUAL("pages beyond RAM", offer(name, ram_size() - PAGE, 2, 1), -TRAPLINE_ENOENT);
    CHECK_EQUAL("withdrawing nothing", channel_withdraw(0), -TRAPLINE_ENOENT);
    CHECK_EQUAL("withdrawing what cannot be", channel_withdraw(-1), -TRAPLINE_ENOENT);
    CHECK_EQUAL("ringing nothing", channel_ring(0), -TRAPLINE_ENOENT);
    CHECK_EQUAL("ringing what cannot be", channel_ring(TRAPLINE_CHANNELS), -TRAPLINE_ENOENT);
    CHECK_EQUAL("listening to nothing", channel_listen(1, 0, 0), -TRAPLINE_ENOENT);
    CHECK_EQUAL("listening on a vCPU that is not there", channel_listen_offers(9, 0),
                -TRAPLINE_EINVAL);
    CHECK_EQUAL("listening with an exception's vector", channel_listen_offers(0, 14),
                -TRAPLINE_EINVAL);
    CHECK_EQUAL("accepting from nobody", channel_accept("nobody", alias_window(), 1, NULL, NULL),
                -TRAPLINE_ENOENT);
    CHECK_EQUAL("accepting into RAM", channel_accept("right", pages, 1, NULL, NULL),
                -TRAPLINE_EINVAL);
    CHECK_EQUAL("accepting beyond the window",
                channel_accept("right", alias_window(), alias_window_pages() + 1, NULL, NULL),
                -TRAPLINE_EINVAL);
    CHECK_EQUAL("accepting no pages", channel_accept("right", alias_window(), 0, NULL, NULL),
                -TRAPLINE_EINVAL);
    CHECK_EQUAL("accepting what is not offered",
                channel_accept("right", alias_window(), 1, NULL, NULL), -TRAPLINE_EAGAIN);
}

/* Offers to a guest that accepts none. */
static void pending(void)
{
    int channel, last = 0, wrong = 0;

    for (channel = 0; channel < TRAPLINE_CHANNELS; channel++)
        wrong += channel_offer("mortal", pages, 1, TRAPLINE_READ) != channel;
    CHECK_EQUAL("as many offers as a guest can make", wrong, 0);
    last = channel_offer("mortal", pages, 1, TRAPLINE_READ);
    CHECK_EQUAL("one more", last, -TRAPLINE_ENOMEM);
    CHECK_EQUAL("ringing before it is accepted", channel_ring(5), -TRAPLINE_EAGAIN);
    CHECK_EQUAL("listening before it is accepted", channel_listen(5, 0, 0), 0);
    for (channel = 0; channel < TRAPLINE_CHANNELS; channel++)
        wrong += channel_withdraw(channel) != 0;
    CHECK_EQUAL("all withdrawn", wrong, 0);
    CHECK_EQUAL("withdrawn twice", channel_withdraw(5), -TRAPLINE_ENOENT);

    CHECK_EQUAL("tracking", track(pages, 1, 1), 0);
    CHECK_EQUAL("offering a tracked page to be written",
                channel_offer("mortal", pages - PAGE, 2, ACCESS_RW), -TRAPLINE_EINVAL);
    CHECK_EQUAL("offering it to be read", channel_offer("mortal", pages, 1, TRAPLINE_READ), 0);
    CHECK_EQUAL("not tracked any more", track(pages, 1, 0), 0);
    CHECK_EQUAL("offering it to be written", channel_offer("mortal", pages, 1, ACCESS_RW), 1);
    CHECK_EQUAL("tracking what others may write", track(pages - PAGE, 2, 1), -TRAPLINE_EINVAL);
    CHECK_EQUAL("tracking its neighbour", track(pages + PAGE, 1, 1), 0);
    CHECK_EQUAL("and no more", track(pages + PAGE, 1, 0), 0);
    CHECK_EQUAL("withdrawn", channel_withdraw(0) | channel_withdraw(1), 0);
}

static void converse(int channel, struct shared *shared)
{
    unsigned wrong = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        atomic_store(&shared->turn, 2 * round + 1);
        wrong += channel_ring(channel) != 0;
        while (atomic_load(&shared->turn) == 2 * round + 1)
            park();
    }
    CHECK_EQUAL("all rings went through", wrong, 0);
    CHECK("what right wrote is here", has_pattern(pages + 2 * PAGE, ROUNDS));
}

int main(void)
{
    struct shared *shared;
    int channel, second;

    pages = (unsigned char *)pages_alloc(PAGES + 1, 1) + PAGE;
    shared = (struct shared *)pages;
    refusals();
    pending();

    fill(pages + PAGE, 1);
    channel = channel_offer("right", pages, PAGES, ACCESS_RW);
    CHECK_EQUAL("an offer", channel, 0);
    park(); /* until it is accepted */
    second = channel_offer("right", pages + PAGE, 1, TRAPLINE_READ);
    CHECK_EQUAL("an offer to read", second, 1);
    converse(channel, shared);

    /* What this side takes away, the other has not when the call returns. */
    while (!atomic_load(&shared->watching))
        park();
    CHECK_EQUAL("withdrawing while right reads", channel_withdraw(channel), 0);
    memset(pages + PAGE, SECRET, PAGE);
    CHECK_EQUAL("it is no more", channel_ring(channel), -TRAPLINE_ENOENT);
    CHECK_EQUAL("and the second", channel_withdraw(second), 0);

    channel = channel_offer("right", pages, 1, ACCESS_RW);
    CHECK_EQUAL("an offer again", channel, 0);
    while (channel_ring(channel) != -TRAPLINE_EPIPE)
        park();
    CHECK_EQUAL("right has withdrawn", channel_ring(channel), -TRAPLINE_EPIPE);
    CHECK_EQUAL("what it wrote is here", pages[17], 17);
    CHECK_EQUAL("listening to it", channel_listen(channel, 0, 0), -TRAPLINE_EPIPE);
    CHECK_EQUAL("the number is not free", channel_offer("right", pages, 1, ACCESS_RW), 1);
    CHECK_EQUAL("forgetting it", channel_withdraw(channel), 0);
    CHECK_EQUAL("which is possible once", channel_withdraw(channel), -TRAPLINE_ENOENT);

    /* Right accepts this and ends. */
    while (channel_ring(1) != -TRAPLINE_EPIPE)
        park();
    CHECK_EQUAL("right has ended", channel_ring(1), -TRAPLINE_EPIPE);
    CHECK_EQUAL("what it wrote last is here", pages[18], 18);
    CHECK_EQUAL("forgetting that", channel_withdraw(1), 0);
    while (channel_offer("right", pages, 1, ACCESS_RW) >= 0) {
        /* Its end is known to the channel a little before all of it is done. */
        channel_withdraw(0);
    }
    CHECK_EQUAL("an offer to a guest that has ended", channel_offer("right", pages, 1, ACCESS_RW),
                -TRAPLINE_EPIPE);
    return check_done();
}
