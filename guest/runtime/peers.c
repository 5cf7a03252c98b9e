/*
 * Peers as guests: each offers a channel to those with higher numbers, and accepts one of those
 * with lower ones at the end of the alias window. A channel holds a ring for each direction. See
 * guest/common/peers.h.
 */
#include "guest/common/peers_home.h"

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

enum {
    VECTOR = 0x51,
    LOOKS = 200,      /* at the rings before the vCPU is parked */
    ALIVE_SHARE = 50, /* of a second: how often a sleeper asks whether the others are there */
    CHANNEL_PAGES = 2 * RING_PAGES,
};

static struct link {
    char name[TRAPLINE_NAME_LEN];
    int channel;
} links[PEERS_MAX];

static unsigned listener; /* its vCPU */
static void (*serve_now)(void);

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

static void set_rings(unsigned peer, struct message_ring *rings, bool offered)
{
    peers.out[peer] = offered ? rings : rings + 1;
    peers.in[peer] = offered ? rings + 1 : rings;
    atomic_store(&peers.in[peer]->armed, 1);
}

/* Returns the channel or an error. */
static int offer(unsigned peer)
{
    struct message_ring *rings = pages_alloc(CHANNEL_PAGES, 1);
    int channel;

    if (!rings)
        return -TRAPLINE_ENOMEM;
    channel = channel_offer(links[peer].name, rings, CHANNEL_PAGES, TRAPLINE_READ | TRAPLINE_WRITE);
    links[peer].channel = channel;
    if (channel < 0)
        pages_free(rings, CHANNEL_PAGES);
    else
        set_rings(peer, rings, true);
    return channel;
}

static int accept(unsigned peer)
{
    const size_t page = alias_window_pages() - (peer + 1) * CHANNEL_PAGES;
    struct message_ring *rings =
        (struct message_ring *)((uint64_t)alias_window() + page * TRAPLINE_PAGE_SIZE);
    int channel;

    while ((channel = channel_accept(links[peer].name, rings, CHANNEL_PAGES, NULL, NULL)) ==
           -TRAPLINE_EAGAIN)
        hypercall2(TRAPLINE_HC_PARK, 0, 0);
    links[peer].channel = channel;
    if (channel >= 0)
        set_rings(peer, rings, false);
    return channel;
}

int peers_start(unsigned wanted)
{
    const unsigned most = wanted ? wanted : PEERS_MAX;
    char stem[TRAPLINE_NAME_LEN];
    const unsigned number = split_name(stem);
    int result = 0;

    if (most > PEERS_MAX)
        return -TRAPLINE_EINVAL;
    peers.self = number ? number - 1 : 0;
    peers.count = most;
    if (peers.self >= most)
        return (int)most;
    for (unsigned i = 0; i < most; i++)
        snprintf(links[i].name, sizeof(links[i].name), "%s%u", stem, i + 1);
    for (peers.count = peers.self + 1; number && peers.count < most; peers.count++) {
        result = offer(peers.count);
        if (result < 0)
            break;
    }
    if (result < 0 && result != -TRAPLINE_ENOENT)
        return result;
    if (peers.count < wanted)
        return -TRAPLINE_ENOENT;
    result = channel_listen_offers(vcpu_index(), 0);
    for (unsigned i = 0; i < peers.self && result >= 0; i++)
        result = accept(i);
    listener = vcpu_index();
    return result < 0 ? result : (int)peers.count;
}

static void listen_with(unsigned vector)
{
    listener = vcpu_index();
    for (unsigned i = 0; i < peers.count; i++) {
        if (i != peers.self)
            channel_listen(links[i].channel, listener, vector);
    }
}

void peers_listen(void)
{
    listen_with(0);
}

/* An offer that is not accepted yet rings nowhere; who accepts it looks at the ring. */
void peers_ring_bell(unsigned to)
{
    if (channel_ring(links[to].channel) == -TRAPLINE_EPIPE) {
        printf("peers: %s has ended before its time\n", links[to].name);
        exit(EXIT_FAILURE);
    }
}

void peers_wait(uint64_t ticks)
{
    const uint64_t alive = tsc_hz() / ALIVE_SHARE;
    const uint64_t start = rdtsc();

    peers_set_armed(false);
    for (unsigned i = 0; i < LOOKS && !peers_any_message(); i++)
        __builtin_ia32_pause();
    for (bool woken = peers_arm(); !woken;) {
        const uint64_t spent = rdtsc() - start;
        const uint64_t left = ticks ? ticks - spent : alive;

        if (ticks && spent >= ticks)
            return;
        woken = hypercall2(TRAPLINE_HC_PARK, left < alive ? left : alive, 0) != 0;
        for (unsigned i = 0; i < peers.count && !woken && left >= alive; i++) {
            if (i != peers.self)
                peers_ring_bell(i);
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
    for (unsigned i = 0; i < peers.count; i++) {
        if (i == peers.self)
            continue;
        atomic_store(&peers.out[i]->closed, 1);
        channel_ring(links[i].channel); /* it may have left by now */
    }
    for (unsigned i = 0; i < peers.self; i++) {
        while (!atomic_load(&peers.in[i]->closed))
            hypercall2(TRAPLINE_HC_PARK, tsc_hz() / ALIVE_SHARE, 0);
        channel_withdraw(links[i].channel);
    }
    for (unsigned i = peers.self + 1; i < peers.count; i++) {
        while (channel_ring(links[i].channel) != -TRAPLINE_EPIPE)
            hypercall2(TRAPLINE_HC_PARK, 0, 0);
    }
}
