/*
 * Peers: programs like this one, each in a memory of its own, that send one another messages. In
 * Trapline they are guests made from one section of the configuration (NAME-1, NAME-2, ...) with a
 * channel between each two; elsewhere they are processes with a ring of shared memory between each
 * two. What is shared holds messages on their way and nothing else.
 *
 * Messages of one peer to another arrive in their order. Each direction has room for PEERS_SLOTS.
 * One thread at a time may send, and one, the listener, may receive and wait.
 */
#ifndef GUEST_COMMON_PEERS_H
#define GUEST_COMMON_PEERS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PEERS_MAX = 8,
    PEERS_SLOTS = 32,
    PEERS_WORDS = 6,
};

struct peer_message {
    uint32_t kind;
    uint32_t from;     /* filled in by peers_send() */
    uint32_t has_page; /* so is this: whether a page of data comes with it */
    uint32_t pad;
    uint64_t word[PEERS_WORDS];
};

/*
 * Meet the others, as peer 0 to count - 1. wanted: how many there are to be, at most PEERS_MAX; 0:
 * as many guests as there are, elsewhere 2 processes. The caller becomes the listener. Returns how
 * many there are; one whose peers_self() is that or more is not needed. -ENOENT: there are fewer
 * than wanted; else what the home said.
 */
int peers_start(unsigned wanted);

/*
 * Part with the others, when nobody has anything to send any more. Called by all, each of which
 * leaves when those that might still look at its memory have called it, too.
 */
void peers_end(void);

unsigned peers_self(void);
unsigned peers_count(void);

/*
 * Send a message, and a page of TRAPLINE_PAGE_SIZE bytes with it unless page is NULL, to another
 * peer, and wake it up if it sleeps. Returns false when there is no room.
 */
bool peers_send(unsigned to, const struct peer_message *message, const void *page);

/*
 * The oldest message of one of the peers, by turns; *page is its page or NULL. Both stay where they
 * are until peers_drop() is called. NULL: there is none.
 */
const struct peer_message *peers_first(const void **page);
void peers_drop(void);

/* Have the peers ring again from now on; returns whether a message came meanwhile. */
bool peers_arm(void);

/*
 * Sleep until a message comes, peers_wake() is called, or ticks of the TSC have passed (0: no
 * limit); it may also return for nothing. A peer that has ended meanwhile ends this program.
 */
void peers_wait(uint64_t ticks);

/* The calling thread is the listener from now on. */
void peers_listen(void);

/* End the listener's peers_wait(), or its next one. */
void peers_wake(void);

/*
 * For programs of one thread: have serve() called on it whenever a message comes, whatever it does,
 * but between peers_hold() and peers_release() and in a TRAP handler, where it waits. serve() has
 * to call peers_arm() last. Returns 0, or -EOPNOTSUPP where nothing interrupts a program.
 */
int peers_interrupt(void (*serve)(void));
bool peers_hold(void);
void peers_release(bool held);

/* With peers_interrupt(): call serve() once, when ticks of the TSC have passed. */
void peers_alarm(uint64_t ticks);

#endif
