/*
 * Peers as processes: peers_start() forks, and memory that is mapped shared before that holds the
 * rings, and a word for each peer to sleep on. See guest/common/peers.h.
 */
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <trapline/time.h>

#include "guest/common/peers_home.h"

enum {
    USUAL = 2,
    LOOKS = 2000,         /* at the rings before the thread sleeps */
    ALIVE_NS = 200000000, /* how often peer 0 asks whether the others are there */
    NS_PER_SECOND = 1000000000,
};

static struct board {
    alignas(RING_LINE) atomic_uint bells[PEERS_MAX]; /* counted up by who rings */
    struct message_ring rings[];                     /* from i to j: [i * count + j] */
} * board;

static unsigned ended; /* of peer 0's children */

static void connect_rings(void)
{
    for (unsigned i = 0; i < peers.count; i++) {
        peers.out[i] = &board->rings[peers.self * peers.count + i];
        peers.in[i] = &board->rings[i * peers.count + peers.self];
    }
    peers_set_armed(true);
}

/* In a child: to end with its parent, whatever happens to that. */
static void follow(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
}

int peers_start(unsigned wanted)
{
    const unsigned count = wanted ? wanted : USUAL;
    const pid_t parent = getpid();

    if (count > PEERS_MAX)
        return -TRAPLINE_EINVAL;
    board = mmap(NULL, sizeof(*board) + count * count * sizeof(struct message_ring),
                 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return -TRAPLINE_ENOMEM;
    peers.count = count;
    fflush(stdout); /* once, and not by each process */
    for (unsigned i = 1; i < count && peers.self == 0; i++) {
        const pid_t child = fork();

        if (child < 0)
            return -TRAPLINE_ENOMEM; /* the caller ends, and the children with it */
        if (child == 0) {
            follow(parent);
            peers.self = i;
        }
    }
    connect_rings();
    return (int)count;
}

void peers_listen(void)
{
}

/* See to children that have ended: one of them, that is there by now or is waited for. */
static void see_to_child(int flags)
{
    int status = 0;

    if (waitpid(-1, &status, flags) <= 0)
        return;
    ended++;
    if (status != 0) {
        printf("peers: one has ended before its time, by %s %d\n",
               WIFEXITED(status) ? "exit code" : "signal",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        exit(EXIT_FAILURE);
    }
}

void peers_ring_bell(unsigned to)
{
    atomic_fetch_add(&board->bells[to], 1);
    syscall(SYS_futex, &board->bells[to], FUTEX_WAKE, 1);
}

void peers_wake(void)
{
    peers_ring_bell(peers.self);
}

void peers_wait(uint64_t ticks)
{
    const uint64_t wanted = ticks ? ticks_to_ns(ticks) : ALIVE_NS;
    const uint64_t limit = wanted < ALIVE_NS ? wanted : ALIVE_NS;
    const struct timespec timeout = {(time_t)(limit / NS_PER_SECOND),
                                     (long)(limit % NS_PER_SECOND)};
    static unsigned heard; /* what the bell had counted when this returned last */

    peers_set_armed(false);
    for (unsigned i = 0; i < LOOKS && !peers_any_message(); i++)
        __builtin_ia32_pause();
    if (!peers_arm() &&
        syscall(SYS_futex, &board->bells[peers.self], FUTEX_WAIT, heard, &timeout) != 0 &&
        peers.self == 0)
        see_to_child(WNOHANG);
    heard = atomic_load(&board->bells[peers.self]);
}

int peers_interrupt(void (*serve)(void))
{
    (void)serve;
    return -TRAPLINE_EOPNOTSUPP;
}

bool peers_hold(void)
{
    return false;
}

void peers_release(bool held)
{
    (void)held;
}

void peers_alarm(uint64_t ticks)
{
    (void)ticks;
}

/* The memory between them is there as long as one of them is. */
void peers_end(void)
{
    while (peers.self == 0 && ended < peers.count - 1)
        see_to_child(0);
}
