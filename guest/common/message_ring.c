#include "guest/common/message_ring.h"

#include <trapline/string.h>

bool ring_put(struct message_ring *ring, const struct peer_message *message, const void *page)
{
    const unsigned put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    const unsigned slot = put % PEERS_SLOTS;

    if (put - atomic_load(&ring->taken) == PEERS_SLOTS)
        return false;
    ring->messages[slot] = *message;
    ring->messages[slot].has_page = page != NULL;
    if (page)
        memcpy(ring->pages[slot], page, TRAPLINE_PAGE_SIZE);
    /* Before the sender looks at armed; who arms looks for messages afterwards. */
    atomic_store(&ring->put, put + 1);
    return true;
}

const struct peer_message *ring_first(struct message_ring *ring, const void **page)
{
    const unsigned taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    const unsigned slot = taken % PEERS_SLOTS;

    if (atomic_load(&ring->put) == taken)
        return NULL;
    *page = ring->messages[slot].has_page ? ring->pages[slot] : NULL;
    return &ring->messages[slot];
}

void ring_drop(struct message_ring *ring)
{
    atomic_fetch_add(&ring->taken, 1);
}
