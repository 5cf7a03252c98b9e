/*
 * Channels: pages that two guests share because both want it, and rings from one to the other.
 *
 * One guest offers pages of its memory to another guest by name; that one accepts them at an
 * address in its alias window. Both then share the pages until either withdraws or ends. A channel
 * is a number that each side knows it by. Every call returns 0 or more on success, else a negative
 * errno value of enum trapline_error. The contract of each call is in docs/ABI.md.
 *
 * A ring gives the vCPU that offered or accepted the token that unpark() gives, so that it comes
 * out of park(); channel_listen() chooses another one. The other side's acceptance and withdrawal,
 * and its end, ring, too.
 */
#ifndef TRAPLINE_CHANNEL_H
#define TRAPLINE_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/hypercall.h>

/*
 * Offer pages pages from page on to the guest of this name (at most 31 characters). access: what it
 * may do with them, TRAPLINE_READ or more. Returns the channel.
 */
int channel_offer(const char *name, void *page, size_t pages, unsigned access);

/*
 * Accept the oldest offer of the guest of this name: its first pages, at most pages, appear at
 * address. *got and *access (each may be NULL) are how many they are and what may be done with
 * them. Returns the channel; -TRAPLINE_EAGAIN while that guest offers nothing.
 */
int channel_accept(const char *name, void *address, size_t pages, size_t *got, unsigned *access);

/* Stop sharing, and forget the number. Also for a channel whose other side is gone. */
static inline int channel_withdraw(int channel)
{
    return (int)hypercall2(TRAPLINE_HC_WITHDRAW, (uint64_t)channel, 0);
}

/* Ring at the other side. -TRAPLINE_EAGAIN: it has not accepted; -TRAPLINE_EPIPE: it is gone. */
static inline int channel_ring(int channel)
{
    return (int)hypercall2(TRAPLINE_HC_RING, (uint64_t)channel, 0);
}

/* Which vCPU rings of a channel unpark from now on; vector: an interrupt that they raise, or 0. */
static inline int channel_listen(int channel, unsigned vcpu, unsigned vector)
{
    return (int)hypercall(TRAPLINE_HC_LISTEN, (uint64_t)channel, vcpu, vector, 0).rax;
}

/* The same for offers that other guests make to this one; without it they do not ring. */
static inline int channel_listen_offers(unsigned vcpu, unsigned vector)
{
    return (int)hypercall(TRAPLINE_HC_LISTEN, TRAPLINE_CHANNEL_OFFERS, vcpu, vector, 0).rax;
}

#endif
