/*
 * Peers as guests: each offers a channel to those with higher numbers, and accepts one of those
 * with lower ones at the end of the alias window. A channel holds a ring for each direction. See
 * guest/common/peers.h.
 */
#include "guest/common/peers.h"

#include <trapline/channel.h>
#include <trapline/interrupt.h>
#include <trapline/memory.h>
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/string.h>
#include <trapline/thread.h>
#include <trapline/time.h>
#include <trapline/timer.h>
#include <trapline/vm.h>

#include "guest/common/message_ring.h"

enum {
    VECTOR = 0x51,
    LOOKS = 200,      /* at the rings before the vCPU is parked */
    ALIVE_SHARE = 50, /* of a second: how often a sleeper asks whether the others are there */
    CHANNEL_PAGES = 2 * RING_PAGES,
};

struct peer {
    char name[TRAPLINE_NAME_LEN];
    int channel;
    struct message_ring *out, *in;
};

static struct peer peers[PEERS_MAX];
static unsigned self, count = 1;
static unsigned listener; /* its vCPU */
static unsigned turn;     /* whose ring is looked at next, or was looked at last */
static void (*serve_now)(void);

unsigned peers_self(void)
{
    return self;
}

unsigned peers_count(void)
{
    return count;
}

/* The guest's name up to its number, the number, 0 where there is none. */
static unsigned split_name(char *stem)
{
    char *dash, *end;
    unsigned long number;

    strcpy(stem, guest_info()->name);
    dash = strrchr(stem, '-');
    if (!dash)
        return 0;
    number = strtoul(dash + 1, &end, 10);
    if (end == dash + 1 || *end != '\0' || number > UINT32_MAX)
        return 0;
    dash[1] = '\0';
    return (unsigned)number;
}

static void set_rings(struct peer *peer, struct message_ring *rings, bool offered)
{
    peer->out = offered ? rings : rings + 1;
    peer->in = offered ? rings + 1 : rings;
    atomic_store(&peer->in->armed, 1);
}

/* Returns the channel or an error. */
static int offer(struct peer *peer)
{
    struct message_ring *rings = pages_alloc(CHANNEL_PAGES, 1);

    if (!rings)
        return -TRAPLINE_ENOMEM;
    peer->channel = channel_offer(peer->name, rings, CHANNEL_PAGES, TRAPLINE_READ | TRAPLINE_WRITE);
    if (peer->channel < 0)
        pages_free(rings, CHANNEL_PAGES);
    else
        set_rings(peer, rings, true);
    return peer->channel;
}

static int accept(struct peer *peer, unsigned number)
{
    const size_t page = alias_window_pages() - (number + 1) * CHANNEL_PAGES;
    struct message_ring *rings =
        (struct message_ring *)((uint64_t)alias_window() + page * TRAPLINE_PAGE_SIZE);

    while ((peer->channel = channel_accept(peer->name, rings, CHANNEL_PAGES, NULL, NULL)) ==
           -TRAPLINE_EAGAIN)
        hypercall2(TRAPLINE_HC_PARK, 0, 0);
    if (peer->channel >= 0)
        set_rings(peer, rings, false);
    return peer->channel;
}

int peers_start(unsigned wanted)
{
    const unsigned most = wanted ? wanted : PEERS_MAX;
    char stem[TRAPLINE_NAME_LEN];
    const unsigned number = split_name(stem);
    int result = 0;

    if (most > PEERS_MAX)
        return -TRAPLINE_EINVAL;
    self = number ? number - 1 : 0;
    count = most;
    if (self >= most)
        return (int)count;
    for (unsigned i = 0; i < most; i++)
        snprintf(peers[i].name, sizeof(peers[i].name), "%s%u", stem, i + 1);
    for (count = self + 1; number && count < most; count++) {
        result = offer(&peers[count]);
        if (result < 0)
            break;
    }
    if (result < 0 && result != -TRAPLINE_ENOENT)
        return result;
    if (count < wanted)
        return -TRAPLINE_ENOENT;
    result = channel_listen_offers(vcpu_index(), 0);
    for (unsigned i = 0; i < self && result >= 0; i++)
        result = accept(&peers[i], i);
    listener = vcpu_index();
    return result < 0 ? result : (int)count;
}

