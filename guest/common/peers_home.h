/* Between what all homes of peers have in common, guest/common/peers.c, and each home. */
#ifndef GUEST_COMMON_PEERS_HOME_H
#define GUEST_COMMON_PEERS_HOME_H

#include "guest/common/message_ring.h"

struct peers {
    unsigned self, count;
    struct message_ring *in[PEERS_MAX], *out[PEERS_MAX]; /* not of self */
};

/* Filled in by the home's peers_start(). */
extern struct peers peers;

/* The home's: have a peer look at its rings. */
void peers_ring_bell(unsigned to);

bool peers_any_message(void);

/* Whether the others are to ring when they send. */
void peers_set_armed(bool armed);

#endif
