/*
 * Channels: pages of one guest's RAM that another guest maps too, because both want it, and rings
 * from one to the other.
 *
 * A guest offers pages to another guest by name, which accepts the offer at an address in its alias
 * window. From then on both share the pages, until one of them withdraws or ends; the acceptor's
 * mapping is gone on all of its vCPUs before that guest's memory can be used for anything else.
 * What is left of it for the acceptor is an address range in which accesses trap.
 *
 * Locks: one for offers, acceptances and withdrawals of all guests, which is taken before the lock
 * of a guest (never two guests' at once); and one for each channel, for rings, which is taken last.
 * A guest is not released before channel_guest_ends() has had the first of these, so that whoever
 * holds it may use both guests of a channel.
 */
#ifndef TRAPLINE_HV_CHANNEL_H
#define TRAPLINE_HV_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/include/trapline/abi.h"
#include "hv/hypercall.h"
#include "hv/lock.h"

struct guest;

/* Which side of a channel. */
enum channel_role {
    CHANNEL_OFFERER,
    CHANNEL_ACCEPTOR,
};

enum channel_state {
    CHANNEL_FREE,
    CHANNEL_OFFERED, /* not accepted by now */
    CHANNEL_OPEN,
};

/* Where rings go at one side. */
struct channel_listener {
    bool listens;
    uint8_t vector; /* 0: the vCPU is only unparked */
    uint16_t vcpu;
};

/* A side: who, and under which number it knows the channel. */
struct channel_side {
    struct guest *guest;
    unsigned number;
    struct channel_listener listener;
};

struct channel {
    struct spinlock lock; /* rings look at the state and the sides under it */
    enum channel_state state;
    struct channel_side side[2]; /* by enum channel_role */
    uint64_t serial;             /* the older of two offers has the smaller one */
    uint64_t page;               /* guest-physical address in the offerer's RAM */
    uint64_t pages;
    unsigned access;
};

/*
 * What a guest knows of a channel under a number. It changes only under the lock of all channels
 * together with the guest's own lock: either is enough for looking.
 */
struct channel_end {
    struct channel *channel; /* NULL: not in use, or the other side is gone */
    enum channel_role role;
    bool used;
    uint64_t page; /* the offerer's page; where the acceptor has it mapped, or had it */
    uint64_t pages;
    unsigned access;
};

hypercall_function channel_offer;
hypercall_function channel_accept;
hypercall_function channel_withdraw;
hypercall_function channel_ring;
hypercall_function channel_listen;

/* Set up for this many guests, before any of them runs; false = no memory. */
bool channels_init(unsigned count);

/*
 * No vCPU of this guest runs any more: withdraw from all its channels. When this returns, nobody
 * else maps its memory. Its memory, tables and vCPUs still exist. Offers to it wait for its next
 * run.
 */
void channel_guest_ends(struct guest *guest);

/* It will not run again: drop the offers to it. */
void channel_guest_is_over(struct guest *guest);

/* Whether the range has pages that a channel maps there; with the guest's lock. */
bool channel_maps(const struct guest *guest, uint64_t gpa, uint64_t pages);

/* Whether it has pages of RAM that a channel lets others write; with the guest's lock. */
bool channel_shares_writes(const struct guest *guest, uint64_t gpa, uint64_t pages);

/* Whether a channel was mapped at gpa and the other side is gone; with the guest's lock. */
bool channel_gone(const struct guest *guest, uint64_t gpa);

#endif
