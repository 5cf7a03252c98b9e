/*
 * A ring of messages in memory that two peers share: one puts them in, the other one takes them
 * out. All zero is an empty one that nobody watches.
 */
#ifndef GUEST_COMMON_MESSAGE_RING_H
#define GUEST_COMMON_MESSAGE_RING_H

#include <stdalign.h>
#include <stdatomic.h>

#include <trapline/abi.h>

#include "guest/common/peers.h"

enum {
    RING_LINE = 64, /* bytes that are apart from others' for the sake of caches */
};

struct message_ring {
    alignas(TRAPLINE_PAGE_SIZE) atomic_uint put; /* messages put in so far: the sender's */
    atomic_uint closed;                          /* the sender will send no more */
    alignas(RING_LINE) atomic_uint taken;        /* messages taken out so far: the receiver's */
    atomic_uint armed;                           /* it wants to be told of the next one */
    alignas(RING_LINE) struct peer_message messages[PEERS_SLOTS];
    alignas(TRAPLINE_PAGE_SIZE) unsigned char pages[PEERS_SLOTS][TRAPLINE_PAGE_SIZE];
};

enum {
    RING_PAGES = sizeof(struct message_ring) / TRAPLINE_PAGE_SIZE,
};

/* page may be NULL. Returns false when the ring is full. */
bool ring_put(struct message_ring *ring, const struct peer_message *message, const void *page);

/* The oldest message and its page (or NULL), where they lie until ring_drop(); NULL: it is empty.
 */
const struct peer_message *ring_first(struct message_ring *ring, const void **page);
void ring_drop(struct message_ring *ring);

static inline bool ring_is_empty(const struct message_ring *ring)
{
    return atomic_load(&ring->put) == atomic_load(&ring->taken);
}

#endif