static void listen_with(unsigned vector)
{
    listener = vcpu_index();
    for (unsigned i = 0; i < count; i++) {
        if (i != self)
            channel_listen(peers[i].channel, listener, vector);
    }
}

void peers_listen(void)
{
    listen_with(0);
}

static noreturn void deserted(const struct peer *peer)
{
    printf("peers: %s has ended before its time\n", peer->name);
    exit(EXIT_FAILURE);
}

/* An offer that is not accepted yet rings nowhere; who accepts it looks at the ring. */
static void ring_bell(const struct peer *peer)
{
    if (channel_ring(peer->channel) == -TRAPLINE_EPIPE)
        deserted(peer);
}

bool peers_send(unsigned to, const struct peer_message *message, const void *page)
{
    struct peer_message sent = *message;

    sent.from = self;
    if (!ring_put(peers[to].out, &sent, page))
        return false;
    if (atomic_load(&peers[to].out->armed))
        ring_bell(&peers[to]);
    return true;
}

const struct peer_message *peers_first(const void **page)
{
    for (unsigned i = 0; i < count; i++) {
        const struct peer_message *message;

        turn = (turn + 1) % count;
        message = turn == self ? NULL : ring_first(peers[turn].in, page);
        if (message) {
            atomic_store(&peers[turn].in->armed, 0);
            return message;
        }
    }
    return NULL;
}

void peers_drop(void)
{
    ring_drop(peers[turn].in);
}

static bool any_message(void)
{
    for (unsigned i = 0; i < count; i++) {
        if (i != self && !ring_is_empty(peers[i].in))
            return true;
    }
    return false;
}

static void set_armed(unsigned armed)
{
    for (unsigned i = 0; i < count; i++) {
        if (i != self)
            atomic_store(&peers[i].in->armed, armed);
    }
}

bool peers_arm(void)
{
    set_armed(1);
    return any_message();
}

void peers_wait(uint64_t ticks)
{
    const uint64_t alive = tsc_hz() / ALIVE_SHARE;
    const uint64_t start = rdtsc();

    set_armed(0);
    for (unsigned i = 0; i < LOOKS && !any_message(); i++)
        __builtin_ia32_pause();
    for (bool woken = peers_arm(); !woken;) {
        const uint64_t spent = rdtsc() - start;
        const uint64_t left = ticks ? ticks - spent : alive;

        if (ticks && spent >= ticks)
            return;
        woken = hypercall2(TRAPLINE_HC_PARK, left < alive ? left : alive, 0) != 0;
        for (unsigned i = 0; i < count && !woken && left >= alive; i++) {
            if (i != self)
                ring_bell(&peers[i]);
        }
    }
}

void peers_wake(void)
{
    hypercall2(TRAPLINE_HC_UNPARK, listener, 0);
}

static void on_interrupt(unsigned vector)
{
    (void)vector;
    serve_now();
}

int peers_interrupt(void (*serve)(void))
{
    serve_now = serve;
    interrupt_handle(VECTOR, on_interrupt);
    listen_with(VECTOR);
    interrupts_on();
    return 0;
}

bool peers_hold(void)
{
    return interrupts_save();
}

void peers_release(bool held)
{
    interrupts_restore(held);
}

void peers_alarm(uint64_t ticks)
{
    timer_start_deadline(VECTOR, rdtsc() + ticks);
}

/*
 * Who accepted a channel may use it as long as the other side is there, and leaves it first, when
 * that side has closed; who offered it has the pages in any case, and waits for that.
 */
void peers_end(void)
{
    interrupts_off();
    listen_with(0);
    for (unsigned i = 0; i < count; i++) {
        if (i == self)
            continue;
        atomic_store(&peers[i].out->closed, 1);
        channel_ring(peers[i].channel); /* it may have left by now */
    }
    for (unsigned i = 0; i < self; i++) {
        while (!atomic_load(&peers[i].in->closed))
            hypercall2(TRAPLINE_HC_PARK, tsc_hz() / ALIVE_SHARE, 0);
        channel_withdraw(peers[i].channel);
    }
    for (unsigned i = self + 1; i < count; i++) {
        while (channel_ring(peers[i].channel) != -TRAPLINE_EPIPE)
            hypercall2(TRAPLINE_HC_PARK, 0, 0);
    }
}
