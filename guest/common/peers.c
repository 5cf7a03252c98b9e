/* Peers: what does not depend on who they are. */
#include "guest/common/peers_home.h"

#include <stddef.h>

struct peers peers = {.count = 1};

static unsigned turn; /* whose ring was looked at last */

unsigned peers_self(void)
{
    return peers.self;
}

unsigned peers_count(void)
{
    return peers.count;
}

bool peers_send(unsigned to, const struct peer_message *message, const void *page)
{
    struct peer_message sent = *message;

    sent.from = peers.self;
    if (!ring_put(peers.out[to], &sent, page))
        return false;
    if (atomic_load(&peers.out[to]->armed))
        peers_ring_bell(to);
    return true;
}

const struct peer_message *peers_first(const void **page)
{
    for (unsigned i = 0; i < peers.count; i++) {
        const struct peer_message *message;

        turn = (turn + 1) % peers.count;
        message = turn == peers.self ? NULL : ring_first(peers.in[turn], page);
        if (message) {
            atomic_store(&peers.in[turn]->armed, 0);
            return message;
        }
    }
    return NULL;
}

void peers_drop(void)
{
    ring_drop(peers.in[turn]);
}

bool peers_any_message(void)
{
    for (unsigned i = 0; i < peers.count; i++) {
        if (i != peers.self && !ring_is_empty(peers.in[i]))
            return true;
    }
    return false;
}

void peers_set_armed(bool armed)
{
    for (unsigned i = 0; i < peers.count; i++) {
        if (i != peers.self)
            atomic_store(&peers.in[i]->armed, armed);
    }
}

bool peers_arm(void)
{
    peers_set_armed(true);
    return peers_any_message();
}
